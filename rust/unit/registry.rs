// SPDX-License-Identifier: GPL-2.0-only

//! Changing the set of active units.

use super::{
    device,
    Active,
    Table,
    Unit,
    TABLE, //
};
use crate::{
    policy::{
        fsid::Fsid,
        verdict::{
            self,
            Filesystem,
            Op,
            Phase,
            Request, //
        }, //
    },
    sys::{
        grace::Manager,
        lockd,
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
use kernel::{
    prelude::*,
    sync::{
        rcu,
        Arc, //
    }, //
};

/// Most units in one network namespace.
const MAX_UNITS: usize = 64;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// How often a released unit is looked through for what slipped in, in nanoseconds.
const SWEEP: i64 = SECOND;

struct State {
    /// There while the [`Registry`] is.
    timer: Option<Pin<KBox<Timer<Expiry>>>>,
    /// Held while any unit is active: without us its clients' locks would be given away.
    pin: Option<ThisModule>,
}

kernel::sync::global_lock! {
    // SAFETY: Initialised in `Registry::new` before anything can reach it.
    unsafe(uninit) static REGISTRY: Mutex<State> = State { timer: None, pin: None };
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
            device::init();
        }
        REGISTRY.lock().timer = Some(KBox::pin_init(Timer::new(), GFP_KERNEL)?);
        Ok(Self(()))
    }
}

impl Drop for Registry {
    /// No unit is active: they hold the module.
    fn drop(&mut self) {
        let timer = REGISTRY.lock().timer.take();
        // Its function takes the lock, so it is waited for without it.
        drop(timer);
    }
}

/// Why a unit ends.
#[derive(Clone, Copy)]
enum End {
    Time,
    Hand,
    Namespace,
    /// By a release, which says so itself.
    Release,
}

/// Sets a unit in its phase for `seconds`; one of the same name is replaced.
pub(crate) fn set(
    net: Net,
    filesystem: Filesystem,
    ip: Option<core::net::IpAddr>,
    phase: Phase,
    seconds: u32,
    path: &[u8],
) -> Result {
    let rule = verdict::Unit {
        filesystem,
        ip,
        phase,
        deadline: timer::now() + i64::from(seconds) * SECOND,
    };
    let unit = Unit::new(net, rule, path)?;
    let mut registry = REGISTRY.lock();
    let mut table = copy_without(|old| old.is(net, &rule))?;
    if table.units.iter().filter(|old| old.net == net).count() >= MAX_UNITS {
        return Err(ENOSPC);
    }
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
    rearm(&registry);
    if phase == Phase::Recovering {
        let name = unit.name();
        pr_info!(
            "{}\n",
            format_args!("{name}{net}: recovering for {seconds} s")
        );
    }
    Ok(())
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

fn end_unit(
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
    let ended = end(matches, why)?;
    if ended == 0 {
        return Err(ENOENT);
    }
    Ok(())
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
    publish(&mut registry, kept);
    for unit in &ended.units {
        let phase = match unit.rule.phase {
            Phase::Released => "fence",
            Phase::Recovering => "recovery",
        };
        let why = match why {
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

/// A copy of the current table without the units that match, with room for one more unit and
/// manager. `REGISTRY` is held.
fn copy_without(matches: impl Fn(&Unit) -> bool) -> Result<KBox<Table>> {
    let (units, managers) = {
        let guard = rcu::read_lock();
        TABLE
            .read(&guard)
            .map_or((0, 0), |table| (table.units.len(), table.managers.len()))
    };
    let mut copy = KBox::new(Table::default(), GFP_KERNEL)?;
    copy.units.reserve(units + 1, GFP_KERNEL)?;
    copy.managers.reserve(managers + 1, GFP_KERNEL)?;
    let guard = rcu::read_lock();
    if let Some(table) = TABLE.read(&guard) {
        // The lock is held, so this is the table whose size was taken: there is room.
        for unit in table.units.iter().filter(|unit| !matches(unit)) {
            copy.units
                .push_within_capacity(unit.clone())
                .map_err(|_| ENOMEM)?;
        }
        for manager in &table.managers {
            copy.managers
                .push_within_capacity(manager.clone())
                .map_err(|_| ENOMEM)?;
        }
    }
    Ok(copy)
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

/// Sets the timer for what is due next.
fn rearm(registry: &State) {
    let now = timer::now();
    let guard = rcu::read_lock();
    let next = TABLE.read(&guard).and_then(|table| {
        let due = |unit: &Arc<Unit>| match unit.rule.phase {
            Phase::Released => (unit.rule.deadline - now).min(SWEEP),
            Phase::Recovering => unit.rule.deadline - now,
        };
        table.units.iter().map(due).min()
    });
    if let (Some(timer), Some(next)) = (&registry.timer, next) {
        timer.arm(next);
    }
}

/// What the timer does: ends what is over, and goes through released units again.
struct Expiry;

impl OnTime for Expiry {
    fn on_time() {
        let now = timer::now();
        // Without memory the units stay, expired as they are, and it is tried again.
        let _ = end(|unit| unit.rule.expired(now), End::Time);
        let _ = sweep();
        rearm(&REGISTRY.lock());
    }
}

/// Releases what slipped into a unit while it was being released.
///
/// A share is granted some time after its verdict, and a blocked lock that was being granted is
/// not on the list that a release goes through. Both are rare; a later pass finds them.
fn sweep() -> Result {
    let mut released = KVec::new();
    {
        let _registry = REGISTRY.lock();
        for unit in &copy_without(|unit| unit.rule.phase != Phase::Released)?.units {
            if let Filesystem::Export(fsid) = unit.rule.filesystem {
                released.push((unit.net, fsid), GFP_KERNEL)?;
            }
        }
    }
    for (net, fsid) in released {
        // A unit named differently may have come back to the same filesystem since.
        lockd::release(net, fsid, &|file| left(net, file))?;
    }
    Ok(())
}

/// Whether the last thing that happened to the filesystem of `file` is that it left.
fn left(net: Net, file: &lockd::File<'_>) -> bool {
    let guard = rcu::read_lock();
    let request = Request {
        op: Op::New,
        handle: file.handle(),
        dev: file.dev(),
        server: None,
    };
    super::active(net, &guard)
        .and_then(|active: Active<'_>| active.judge(&request).1)
        .is_some_and(|unit| unit.rule.phase == Phase::Released)
}

/// Releases the locks on an export and, unless `fence` is 0, keeps new requests waiting for
/// `fence` seconds.
pub(crate) fn release(net: Net, fsid: Fsid, fence: u32, reply: &mut Text) -> Result {
    let export = Filesystem::Export(fsid);
    if fence > 0 {
        // First, so that nothing is granted behind the back of the traversal.
        set(net, export, None, Phase::Released, fence, &[])?;
    } else {
        match end_unit(net, export, None, None, End::Release) {
            Err(error) if error != ENOENT => return Err(error),
            _ => {}
        }
    }
    let dropped = lockd::release(net, fsid, &|_| true)?;
    pr_info!(
        "{}\n",
        format_args!("fsid={fsid}{net}: released for {fence} s, dropped {dropped}")
    );
    reply.add(format_args!("{dropped}\n"))
}

/// Units end with their network namespace.
pub(crate) struct NetExit;

impl OnExit for NetExit {
    fn on_exit(net: Net) {
        // The namespace must not go while a table names it; memory for the new one will come.
        while end(|unit| unit.net == net, End::Namespace).is_err() {
            timer::sleep(10);
        }
    }
}
