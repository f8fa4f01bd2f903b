// SPDX-License-Identifier: GPL-2.0-only

//! Changing the set of active units.

use super::{
    device,
    handover::{
        self,
        Early, //
    },
    history::History,
    release::{
        self,
        Unordered,
        Unsaid, //
    },
    table::{
        copy_without,
        Table,
        TABLE, //
    },
    Unit, //
};
use crate::{
    policy::verdict::{
        self,
        Filesystem,
        Phase, //
    },
    sys::{
        grace::Manager,
        net::{
            Net,
            OnExit, //
        },
        pin::ThisModule,
        text::Text,
        timer::{
            self,
            OnTime,
            Timer, //
        }, //
    },
};
use core::ptr;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        rcu,
        Arc, //
    }, //
};

/// Most units in one network namespace.
pub(super) const MAX_UNITS: usize = 64;

/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;

/// How often a released unit is looked through for what slipped in, in nanoseconds.
const SWEEP: i64 = SECOND;

/// When what was taken down is put in order and the log is written, in nanoseconds: not before the
/// release has returned, because it takes the CPU for a while.
const SOON: i64 = SECOND / 20;

pub(super) struct State {
    /// There while the [`Registry`] is.
    timer: Option<Pin<KBox<Timer<Expiry>>>>,
    /// There while the [`Registry`] is.
    pub(super) history: Option<History>,
    /// At most one for a unit.
    pub(super) early: KVec<Early>,
    /// What released units held, to be put in order.
    pub(super) unordered: KVec<Unordered>,
    /// What the kernel log will say of releases.
    pub(super) unsaid: KVec<Unsaid>,
    /// Held while any unit is active: without us its clients' locks would be given away.
    pin: Option<ThisModule>,
}

kernel::sync::global_lock! {
    // SAFETY: Initialised in `Registry::new` before anything can reach it.
    pub(super) unsafe(uninit) static REGISTRY: Mutex<State> = State {
        timer: None,
        history: None,
        early: KVec::new(),
        unordered: KVec::new(),
        unsaid: KVec::new(),
        pin: None,
    };
}

/// The timer, for hooks. It is there while they are.
static TIMER: Atomic<*const Timer<Expiry>> = Atomic::new(ptr::null());

/// Has what is due looked after at once. Does not sleep. Only hooks may call this.
pub(super) fn hurry() {
    // SAFETY: Both are gone before the registry, which owns the timer.
    if let Some(timer) = unsafe { TIMER.load(Acquire).as_ref() } {
        timer.arm(0);
    }
}

/// The registry, ready for use.
pub(crate) struct Registry(());

impl Registry {
    /// Prepares the registry.
    ///
    /// # Safety
    ///
    /// Must be called once, before anything else of [`crate::unit`].
    pub(crate) unsafe fn new() -> Result<Self> {
        // SAFETY: By the safety requirements.
        unsafe {
            REGISTRY.init();
            release::init();
            device::init();
        }
        let timer = KBox::pin_init(Timer::new(), GFP_KERNEL)?;
        let mut registry = REGISTRY.lock();
        registry.history = Some(History::new()?);
        TIMER.store(ptr::from_ref(&*timer), Release);
        registry.timer = Some(timer);
        Ok(Self(()))
    }
}

impl Drop for Registry {
    /// No unit is active: they hold the module.
    fn drop(&mut self) {
        let mut registry = REGISTRY.lock();
        TIMER.store(ptr::null(), Release);
        let timer = registry.timer.take();
        registry.history = None;
        registry.early = KVec::new();
        registry.unordered = KVec::new();
        release::say(&mut registry);
        drop(registry);
        // Its function takes the lock, so it is waited for without it.
        drop(timer);
    }
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
    /// The one of that name that it replaced, if it was not over.
    pub(super) replaced: Option<Arc<Unit>>,
}

/// Sets a unit in its phase for `seconds`; one of the same name is replaced.
///
/// It takes longer if a manifest was given away by which this node grants nothing for longer.
pub(crate) fn set(
    net: Net,
    filesystem: Filesystem,
    ip: Option<core::net::IpAddr>,
    phase: Phase,
    seconds: u32,
    path: &[u8],
) -> Result<Set> {
    let mut rule = verdict::Unit {
        filesystem,
        ip,
        phase,
        deadline: timer::now() + i64::from(seconds) * SECOND,
    };
    let mut registry = REGISTRY.lock();
    release::say(&mut registry);
    release::put_in_order(&mut registry);
    let mut table = copy_without(|old| old.is(net, &rule))?;
    if table.units.iter().filter(|old| old.net == net).count() >= MAX_UNITS {
        return Err(ENOSPC);
    }
    let replaced = {
        let guard = rcu::read_lock();
        TABLE
            .read(&guard)
            .and_then(|table| table.units.iter().find(|old| old.is(net, &rule)).cloned())
    };
    let promise = replaced.as_ref().map_or(0, |old| old.promise.load(Relaxed));
    rule.deadline = rule.deadline.max(promise);
    let unit = Unit::new(net, rule, path)?;
    unit.promise.store(promise, Relaxed);
    // The same phase again only takes longer.
    if let Some(old) = replaced.as_ref().filter(|old| old.rule.phase == phase) {
        if let Some(manifest) = old.manifest.as_ref() {
            unit.populate(manifest.clone());
        }
        unit.settled.store(old.settled.load(Relaxed), Relaxed);
    }
    let early = registry
        .early
        .iter()
        .position(|early| early.net == net && filesystem == Filesystem::Export(early.fsid))
        .filter(|at| phase == Phase::Recovering && registry.early[*at].believable());
    table.units.push(unit.clone(), GFP_KERNEL)?;
    if table.managers.iter().any(|manager| manager.net() == net) {
        TABLE.replace(Some(table));
    } else {
        let without = copy_without(|_| false)?;
        let manager = Manager::new(net)?;
        table.managers.push(manager.clone(), GFP_KERNEL)?;
        // Hooks must know of the manager before stock answers change.
        TABLE.replace(Some(table));
        if let Err(error) = manager.enter() {
            publish(&mut registry, without);
            return Err(error);
        }
    }
    if registry.pin.is_none() {
        registry.pin = Some(ThisModule::get());
    }
    if phase == Phase::Recovering {
        let name = unit.name();
        let seconds = (rule.deadline - timer::now()).max(0) as u64;
        let seconds = seconds.div_ceil(SECOND as u64);
        pr_info!(
            "{}\n",
            format_args!("{name}{net}: recovering for {seconds} s")
        );
    }
    if let Some(early) = early.and_then(|at| registry.early.remove(at).ok()) {
        handover::attach(&unit, early.manifest);
    }
    rearm(&registry);
    let replaced = replaced.filter(|old| !old.rule.expired(timer::now()));
    Ok(Set { unit, replaced })
}

/// Ends a unit by hand; `ENOENT` if there is none of that name.
pub(crate) fn remove(
    net: Net,
    filesystem: Filesystem,
    ip: Option<core::net::IpAddr>,
    phase: Option<Phase>,
) -> Result {
    end_unit(net, filesystem, ip, phase, End::Hand)
}

pub(super) fn end_unit(
    net: Net,
    filesystem: Filesystem,
    ip: Option<core::net::IpAddr>,
    phase: Option<Phase>,
    why: End,
) -> Result {
    let rule = verdict::Unit {
        filesystem,
        ip,
        phase: Phase::Released,
        deadline: 0,
    };
    let matches =
        |unit: &Unit| unit.is(net, &rule) && phase.is_none_or(|phase| phase == unit.rule.phase);
    promised(&matches)?;
    let ended = end(matches, why)?;
    if ended == 0 {
        return Err(ENOENT);
    }
    Ok(())
}

/// `EBUSY` if by a manifest that was given away this node still grants nothing on what `matches`.
fn promised(matches: &impl Fn(&Unit) -> bool) -> Result {
    let now = timer::now();
    let _registry = REGISTRY.lock();
    let found = copy_without(|unit| !matches(unit))?;
    match found
        .units
        .iter()
        .any(|unit| now < unit.promise.load(Relaxed))
    {
        true => Err(EBUSY),
        false => Ok(()),
    }
}

/// Ends a recovery by hand that was set for `ip` and named by `path`, wherever that leads now.
pub(crate) fn remove_named(net: Net, ip: core::net::IpAddr, path: &[u8]) -> Result {
    let matches = |unit: &Unit| {
        unit.net == net && unit.rule.ip == Some(ip) && !path.is_empty() && *unit.path == *path
    };
    match end(matches, End::Hand)? {
        0 => Err(ENOENT),
        _ => Ok(()),
    }
}

/// Prints the units of `net`, those in `phase` if it is given, and returns how many there are.
pub(crate) fn show(net: Net, phase: Option<Phase>, text: &mut Text) -> Result<usize> {
    let mut units = KVec::new();
    {
        let _registry = REGISTRY.lock();
        for unit in &copy_without(|unit| unit.net != net)?.units {
            if phase.is_none_or(|phase| phase == unit.rule.phase) {
                units.push(unit.clone(), GFP_KERNEL)?;
            }
        }
    }
    for unit in &units {
        text.add(format_args!("{}\n", unit.line()))?;
    }
    Ok(units.len())
}

/// Ends what `matches` and returns how many that were.
fn end(matches: impl Fn(&Unit) -> bool, why: End) -> Result<usize> {
    let mut registry = REGISTRY.lock();
    let kept = copy_without(&matches)?;
    let ended = copy_without(|unit| !matches(unit))?;
    if ended.units.is_empty() {
        return Ok(0);
    }
    release::say(&mut registry);
    publish(&mut registry, kept);
    for unit in &ended.units {
        // From now on it grants what is asked for.
        if let (Phase::Recovering, Filesystem::Export(fsid)) =
            (unit.rule.phase, unit.rule.filesystem)
        {
            if let Some(history) = &mut registry.history {
                history.remember(unit.net, fsid, timer::wall());
            }
        }
        let phase = match unit.rule.phase {
            Phase::Released => "fence",
            Phase::Recovering => "recovery",
        };
        let why = match why {
            End::Time if unit.told.load(Relaxed) => continue,
            End::Time => "time is up",
            End::Hand => "ended by hand",
            End::Namespace => "network namespace is going",
            End::Release => continue,
        };
        let (name, net, counts) = (unit.name(), unit.net, unit.counts());
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
        let needed = units.iter().any(|unit| unit.net == manager.net());
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
    release::say(&mut REGISTRY.lock());
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
            let due = |unit: &Arc<Unit>| match unit.rule.phase {
                Phase::Released => (unit.rule.deadline - now).min(SWEEP),
                Phase::Recovering => unit.rule.deadline - now,
            };
            table.units.iter().map(due).min()
        })
    };
    let early = registry.early.iter().map(Early::left).min();
    let soon = !registry.unordered.is_empty() || !registry.unsaid.is_empty();
    let soon = soon.then_some(SOON);
    if let Some(next) = [units, early, soon].into_iter().flatten().min() {
        timer.arm(next);
    }
    // After that, or a hook that is in a hurry at this moment would have been put off.
    let guard = rcu::read_lock();
    let untold = TABLE
        .read(&guard)
        .is_some_and(|table| table.units.iter().any(|unit| unit.untold()));
    if untold {
        timer.arm(0);
    }
}

/// What the timer does: ends what is over, and goes through released units again.
struct Expiry;

impl OnTime for Expiry {
    fn on_time() {
        let now = timer::now();
        // Without memory the units stay, expired as they are, and it is tried again.
        {
            let mut registry = REGISTRY.lock();
            release::say(&mut registry);
            release::put_in_order(&mut registry);
        }
        let _ = tell_recovered();
        let _ = end(|unit| unit.rule.expired(now), End::Time);
        let _ = release::sweep(|_| true);
        let mut registry = REGISTRY.lock();
        registry.early.retain(|early| early.believable());
        rearm(&registry);
    }
}

/// Says of each unit once that all of its manifest is settled.
fn tell_recovered() -> Result {
    let mut registry = REGISTRY.lock();
    for unit in &copy_without(|unit| !unit.untold())?.units {
        unit.told.store(true, Relaxed);
        if let (Filesystem::Export(fsid), Some(history)) =
            (unit.rule.filesystem, &mut registry.history)
        {
            history.remember(unit.net, fsid, timer::wall());
        }
        let (name, net, counts) = (unit.name(), unit.net, unit.counts());
        pr_info!(
            "{}\n",
            format_args!("{name}{net}: recovery over, nothing is outstanding: {counts}")
        );
    }
    Ok(())
}

/// Units end with their network namespace.
pub(crate) struct NetExit;

impl OnExit for NetExit {
    fn on_exit(net: Net) {
        // The namespace must not go while a table names it; memory for the new one will come.
        while end(|unit| unit.net == net, End::Namespace).is_err() {
            timer::sleep(10);
        }
        let mut registry = REGISTRY.lock();
        // Both name it.
        release::say(&mut registry);
        registry.unordered.retain(|taken| taken.net() != net);
        registry.early.retain(|early| early.net != net);
        if let Some(history) = &mut registry.history {
            history.forget(net);
        }
    }
}
