// SPDX-License-Identifier: GPL-2.0-only

//! The active units: who is released or recovering, in which network namespace, until when.
//!
//! Hooks look at a snapshot under RCU; everything that changes it (control files, the expiry
//! timer, the end of a namespace) holds `REGISTRY` and may sleep. Lock order: `RELEASING`,
//! `REGISTRY`, then whatever the kernel takes below `locks_start_grace()`. `REGISTRY` is never
//! taken by a hook and never held while lockd's locks are released.

pub(crate) mod device;
mod givenup;
pub(crate) mod handover;
mod history;
pub(crate) mod manifest;
pub(crate) mod registry;
pub(crate) mod release;
mod table;

pub(crate) use table::{
    active,
    any,
    Active, //
};

use crate::{
    policy::{
        fsid::Fsid,
        line::{
            Counts,
            Line,
            Name,
            Reasons, //
        },
        verdict::{
            self,
            Candidate,
            Phase,
            Reason,
            Request, //
        }, //
    },
    sys::{
        lockd,
        net::Net,
        timer, //
    },
};
use givenup::GivenUp;
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SetOnce,
        SpinLock, //
    }, //
};
use manifest::Manifest;

/// Tells a unit from all others that there were.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(u64);

impl Id {
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
    rule: verdict::Unit,
    path: KVec<u8>,
    reclaimed: Atomic<u64>,
    refused: Atomic<u64>,
    waits: Atomic<u64>,
    /// Refused reclaims by [`Reason`].
    reasons: [Atomic<u64>; 3],
    manifest: SetOnce<Arc<Manifest>>,
    /// Taken before `manifest` is set.
    #[pin]
    given_up: SpinLock<GivenUp>,
    /// Until then nothing must be granted here, because a manifest was given away that says so.
    promise: Atomic<i64>,
    /// The last entry of the manifest was settled.
    settled: Atomic<bool>,
    /// The log has it that the recovery is over.
    told: Atomic<bool>,
    /// A later recovery of the same filesystem was met: the unit does not count any more.
    outdated: Atomic<bool>,
}

impl Unit {
    fn new(net: Net, rule: verdict::Unit, path: &[u8]) -> Result<Arc<Self>> {
        let mut copy = KVec::with_capacity(path.len(), GFP_KERNEL)?;
        copy.extend_from_slice(path, GFP_KERNEL)?;
        let given_up = GivenUp::new()?;
        Arc::pin_init(
            pin_init!(Self {
                id: Id::next(),
                net,
                rule,
                path: copy,
                reclaimed: Atomic::new(0),
                refused: Atomic::new(0),
                waits: Atomic::new(0),
                reasons: [const { Atomic::new(0) }; 3],
                manifest: SetOnce::new(),
                given_up <- new_spinlock!(given_up),
                promise: Atomic::new(0),
                settled: Atomic::new(false),
                told: Atomic::new(false),
                outdated: Atomic::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// What tells it from all other units.
    pub(crate) fn id(&self) -> Id {
        self.id
    }

    /// Counts a reclaim that was granted.
    pub(crate) fn count_reclaimed(&self) {
        self.reclaimed.add(1, Relaxed);
    }

    /// Counts a reclaim that lockd refused although the unit let it through.
    pub(crate) fn count_refused(&self) {
        self.refused.add(1, Relaxed);
    }

    /// Counts a reclaim that the unit refused.
    pub(crate) fn count_reason(&self, reason: Reason) {
        self.refused.add(1, Relaxed);
        self.reasons[reason as usize].add(1, Relaxed);
    }

    /// Counts a request that was told to wait.
    pub(crate) fn count_wait(&self) {
        self.waits.add(1, Relaxed);
    }

    /// Whether the unit has left this node.
    pub(crate) fn has_left(&self) -> bool {
        self.rule.phase == Phase::Released
    }

    /// Whether it is known what was held.
    pub(crate) fn has_manifest(&self) -> bool {
        self.manifest.as_ref().is_some()
    }

    /// A client has back, or gave up, what the request is about.
    pub(crate) fn settle(&self, request: &Request<'_>) {
        let mut given_up = self.given_up.lock();
        let Some(manifest) = self.manifest.as_ref() else {
            return given_up.keep(request);
        };
        drop(given_up);
        if manifest.settle(request) {
            self.recovered();
        }
    }

    /// Whether all is settled, and the log does not have it yet.
    fn untold(&self) -> bool {
        self.settled.load(Relaxed) && !self.told.load(Relaxed)
    }

    /// Gives the unit its manifest, unless it has one.
    fn populate(&self, manifest: Arc<Manifest>) -> bool {
        let mut given_up = self.given_up.lock();
        given_up.settle(&manifest);
        self.manifest.populate(manifest)
    }

    /// Whether the client holds some of what it wants to reclaim on `file` by now, and had the
    /// rest when the unit was released. Does not sleep.
    ///
    /// What it made shared here counts as exclusive, too, if nobody else has it: it may not know of
    /// the answer yet when it is told to reclaim.
    pub(crate) fn has_by_now(&self, request: &Request<'_>, file: &lockd::File<'_>) -> bool {
        self.manifest
            .as_ref()
            .is_some_and(|manifest| manifest.has_by_now(request, file))
    }

    /// Nothing of the manifest is outstanding any more. Does not sleep.
    fn recovered(&self) {
        if self.rule.phase == Phase::Recovering {
            self.settled.store(true, Relaxed);
            registry::hurry();
        }
    }

    fn counts(&self) -> Counts {
        let reason = |reason: Reason| self.reasons[reason as usize].load(Relaxed);
        Counts {
            reclaimed: self.reclaimed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            waits: self.waits.load(Relaxed),
            reasons: Reasons {
                released: reason(Reason::Released),
                address: reason(Reason::Address),
                unlisted: reason(Reason::Unlisted),
            },
            manifest: self.manifest.as_ref().map(|manifest| manifest.progress()),
        }
    }

    fn name(&self) -> Name<'_> {
        Name {
            unit: &self.rule,
            path: &self.path,
        }
    }

    fn line(&self) -> Line<'_> {
        Line {
            name: self.name(),
            counts: self.counts(),
            now: timer::now(),
        }
    }

    /// Whether it is that of an export.
    fn names(&self, fsid: Fsid) -> bool {
        self.rule.filesystem == verdict::Filesystem::Export(fsid)
    }

    fn is(&self, net: Net, rule: &verdict::Unit) -> bool {
        self.net == net && self.rule.same(rule)
    }
}

impl Candidate for Unit {
    fn unit(&self) -> &verdict::Unit {
        &self.rule
    }

    fn lists(&self, request: &Request<'_>) -> Option<bool> {
        Some(self.manifest.as_ref()?.lists(request))
    }

    fn conflicts(&self, request: &Request<'_>) -> Option<bool> {
        Some(self.manifest.as_ref()?.conflicts(request))
    }
}
