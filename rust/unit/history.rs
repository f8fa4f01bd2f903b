// SPDX-License-Identifier: GPL-2.0-only

//! What this node remembers of units: the newest release it made or believed a manifest of.
//!
//! Without that it could believe a manifest that is older than a lock, see
//! [`crate::policy::manifest::freshness`]. What had to be forgotten counts as known for all units:
//! manifests from before are refused. Guarded by the registry's lock.

use crate::{
    policy::fsid::Fsid,
    sys::{
        net::Net,
        timer, //
    }, //
};
use kernel::prelude::*;

/// Most units that are remembered one by one.
const CAPACITY: usize = 256;

/// The newest release of each unit, as nanoseconds of the wall clock.
pub(super) struct History {
    units: KVec<(Net, Fsid, u64)>,
    /// Of units that are not there.
    floor: u64,
}

impl History {
    /// Begins to remember.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            units: KVec::with_capacity(CAPACITY, GFP_KERNEL)?,
            floor: timer::wall(),
        })
    }

    /// The newest release that is known.
    pub(super) fn newest(&self, net: Net, fsid: Fsid) -> u64 {
        let found = self
            .units
            .iter()
            .find(|unit| (unit.0, unit.1) == (net, fsid));
        found.map_or(self.floor, |unit| unit.2)
    }

    /// Remembers a release.
    pub(super) fn remember(&mut self, net: Net, fsid: Fsid, taken: u64) {
        let unit = self
            .units
            .iter_mut()
            .find(|unit| (unit.0, unit.1) == (net, fsid));
        if let Some(unit) = unit {
            unit.2 = unit.2.max(taken);
            return;
        }
        if self.units.len() == CAPACITY {
            if let Ok(oldest) = self.units.remove(0) {
                self.floor = self.floor.max(oldest.2);
            }
        }
        let floor = self.floor;
        // There is room: it was made in the beginning.
        let pushed = self
            .units
            .push_within_capacity((net, fsid, taken.max(floor)));
        if pushed.is_err() {
            self.floor = floor.max(taken);
        }
    }

    /// Forgets a network namespace: the next may get its address.
    pub(super) fn forget(&mut self, net: Net) {
        self.units.retain(|unit| unit.0 != net);
        self.floor = self.floor.max(timer::wall());
    }
}
