// SPDX-License-Identifier: GPL-2.0-only

//! Changing the set of active units.

use super::{
    device, gone,
    held::Held,
    history::History,
    pending::Pending,
    table::{
        copy_without,
        Table,
        TABLE, //
    },
    unit::{
        is_hurried,
        set_timer,
        Unit, //
    },
};
use crate::{
    policy::{
        manifest::debt::Ended,
        phase::Phase,
        prolong, time,
        verdict::{
            self,
            Filesystem, //
        },
    },
    sys::{
        grace::Manager,
        module_ref::ThisModule,
        net::Net,
        since::Since,
        text::Text,
        timer::{
            self,
            Timer, //
        },
        watchers, //
    },
};
use core::{
    net::IpAddr,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::{
        rcu,
        Arc, //
    }, //
};

/// Maximum number of units in one network namespace.
pub(super) const MAX_UNITS: usize = 64;

/// Nanoseconds of a second.
pub(super) const SECOND: i64 = time::SECOND as i64;

/// How often a released unit is looked through for what slipped in, in nanoseconds.
const SWEEP: i64 = SECOND;

/// Delay before a captured list is sorted and the release logged, in nanoseconds. Both take CPU time,
/// so the release returns first.
const SOON: i64 = SECOND / 20;

pub(super) struct State {
    /// There while the module is.
    timer: Option<Pin<KBox<Timer>>>,
    /// There while the module is.
    pub(super) history: Option<History>,
    /// What is left to do later.
    pub(super) pending: Pending,
    /// Held while any unit is active: without us its clients' locks would be given away.
    pin: Option<ThisModule>,
}

impl State {
    /// Whether there is, or was, a unit in a network namespace. Without memory there may be.
    pub(super) fn knows(&self, net: Net) -> bool {
        let there = copy_without(|unit| unit.net() != net).map_or(true, |it| !it.units.is_empty());
        there || self.history.as_ref().is_some_and(|it| it.knows(net))
    }
}

kernel::sync::global_lock! {
    // SAFETY: Initialised in `init` before anything can reach it.
    pub(super) unsafe(uninit) static REGISTRY: Mutex<State> = State {
        timer: None,
        history: None,
        pending: Pending::new(),
        pin: None,
    };
}

/// Prepares the registry; `on_time` looks after what is due.
///
/// # Safety
///
/// Must be called once, before anything else of this file.
pub(super) unsafe fn init(on_time: fn()) -> Result {
    // SAFETY: By the safety requirements.
    unsafe { REGISTRY.init() };
    let timer = KBox::pin_init(Timer::new(on_time), GFP_KERNEL)?;
    let mut registry = REGISTRY.lock();
    registry.history = Some(History::default());
    set_timer(Some(&timer));
    registry.timer = Some(timer);
    Ok(())
}

/// The module is going. No unit is active: they hold it.
pub(super) fn close() {
    let mut registry = REGISTRY.lock();
    set_timer(None);
    let timer = registry.timer.take();
    registry.history = None;
    registry.pending.clear();
    drop(registry);
    // Its function takes the lock, so it is waited for without it.
    drop(timer);
}

/// Why a unit ends.
#[derive(Clone, Copy)]
pub(super) enum End {
    Time,
    Hand,
    Namespace,
    /// By a release, which says so itself.
    Release,
}

/// A unit that was set.
pub(crate) struct Set {
    pub(super) unit: Arc<Unit>,
    /// The one of that name that it replaced.
    pub(super) replaced: Option<Arc<Unit>>,
    /// A release has its fence for as long as it takes, however short that is.
    pub(super) _held: Option<Held>,
}

/// Sets a unit in its phase for `seconds`; one of the same name is replaced.
///
/// If a manifest that was read here promises a longer wait, the phase lasts until that promise ends.
///
/// A unit that is released again keeps its manifest. One that recovers anew recovers without: its
/// filesystem may have been elsewhere since, and what is not on an old list is not free.
pub(crate) fn set(
    net: Net,
    filesystem: Filesystem,
    ip: Option<IpAddr>,
    phase: Phase,
    seconds: u32,
    path: &[u8],
) -> Result<Set> {
    let mut rule = verdict::Rule {
        filesystem,
        ip,
        phase,
        deadline: timer::now() + i64::from(seconds) * SECOND,
    };
    let mut registry = REGISTRY.lock();
    registry.pending.say();
    registry.pending.put_in_order();
    // What the timer has not come to yet would go on to the new unit. Without memory it does.
    let _ = gone::settle();
    end_expired(&mut registry)?;
    let mut table = copy_without(|old| old.is(net, filesystem, ip))?;
    if table.units.iter().filter(|old| old.net() == net).count() >= MAX_UNITS {
        return Err(ENOSPC);
    }
    let replaced = find(net, filesystem, ip);
    // Until the new one is there, nothing is granted in between. One that is over by now was over
    // when the table was looked through, or is ended by the timer.
    let old_held = replaced.as_ref().map(Held::try_new);
    if let Some(None) = old_held {
        return Err(EAGAIN);
    }
    let unit = succeed(net, &mut rule, path, replaced.as_deref())?;
    let held = rule.phase.means().departed.then(|| Held::new(&unit));
    table.units.push(unit.clone(), GFP_KERNEL)?;
    publish_new(&mut registry, table, net)?;
    if registry.pin.is_none() {
        registry.pin = Some(ThisModule::get());
    }
    if unit.phase().recovers {
        forgo(&mut registry, replaced.as_deref());
    }
    watchers::tell(net);
    announce(&unit);
    rearm(&registry);
    Ok(Set {
        unit,
        replaced,
        _held: held,
    })
}

/// The unit of that name. `REGISTRY` is held.
fn find(net: Net, filesystem: Filesystem, ip: Option<IpAddr>) -> Option<Arc<Unit>> {
    let guard = rcu::read_lock();
    let table = TABLE.read(&guard)?;
    let mut units = table.units.iter();
    units.find(|old| old.is(net, filesystem, ip)).cloned()
}

/// Makes the unit that comes after `old`: it keeps what that has promised, and what is still true of
/// its manifest. May sleep.
fn succeed(
    net: Net,
    rule: &mut verdict::Rule,
    path: &[u8],
    old: Option<&Unit>,
) -> Result<Arc<Unit>> {
    let promise = old.map_or(0, Unit::promised_until);
    let limit = prolong::limit(timer::now(), rule.deadline).max(promise);
    rule.deadline = rule.deadline.max(promise);
    let unit = Unit::new(net, *rule, limit, path)?;
    unit.promise_until(promise);
    let again = old.filter(|old| old.phase().keeps_manifest && old.rule().phase == rule.phase);
    if let Some(manifest) = again.and_then(Unit::manifest) {
        // It is new, so it has none.
        unit.populate(manifest);
    }
    Ok(unit)
}

/// Puts a table in place that has a new unit in `net`. May sleep.
fn publish_new(registry: &mut State, mut table: KBox<Table>, net: Net) -> Result {
    if table.managers.iter().any(|manager| manager.net() == net) {
        TABLE.replace(Some(table));
        return Ok(());
    }
    let without = copy_without(|_| false)?;
    let manager = Manager::new(net)?;
    table.managers.push(manager.clone(), GFP_KERNEL)?;
    // Hooks must know of the manager before stock answers change.
    TABLE.replace(Some(table));
    manager.enter().inspect_err(|_| publish(registry, without))
}

/// Remembers what is outstanding in a recovery that is replaced by one without a list.
fn forgo(registry: &mut State, old: Option<&Unit>) {
    let outstanding =
        |old: &Unit| old.misses_nfs4() || old.manifest().is_some_and(|manifest| !manifest.over());
    let old = old.filter(|old| old.phase().recovers && outstanding(old));
    if let (Some(history), Some((old, fsid))) = (
        &mut registry.history,
        old.and_then(|old| Some((old, old.fsid()?))),
    ) {
        history.dropped(old.net(), fsid);
    }
}

/// Says in the log that a unit recovers; of a release is said later what it dropped.
fn announce(unit: &Unit) {
    if !unit.phase().recovers {
        return;
    }
    let (name, net) = (unit.name(), unit.net());
    let seconds = unit.end().saturating_sub(timer::now()).max(0) as u64;
    let seconds = seconds.div_ceil(SECOND as u64);
    pr_info!(
        "{}\n",
        format_args!("{name}{net}: recovering for {seconds} s")
    );
}

/// Ends a unit by hand; `ENOENT` if there is none of that name.
pub(crate) fn remove(
    net: Net,
    filesystem: Filesystem,
    ip: Option<IpAddr>,
    phase: Option<Phase>,
) -> Result {
    end_unit(net, filesystem, ip, phase, End::Hand)
}

pub(super) fn end_unit(
    net: Net,
    filesystem: Filesystem,
    ip: Option<IpAddr>,
    phase: Option<Phase>,
    why: End,
) -> Result {
    end_by_hand(why, |unit| {
        unit.is(net, filesystem, ip) && phase.is_none_or(|phase| phase == unit.rule().phase)
    })
}

/// Ends a recovery by hand that was set for `ip` and named by `path`, wherever that leads now.
pub(crate) fn remove_named(net: Net, ip: IpAddr, path: &[u8]) -> Result {
    end_by_hand(End::Hand, |unit| {
        unit.net() == net && unit.is_resumed(ip, path)
    })
}

/// Ends what `matches`; `ENOENT` if nothing does, `EBUSY` if by a manifest that was given away this
/// node still grants nothing there.
fn end_by_hand(why: End, matches: impl Fn(&Unit) -> bool) -> Result {
    // A manifest is read with the lock held, so the promise cannot be made in between.
    let mut registry = REGISTRY.lock();
    end_expired(&mut registry)?;
    let found = copy_without(|unit| !matches(unit))?;
    let now = timer::now();
    let promised = |unit: &Arc<Unit>| now < unit.promised_until();
    if found.units.iter().any(promised) {
        return Err(EBUSY);
    }
    match end(&mut registry, matches, why)? {
        0 => Err(ENOENT),
        _ => Ok(()),
    }
}

/// Prints the units of `net`, those in `phase` if it is given, and returns how many there are.
pub(crate) fn show(net: Net, phase: Option<Phase>, text: &mut Text) -> Result<usize> {
    let mut units = KVec::new();
    {
        let _registry = REGISTRY.lock();
        let now = timer::now();
        for unit in &copy_without(|unit| unit.net() != net || unit.over(now))?.units {
            if phase.is_none_or(|phase| phase == unit.rule().phase) {
                units.push(unit.clone(), GFP_KERNEL)?;
            }
        }
    }
    for unit in &units {
        text.add(format_args!("{}\n", unit.line()))?;
    }
    Ok(units.len())
}

/// Ends what is over. An expired unit is no unit: it must not be taken for one that is replaced.
pub(super) fn end_expired(registry: &mut State) -> Result {
    let now = timer::now();
    end(registry, |unit| unit.over(now), End::Time).map(drop)
}

/// Ends what `matches` and returns how many that were.
pub(super) fn end(
    registry: &mut State,
    matches: impl Fn(&Unit) -> bool,
    why: End,
) -> Result<usize> {
    // What `matches` may change meanwhile, as time goes on: each unit is asked once.
    let ended = copy_without(|unit| !matches(unit))?;
    let kept = copy_without(|unit| ended.units.iter().any(|other| ptr::eq(&**other, unit)))?;
    if ended.units.is_empty() {
        return Ok(0);
    }
    registry.pending.say();
    publish(registry, kept);
    for unit in &ended.units {
        // From now on it grants what is asked for.
        let row = unit.phase();
        if row.recovers && unit.is_visited() {
            Since::answer(unit.net(), unit.taken_away());
        }
        if let (true, Some(fsid)) = (row.recovers, unit.fsid()) {
            if let Some(history) = &mut registry.history {
                history.remember(unit.net(), fsid, timer::wall());
                let how = match (unit.has_served(), why, unit.manifest()) {
                    (true, _, _) => Ended::Served,
                    (false, End::Hand, None) if !unit.awaits_anybody() => Ended::Dismissed,
                    (false, _, _) => Ended::Unvisited,
                };
                history.recovered(unit.net(), fsid, how, unit.taken_away());
            }
        }
        watchers::tell(unit.net());
        let why = match why {
            End::Time if unit.is_told() => continue,
            End::Time if unit.is_complete() && !unit.has_manifest() => {
                "all NFSv4 clients have completed their reclaims"
            }
            End::Time => "time is up",
            End::Hand => "ended by hand",
            End::Namespace => "network namespace is going",
            End::Release => continue,
        };
        let (name, net, counts) = (unit.name(), unit.net(), unit.counts());
        let phase = row.noun;
        pr_info!(
            "{}\n",
            format_args!("{name}{net}: {phase} over, {why}: {counts}")
        );
    }
    Ok(ended.units.len())
}

/// Puts `table` in place, without the managers nobody needs any more.
fn publish(registry: &mut State, mut table: KBox<Table>) {
    let Table { units, managers } = &mut *table;
    managers.retain(|manager| {
        let needed = units.iter().any(|unit| unit.net() == manager.net());
        if !needed {
            // Hooks that still find it see that it has left.
            manager.leave();
        }
        needed
    });
    if table.units.is_empty() {
        TABLE.replace(None);
        device::clear();
        registry.pin = None;
    } else {
        TABLE.replace(Some(table));
        rearm(registry);
    }
}

/// Says what is still to be said, before something else is. May sleep.
pub(crate) fn say_rest() {
    REGISTRY.lock().pending.say();
}

/// Sets the timer for what is due next.
pub(super) fn rearm(registry: &State) {
    let now = timer::now();
    let Some(timer) = &registry.timer else {
        return;
    };
    let units = {
        let guard = rcu::read_lock();
        TABLE.read(&guard).and_then(|table| {
            let due = |unit: &Arc<Unit>| {
                let remaining = unit.end().saturating_sub(now);
                if unit.phase().swept {
                    remaining.min(SWEEP)
                } else {
                    remaining
                }
            };
            table.units.iter().map(due).min()
        })
    };
    let soon = registry.pending.any().then_some(SOON);
    if let Some(next) = [units, soon].into_iter().flatten().min() {
        timer.arm(next);
    }
    // Checked after arming: a hook may have armed the timer for now just before, and `arm(next)`
    // would have delayed it.
    if is_hurried() {
        timer.arm(0);
    }
}
