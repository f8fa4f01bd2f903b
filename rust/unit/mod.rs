// SPDX-License-Identifier: GPL-2.0-only

//! The active units: who is released or recovering, in which network namespace, until when.
//!
//! Hooks look at a snapshot under RCU; everything that changes it (control files, the expiry
//! timer, the end of a namespace) holds `REGISTRY` and may sleep. Lock order: `REGISTRY`, then
//! whatever the kernel takes below `locks_start_grace()`. `REGISTRY` is never taken by a hook and
//! never held while lockd's locks are released.

pub(crate) mod device;
pub(crate) mod registry;

use crate::{
    policy::{
        line::{
            Counts,
            Line,
            Name, //
        },
        verdict::{
            self,
            judge,
            Filesystem,
            Phase,
            Request,
            Verdict, //
        }, //
    },
    sys::{
        grace::Manager,
        net::Net,
        rcu::Snapshot,
        timer, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu::Guard,
        Arc, //
    }, //
};

/// A unit in a phase, and what happened to it there.
pub(crate) struct Unit {
    net: Net,
    rule: verdict::Unit,
    path: KVec<u8>,
    reclaimed: Atomic<u64>,
    refused: Atomic<u64>,
    waits: Atomic<u64>,
    /// A later recovery of the same filesystem was met: the unit does not count any more.
    outdated: Atomic<bool>,
}

impl Unit {
    fn new(net: Net, rule: verdict::Unit, path: &[u8]) -> Result<Arc<Self>> {
        let mut copy = KVec::with_capacity(path.len(), GFP_KERNEL)?;
        copy.extend_from_slice(path, GFP_KERNEL)?;
        Ok(Arc::new(
            Self {
                net,
                rule,
                path: copy,
                reclaimed: Atomic::new(0),
                refused: Atomic::new(0),
                waits: Atomic::new(0),
                outdated: Atomic::new(false),
            },
            GFP_KERNEL,
        )?)
    }

    /// Counts a reclaim that was granted.
    pub(crate) fn count_reclaimed(&self) {
        self.reclaimed.add(1, Relaxed);
    }

    /// Counts a reclaim that was refused.
    pub(crate) fn count_refused(&self) {
        self.refused.add(1, Relaxed);
    }

    /// Counts a request that was told to wait.
    pub(crate) fn count_wait(&self) {
        self.waits.add(1, Relaxed);
    }

    /// Whether the unit has left this node.
    pub(crate) fn has_left(&self) -> bool {
        self.rule.phase == Phase::Released
    }

    fn counts(&self) -> Counts {
        Counts {
            reclaimed: self.reclaimed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            waits: self.waits.load(Relaxed),
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

    fn is(&self, net: Net, rule: &verdict::Unit) -> bool {
        self.net == net && self.rule.same(rule)
    }
}

impl AsRef<verdict::Unit> for Unit {
    fn as_ref(&self) -> &verdict::Unit {
        &self.rule
    }
}

/// All units, in the order in which they were set, and a grace period for each namespace that has
/// one of them.
#[derive(Default)]
struct Table {
    units: KVec<Arc<Unit>>,
    managers: KVec<Arc<Manager>>,
}

static TABLE: Snapshot<Table> = Snapshot::new();

/// Whether any unit is active anywhere.
pub(crate) fn any(guard: &Guard) -> bool {
    TABLE.read(guard).is_some()
}

/// The units of one network namespace.
pub(crate) struct Active<'a> {
    table: &'a Table,
    manager: &'a Manager,
}

/// Returns the units that are active in `net`.
pub(crate) fn active<'a>(net: Net, guard: &'a Guard) -> Option<Active<'a>> {
    let table = TABLE.read(guard)?;
    let manager = table.managers.iter().find(|manager| manager.net() == net)?;
    Some(Active { table, manager })
}

impl<'a> Active<'a> {
    /// Our entry in the stock grace period of the namespace.
    pub(crate) fn manager(&self) -> &'a Manager {
        self.manager
    }

    /// Judges a request.
    pub(crate) fn judge(&self, request: &Request) -> (Verdict, Option<&'a Unit>) {
        let (verdict, unit) = judge(self.units(), request, timer::now());
        if let Some(unit) = unit {
            // Those set after the one that decided do not cover the request.
            for other in self.units() {
                if other.rule.outdated_by(&unit.rule, request) {
                    other.outdated.store(true, Relaxed);
                }
            }
        }
        (verdict, unit)
    }

    /// Whether any unit is named by its device.
    pub(crate) fn names_devices(&self) -> bool {
        self.units()
            .any(|unit| matches!(unit.rule.filesystem, Filesystem::Device(_)))
    }

    fn units(&self) -> impl DoubleEndedIterator<Item = &'a Unit> {
        let net = self.manager.net();
        self.table
            .units
            .iter()
            .map(|unit| &**unit)
            .filter(move |unit| unit.net == net && !unit.outdated.load(Relaxed))
    }
}
