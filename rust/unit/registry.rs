// SPDX-License-Identifier: GPL-2.0-only

//! Changing the set of active units.

use super::{
    device,
    history::History,
    manifest::{
        capture::Capture,
        reader::Reader,
        records::Records,
        Manifest, //
    },
    Active,
    Table,
    Unit,
    TABLE, //
};
use crate::{
    policy::{
        fsid::Fsid,
        line::Dropped,
        manifest::{
            freshness::{
                self,
                Doubt, //
            },
            text::Header, //
        },
        verdict::{
            self,
            Filesystem,
            Op,
            Phase,
            Request,
            What, //
        }, //
    },
    sys::{
        errno,
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
        },
        traversal::{
            Nothing,
            Traversal, //
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
const MAX_UNITS: usize = 64;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// How often a released unit is looked through for what slipped in, in nanoseconds.
const SWEEP: i64 = SECOND;

/// How long a recovery whose manifest is settled still answers a repeated reclaim, in nanoseconds:
/// a client whose connection broke sends it again at once, or after its timeout of 10 s.
pub(super) const LINGER: i64 = 15 * SECOND;

/// A manifest that came before its unit.
struct Early {
    net: Net,
    fsid: Fsid,
    manifest: Arc<Manifest>,
}

impl Early {
    /// Whether the node that took it still waits.
    fn believable(&self) -> bool {
        let Header::Released { taken, valid, .. } = self.manifest.header() else {
            return false;
        };
        freshness::judge(taken, valid, timer::wall(), 0).is_ok()
    }

    /// Nanoseconds until it is not believable any more.
    fn left(&self) -> i64 {
        let Header::Released { taken, valid, .. } = self.manifest.header() else {
            return 0;
        };
        let end = taken.saturating_add(u64::from(valid) * SECOND as u64);
        end.saturating_sub(timer::wall()).min(i64::MAX as u64) as i64
    }
}

struct State {
    /// There while the [`Registry`] is.
    timer: Option<Pin<KBox<Timer<Expiry>>>>,
    /// There while the [`Registry`] is.
    history: Option<History>,
    /// At most one for a unit.
    early: KVec<Early>,
    /// Held while any unit is active: without us its clients' locks would be given away.
    pin: Option<ThisModule>,
}

kernel::sync::global_lock! {
    // SAFETY: Initialised in `Registry::new` before anything can reach it.
    unsafe(uninit) static REGISTRY: Mutex<State> = State {
        timer: None,
        history: None,
        early: KVec::new(),
        pin: None,
    };
}

/// The timer, for hooks. It is there while they are.
static TIMER: Atomic<*const Timer<Expiry>> = Atomic::new(ptr::null());

/// Has what is due looked after at once. Does not sleep; only hooks may call this.
pub(super) fn hurry() {
    // SAFETY: The hooks are gone before the registry, which owns the timer.
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
        drop(registry);
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

/// A unit that was set.
pub(crate) struct Set {
    unit: Arc<Unit>,
    /// The one of that name that it replaced, if it was not over.
    replaced: Option<Arc<Unit>>,
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
    let mut table = copy_without(|old| old.is(net, &rule))?;
    if table.units.iter().filter(|old| old.net == net).count() >= MAX_UNITS {
        return Err(ENOSPC);
    }
    let replaced = copy_without(|old| !old.is(net, &rule))?.units.pop();
    let promise = replaced.as_ref().map_or(0, |old| old.promise.load(Relaxed));
    rule.deadline = rule.deadline.max(promise);
    let unit = Unit::new(net, rule, path)?;
    unit.promise.store(promise, Relaxed);
    // The same phase again only takes longer.
    if let Some(old) = replaced.as_ref().filter(|old| old.rule.phase == phase) {
        if let Some(manifest) = old.manifest.as_ref() {
            unit.manifest.populate(manifest.clone());
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
        attach(&unit, early.manifest);
    }
    rearm(&registry);
    let replaced = replaced.filter(|old| timer::now() < old.end());
    Ok(Set { unit, replaced })
}

/// Gives a recovering unit its manifest. `REGISTRY` is held.
fn attach(unit: &Arc<Unit>, manifest: Arc<Manifest>) {
    let over = manifest.over();
    if unit.manifest.populate(manifest) {
        // What is listed there is newer than what this node gave away.
        unit.promise.store(0, Relaxed);
        if over {
            unit.recovered();
        }
    }
}

/// Takes a manifest for its unit, which may not be there yet.
///
/// Returns `ESTALE`, `ETIMEDOUT` or `ERANGE` if it may not be believed, `EEXIST` if the unit has one
/// and `EBUSY` if its clients have begun to reclaim without.
pub(crate) fn offer(net: Net, manifest: Arc<Manifest>) -> Result {
    let Header::Released { fsid, taken, valid } = manifest.header() else {
        return Err(EINVAL);
    };
    let export = Filesystem::Export(fsid);
    let mut registry = REGISTRY.lock();
    let history = registry.history.as_mut().ok_or(ENODEV)?;
    freshness::judge(taken, valid, timer::wall(), history.newest(net, fsid)).map_err(|doubt| {
        match doubt {
            Doubt::Outdated => errno::stale(),
            Doubt::Expired => ETIMEDOUT,
            Doubt::Future => ERANGE,
        }
    })?;
    let found = copy_without(|unit| {
        unit.net != net
            || unit.rule.filesystem != export
            || unit.rule.phase != Phase::Recovering
            || unit.rule.expired(timer::now())
    })?;
    let progress = manifest.progress();
    if let Some(unit) = found.units.first() {
        if unit.manifest.as_ref().is_some() {
            return Err(EEXIST);
        }
        if unit.counts().reclaimed > 0 {
            return Err(EBUSY);
        }
        history.remember(net, fsid, taken);
        attach(unit, manifest);
    } else {
        if registry.early.iter().filter(|old| old.net == net).count() >= MAX_UNITS {
            return Err(ENOSPC);
        }
        registry
            .early
            .retain(|old| (old.net, old.fsid) != (net, fsid));
        registry.early.push(
            Early {
                net,
                fsid,
                manifest,
            },
            GFP_KERNEL,
        )?;
        if let Some(history) = &mut registry.history {
            history.remember(net, fsid, taken);
        }
    }
    pr_info!(
        "{}\n",
        format_args!(
            "fsid={fsid}{net}: manifest of {} locks and shares",
            progress.listed
        )
    );
    rearm(&registry);
    Ok(())
}

/// Readers for the manifests of units: that of `fsid`, or those of all released ones.
///
/// Returns `ENOENT` if the unit has none.
pub(crate) fn readers(net: Net, fsid: Option<Fsid>) -> Result<KVec<Reader>> {
    let mut readers = KVec::new();
    let _registry = REGISTRY.lock();
    for unit in &copy_without(|unit| unit.net != net)?.units {
        let wanted = match fsid {
            Some(fsid) => unit.rule.filesystem == Filesystem::Export(fsid),
            None => unit.rule.phase == Phase::Released,
        };
        let manifest = unit.manifest.as_ref().filter(|it| !it.spoiled());
        if let (true, Some(manifest)) = (wanted, manifest) {
            let mut header = manifest.header();
            if let (Header::Released { taken, valid, .. }, Phase::Released) =
                (&mut header, unit.rule.phase)
            {
                // Nobody may believe it for longer than this node waits.
                let left = unit.rule.deadline - timer::now();
                let end = timer::wall().saturating_add(left.max(0) as u64);
                *valid = (end.saturating_sub(*taken) / SECOND as u64).min(u32::MAX.into()) as u32;
                unit.promise.store(unit.rule.deadline, Relaxed);
            }
            readers.push(Reader::new(manifest.clone(), header), GFP_KERNEL)?;
        }
    }
    if fsid.is_some() && readers.is_empty() {
        return Err(ENOENT);
    }
    Ok(readers)
}

/// A reader for what is held in the namespace now.
pub(crate) fn held(net: Net) -> Result<Reader> {
    let taken = timer::wall();
    let all = |_: &lockd::File<'_>| true;
    let records = Capture::new(net, &all)?.look(net, &all)?;
    let header = Header::Held { taken };
    Ok(Reader::new(Manifest::new(header, records)?, header))
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
            _ if unit.told.load(Relaxed) => continue,
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
            Phase::Released => (unit.end() - now).min(SWEEP),
            Phase::Recovering => unit.end() - now,
        };
        table.units.iter().map(due).min()
    });
    let early = registry.early.iter().map(Early::left).min();
    let next = match (next, early) {
        (Some(next), Some(early)) => Some(next.min(early)),
        (next, early) => next.or(early),
    };
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
        let _ = tell_recovered();
        let _ = end(|unit| now >= unit.end(), End::Time);
        let _ = sweep();
        let mut registry = REGISTRY.lock();
        registry.early.retain(|early| early.believable());
        rearm(&registry);
    }
}

/// Says of each unit once that all of its manifest is settled.
fn tell_recovered() -> Result {
    let mut registry = REGISTRY.lock();
    let settled = |unit: &Unit| unit.settled.load(Relaxed) != 0;
    for unit in &copy_without(|unit| !settled(unit))?.units {
        if unit.told.xchg(true, Relaxed) {
            continue;
        }
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
        let takes = |file: &lockd::File<'_>| named(file, &fsid) && left(net, file);
        let dropped = Traversal::release(net, &takes, &Nothing)?.dropped;
        if dropped.locks > 0 {
            // They are not on the manifest, which must not be believed.
            forget_manifest(net, fsid)?;
        }
    }
    Ok(())
}

/// Spoils the manifest of a released unit.
fn forget_manifest(net: Net, fsid: Fsid) -> Result {
    let _registry = REGISTRY.lock();
    let export = Filesystem::Export(fsid);
    for unit in &copy_without(|unit| unit.net != net || unit.rule.filesystem != export)?.units {
        if let (Phase::Released, Some(manifest)) = (unit.rule.phase, unit.manifest.as_ref()) {
            manifest.spoil();
        }
    }
    Ok(())
}

fn named(file: &lockd::File<'_>, fsid: &Fsid) -> bool {
    file.handle().is_some_and(|handle| handle.is(fsid))
}

/// Whether the last thing that happened to the filesystem of `file` is that it left.
fn left(net: Net, file: &lockd::File<'_>) -> bool {
    let guard = rcu::read_lock();
    let request = Request {
        op: Op::New,
        handle: file.handle(),
        dev: file.dev(),
        server: None,
        client: None,
        what: What::Other,
    };
    super::active(net, &guard)
        .and_then(|active: Active<'_>| active.judge(&request).1)
        .is_some_and(|unit| unit.rule.phase == Phase::Released)
}

/// Releases the locks on an export and, unless `fence` is 0, keeps new requests waiting for
/// `fence` seconds and takes down what was released.
pub(crate) fn release(net: Net, fsid: Fsid, fence: u32, reply: &mut Text) -> Result {
    let export = Filesystem::Export(fsid);
    let takes = |file: &lockd::File<'_>| named(file, &fsid);
    let mut dropped = Dropped::default();
    let mut taken = None;
    if fence > 0 {
        let missed = crate::hook::missed();
        // Before anything changes, because it may fail for want of memory.
        let capture = match Capture::new(net, &takes) {
            Err(error) if error == E2BIG => None,
            capture => Some(capture?),
        };
        // Before the traversal, so that nothing is granted behind its back.
        let set = set(net, export, None, Phase::Released, fence, &[])?;
        let records = capture.map(|capture| capture.release(net, &takes, &mut dropped));
        // What could not be taken down is still there.
        let rest = Traversal::release(net, &takes, &Nothing)?.dropped;
        dropped.add(&rest);
        if let Some(Ok(records)) = records {
            let whole = rest.locks == 0 && crate::hook::missed() == missed && crate::hook::live();
            taken = Some(keep(net, fsid, &set, records, whole));
        }
    } else {
        match end_unit(net, export, None, None, End::Release) {
            Err(error) if error != ENOENT => return Err(error),
            _ => {}
        }
        dropped = Traversal::release(net, &takes, &Nothing)?.dropped;
    }
    lockd::close_files();
    pr_info!(
        "{}\n",
        format_args!("fsid={fsid}{net}: released for {fence} s, dropped {dropped}")
    );
    reply.add(format_args!("{dropped}"))?;
    if fence > 0 {
        let manifest = match taken {
            Some(true) => "complete",
            _ => "none",
        };
        reply.add(format_args!(" manifest={manifest}"))?;
    }
    reply.add(format_args!("\n"))
}

/// Gives a unit that was just released the manifest of what it held; `whole` tells whether nothing
/// of that is missing. Tells whether it has one that may be believed.
fn keep(net: Net, fsid: Fsid, set: &Set, mut records: Records, mut whole: bool) -> bool {
    let mut registry = REGISTRY.lock();
    let Some(history) = &mut registry.history else {
        return false;
    };
    match &set.replaced {
        Some(old) if old.rule.phase == Phase::Released => {
            // What it held has been taken down before, or was not.
            return old.manifest.as_ref().is_some_and(|manifest| {
                if !whole || !records.is_empty() {
                    manifest.spoil();
                }
                !manifest.spoiled()
            });
        }
        // What clients have not reclaimed yet goes on as if they had.
        Some(old) if old.settled.load(Relaxed) == 0 => {
            whole &= old
                .manifest
                .as_ref()
                .is_some_and(|manifest| manifest.carry_into(&mut records).is_ok());
        }
        _ => {}
    }
    let taken = freshness::stamp(timer::wall(), history.newest(net, fsid));
    history.remember(net, fsid, taken);
    let header = Header::Released {
        fsid,
        taken,
        valid: 0,
    };
    whole
        && Manifest::new(header, records).is_ok_and(|manifest| set.unit.manifest.populate(manifest))
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
        registry.early.retain(|early| early.net != net);
        if let Some(history) = &mut registry.history {
            history.forget(net);
        }
    }
}
