// SPDX-License-Identifier: GPL-2.0-only

//! A unit: one that is released or recovering, and what happened to it there.

mod candidate;
mod nfs4;

use crate::{
    policy::{
        claim::{
            Has,
            List, //
        },
        fsid::Fsid,
        line::{
            Counts,
            Line,
            Name, //
        },
        outcome::Count,
        phase::Row,
        verdict::{
            self,
            Request, //
        },
    },
    sys::{
        lockd::file::File,
        net::Net,
        since::Since,
        timer::{
            self,
            Timer, //
        },
        watchers, //
    },
    unit::{
        awaited::Awaited,
        counters::Counters,
        manifest::Manifest,
        span::Span,
        unlocks::Unlocks, //
    },
};
use core::{
    net::IpAddr,
    ptr, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc,
        SetOnce,
        SpinLock, //
    }, //
};

/// The timer that looks after units, for hooks. It is there while they are.
static TIMER: Atomic<*const Timer> = Atomic::new(ptr::null());

/// Makes the timer known, or forgets it. It stays while it is known.
pub(super) fn set_timer(timer: Option<&Timer>) {
    TIMER.store(timer.map_or(ptr::null(), ptr::from_ref), Release);
}

/// Something is to be looked after at once, and was not yet.
static HURRIED: Atomic<bool> = Atomic::new(false);

/// Has what is due looked after at once. Does not sleep. Only hooks, control files, and who holds
/// `REGISTRY`, may call this.
pub(super) fn hurry() {
    HURRIED.store(true, Release);
    // SAFETY: All of these are gone before the timer is forgotten.
    if let Some(timer) = unsafe { TIMER.load(Acquire).as_ref() } {
        timer.arm(0);
    }
}

/// Whether that was asked for since the last [`begin_to_look`]: who has set the timer for later asks
/// then, or what somebody else has set it for just before is forgotten.
pub(super) fn is_hurried() -> bool {
    HURRIED.load(Acquire)
}

/// Who waits for changes in `net` is told of one, from the timer. As [`hurry`].
fn tell_soon(net: Net) {
    watchers::note(net);
    hurry();
}

/// Locks of clients in `net` are taken away otherwise than by a release of ours. As [`hurry`].
pub(crate) fn take_away(net: Net) {
    if Since::take_away(net) {
        tell_soon(net);
    }
}

/// It is looked after now.
pub(super) fn begin_to_look() {
    HURRIED.store(false, Release);
}

/// For a number of missed calls: nothing was found.
const NOT_FOUND: usize = usize::MAX;

/// Tells a unit from all others that there were.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u64);

impl Id {
    /// As a number.
    pub(crate) fn stamp(self) -> usize {
        self.0 as usize
    }

    fn next() -> Self {
        static LAST: Atomic<u64> = Atomic::new(0);
        Self(LAST.fetch_add(1, Relaxed))
    }
}

/// A unit in a phase, and what happened to it there.
#[pin_data]
pub(crate) struct Unit {
    id: Id,
    net: Net,
    rule: verdict::Rule,
    /// The rest of the phase.
    span: Span,
    path: KVec<u8>,
    /// How often locks had been taken away in the namespace when the unit was made.
    taken_away: u64,
    counters: Counters,
    manifest: SetOnce<Arc<Manifest>>,
    /// Whose reclaims end the recovery.
    awaited: SetOnce<Arc<Awaited>>,
    /// Nothing is missing on its manifest, if it has one, but what NFSv4 clients had, and hooks had missed
    /// so many calls when that was found.
    only_nfs4: Atomic<usize>,
    /// It has a manifest then, or will have it.
    beside_nfs4: Atomic<bool>,
    /// Something was found since that no list tells of.
    spoiled: Atomic<bool>,
    /// Taken before `manifest` is set.
    #[pin]
    unlocks: SpinLock<Unlocks>,
    /// Until then nothing must be granted here, because a manifest was given away that says so.
    promise: Atomic<i64>,
    /// The last entry of the manifest was settled. NFSv4 clients may still have something to get back.
    settled: Atomic<bool>,
    /// The log has it that the recovery is over.
    told: Atomic<bool>,
    /// A later recovery of the same filesystem was met: the unit does not count any more.
    outdated: Atomic<bool>,
    /// A client has asked for something here.
    visited: Atomic<bool>,
    /// How many need the phase to go on, see [`super::held`].
    holders: Atomic<i32>,
}

impl Unit {
    /// Makes a unit whose phase ends at `limit` at the latest. May sleep.
    pub(super) fn new(net: Net, rule: verdict::Rule, limit: i64, path: &[u8]) -> Result<Arc<Self>> {
        let mut copy = KVec::with_capacity(path.len(), GFP_KERNEL)?;
        copy.extend_from_slice(path, GFP_KERNEL)?;
        let unlocks = Unlocks::new()?;
        let taken_away = Since::taken_away(net);
        Arc::pin_init(
            pin_init!(Self {
                id: Id::next(),
                net,
                rule,
                span: Span::new(rule.deadline, limit),
                path: copy,
                taken_away,
                counters: Counters::new(),
                manifest: SetOnce::new(),
                awaited: SetOnce::new(),
                only_nfs4: Atomic::new(NOT_FOUND),
                beside_nfs4: Atomic::new(false),
                spoiled: Atomic::new(false),
                unlocks <- new_spinlock!(unlocks),
                promise: Atomic::new(0),
                settled: Atomic::new(false),
                told: Atomic::new(false),
                outdated: Atomic::new(false),
                visited: Atomic::new(false),
                holders: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// What tells it from all other units. Those that come later have larger ones.
    pub(crate) fn id(&self) -> Id {
        self.id
    }

    /// Its network namespace.
    pub(super) fn net(&self) -> Net {
        self.net
    }

    /// How often locks had been taken away in the namespace when the unit was made.
    pub(super) fn taken_away(&self) -> u64 {
        self.taken_away
    }

    /// How it is named, its phase, and when that was to end.
    pub(crate) fn rule(&self) -> &verdict::Rule {
        &self.rule
    }

    /// When its phase ends, see [`Span::end`].
    pub(super) fn end(&self) -> i64 {
        self.span.end()
    }

    /// Something was reclaimed: whoever did so is given the time to go on.
    pub(crate) fn prolong(&self) {
        if self.phase().recovers {
            self.span.put_off();
        }
    }

    /// What its phase means.
    pub(super) fn phase(&self) -> Row {
        self.rule.phase.means()
    }

    /// The export that it is named by; [`None`] if it is named by path.
    pub(super) fn fsid(&self) -> Option<Fsid> {
        match self.rule.filesystem {
            verdict::Filesystem::Export(fsid) => Some(fsid),
            verdict::Filesystem::Device(_) => None,
        }
    }

    /// The only address whose clients may reclaim, and the path that it was named by.
    pub(super) fn is_resumed(&self, ip: IpAddr, path: &[u8]) -> bool {
        self.rule.ip == Some(ip) && !path.is_empty() && *self.path == *path
    }

    /// Counts what became of a request.
    pub(crate) fn count(&self, count: Count) {
        if self.counters.count(count) {
            tell_soon(self.net);
        }
        if count == Count::Reclaimed {
            self.prolong();
        }
    }

    /// Notes that a client has asked for something here.
    pub(super) fn visit(&self) {
        // Most often it is known, and then nothing is written.
        if !self.visited.load(Relaxed) {
            self.visited.store(true, Relaxed);
        }
    }

    /// Whether a client has.
    pub(super) fn is_visited(&self) -> bool {
        self.visited.load(Relaxed)
    }

    /// Whether the unit has left this node.
    pub(crate) fn has_departed(&self) -> bool {
        self.phase().departed
    }

    /// Whether it is known what was held.
    pub(crate) fn has_manifest(&self) -> bool {
        self.manifest.as_ref().is_some()
    }

    /// Whether something was taken away in the namespace since the unit is there.
    fn was_taken_away(&self) -> bool {
        Since::taken_away(self.net()) != self.taken_away
    }

    /// What it has to tell what clients may reclaim.
    pub(crate) fn list(&self) -> List {
        if !self.has_manifest() {
            List::None
        } else if self.was_taken_away() {
            List::Lacking
        } else {
            List::Whole
        }
    }

    /// What was held, if that is known.
    pub(super) fn manifest(&self) -> Option<&Arc<Manifest>> {
        self.manifest.as_ref()
    }

    /// Something was found that its manifest lacks, if it has one.
    pub(crate) fn spoil_manifest(&self) {
        if let Some(manifest) = self.manifest.as_ref() {
            manifest.spoil();
        }
        // After that: a full barrier comes with it.
        self.spoiled.xchg(true, Full);
    }

    /// Until when nothing must be granted here, because a manifest was given away that says so.
    pub(crate) fn promised_until(&self) -> i64 {
        self.promise.load(Relaxed)
    }

    /// A manifest is given away by which nothing is granted here until then.
    pub(super) fn promise_until(&self, time: i64) {
        self.promise.xchg(time, Full);
    }

    /// A newer list than the one that was given away is believed here.
    pub(super) fn forget_promise(&self) {
        self.promise.store(0, Relaxed);
    }

    /// Whether nothing of its lists is outstanding any more. What hooks find out last they have the
    /// timer look at.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.load(Relaxed) && !self.misses_nfs4()
    }

    /// Whether clients had the time to reclaim: any of them came, or nothing was left to reclaim.
    pub(super) fn has_served(&self) -> bool {
        self.is_visited() || self.is_settled()
    }

    /// A later recovery of the same filesystem was met: the unit does not count any more.
    pub(super) fn outdate(&self) {
        self.outdated.store(true, Relaxed);
    }

    /// Whether the unit does not count any more.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated.load(Relaxed)
    }

    /// Somebody needs the phase to go on, see [`super::held`].
    pub(super) fn begin_hold(&self) {
        self.holders.fetch_add(1, Full);
    }

    /// Somebody does not need that any more.
    pub(super) fn end_hold(&self) {
        self.holders.fetch_sub(1, Full);
    }

    /// Whether anybody needs the phase to go on.
    pub(super) fn is_held(&self) -> bool {
        self.holders.load(Acquire) > 0
    }

    /// Where clients may have become other hosts by a move, if that is here.
    fn moved_to(&self) -> Option<Net> {
        (!self.has_departed()).then_some(self.net)
    }

    /// A client has back, or gave up, what the request is about.
    pub(crate) fn settle(&self, request: &Request<'_>) {
        let mut unlocks = self.unlocks.lock();
        let Some(manifest) = self.manifest.as_ref() else {
            return unlocks.keep(request);
        };
        drop(unlocks);
        if manifest.settle(self.moved_to(), request) {
            self.mark_settled();
        }
    }

    /// Whether all is settled, and the log does not have it yet.
    pub(super) fn is_untold(&self) -> bool {
        self.is_settled() && !self.is_told()
    }

    /// Whether the log has it that the recovery is over.
    pub(super) fn is_told(&self) -> bool {
        self.told.load(Relaxed)
    }

    /// The log has it that the recovery is over.
    pub(super) fn mark_told(&self) {
        self.told.store(true, Relaxed);
    }

    /// Gives the unit its manifest; tells whether it has had none. May sleep.
    ///
    /// `REGISTRY` is held, so nobody else does so meanwhile.
    pub(super) fn populate(&self, manifest: &Arc<Manifest>) -> bool {
        // Memory of a manifest is given back where that may sleep: not under the spinlock.
        let copy = manifest.clone();
        if self.has_manifest() {
            return false;
        }
        let mut unlocks = self.unlocks.lock();
        unlocks.settle(manifest);
        self.manifest.populate(copy)
    }

    /// Whether what the client has been granted here, together with what is listed for it, covers
    /// its reclaim. Does not sleep.
    ///
    /// A lock that it downgraded here still covers an exclusive reclaim if nobody else's entry
    /// conflicts: it may not have seen the answer when it was told to reclaim.
    pub(crate) fn has_by_now(&self, request: &Request<'_>, file: &File<'_>) -> Option<Has> {
        let manifest = self.manifest.as_ref()?;
        manifest.has_by_now(self.moved_to(), request, file)
    }

    /// Nothing of the manifest is outstanding any more. Does not sleep.
    pub(super) fn mark_settled(&self) {
        if self.phase().recovers {
            self.settled.store(true, Relaxed);
            hurry();
        }
    }

    /// What was counted.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            reclaimed: self.counters.reclaimed(),
            refused: self.counters.refused(),
            waits: self.counters.waits(),
            reasons: self.counters.reasons(),
            manifest: self.manifest.as_ref().map(|manifest| manifest.progress()),
        }
    }

    /// How it is named.
    pub(crate) fn name(&self) -> Name<'_> {
        Name {
            unit: &self.rule,
            path: &self.path,
        }
    }

    /// Its line in the status.
    pub(super) fn line(&self) -> Line<'_> {
        Line {
            name: self.name(),
            counts: self.counts(),
            settled: self.is_settled(),
            nfs4_outstanding: self.awaited().map(|awaited| awaited.missing()),
            left: self.end().saturating_sub(timer::now()),
        }
    }

    /// Whether it is that of an export.
    pub(super) fn names(&self, fsid: Fsid) -> bool {
        self.fsid() == Some(fsid)
    }

    /// Whether the time of the phase is over, for good.
    pub(super) fn is_late(&self, now: i64) -> bool {
        self.span.is_over(now)
    }

    /// Whether a client that finds it not exported is best told to come again. While it waits, a client of
    /// NFSv4 reclaims nothing else: what else it has needs its time, too.
    pub(super) fn may_be_exported(&self, now: i64) -> bool {
        !self.phase().recovers || self.span.in_first_half(self.rule.deadline, now)
    }

    /// Whether the phase is over: such a unit is none any more, even before the timer has removed
    /// it.
    pub(super) fn over(&self, now: i64) -> bool {
        self.is_late(now) && !self.is_held()
    }

    /// Whether it is the unit of that name.
    pub(super) fn is(&self, net: Net, filesystem: verdict::Filesystem, ip: Option<IpAddr>) -> bool {
        self.net == net && self.rule.is_named(filesystem, ip)
    }
}
