// SPDX-License-Identifier: GPL-2.0-only

//! What this node remembers of units: the newest release it made or believed a manifest of.
//!
//! Without that it could believe a manifest that is older than a lock, see
//! [`crate::policy::manifest::freshness`]. What had to be forgotten of a network namespace counts as
//! known for all units there: manifests from before are refused. Other namespaces are not concerned:
//! whoever may use one cannot make a node forget what belongs to somebody else. Guarded by the
//! registry's lock.

use crate::{
    policy::{
        fsid::Fsid,
        manifest::debt::{
            Debt,
            Ended, //
        },
    },
    sys::{
        net::Net,
        since::Since, //
    }, //
};
use kernel::prelude::*;

/// Maximum number of units of one network namespace that are remembered one by one.
const CAPACITY: usize = 256;

struct Past {
    net: Net,
    fsid: Fsid,
    /// The newest release, as nanoseconds of the wall clock.
    newest: u64,
    /// What its clients are owed here.
    debt: Debt,
}

/// Units, those remembered first in front.
#[derive(Default)]
pub(super) struct History(KVVec<Past>);

impl History {
    fn find(&self, net: Net, fsid: Fsid) -> Option<usize> {
        let mut units = self.0.iter();
        units.position(|unit| (unit.net, unit.fsid) == (net, fsid))
    }

    /// The newest release that is known, or, if none is, since when all of them are.
    pub(super) fn newest(&self, net: Net, fsid: Fsid) -> u64 {
        let found = self.find(net, fsid).map_or(0, |at| self.0[at].newest);
        found.max(Since::of(net))
    }

    /// Remembers that a recovery has ended, after [`History::remember`]: see [`Debt::recovered`].
    pub(super) fn recovered(&mut self, net: Net, fsid: Fsid, how: Ended, taken_away: u64) {
        if let Some(at) = self.find(net, fsid) {
            self.0[at].debt.recovered(how, taken_away);
        }
    }

    /// Remembers that what clients held was dropped.
    pub(super) fn dropped(&mut self, net: Net, fsid: Fsid) {
        // It may be the first that is known of the unit.
        self.remember(net, fsid, self.newest(net, fsid));
        if let Some(at) = self.find(net, fsid) {
            self.0[at].debt.dropped();
        }
    }

    /// A newer list of the unit was believed: what was dropped here before is on it or reclaimed.
    pub(super) fn believed(&mut self, net: Net, fsid: Fsid) {
        if let Some(at) = self.find(net, fsid) {
            self.0[at].debt.believed(Since::taken_away(net));
        }
    }

    /// Whether clients may still believe in locks that were dropped here, or that nobody could come
    /// to reclaim; `nothing` is held.
    pub(super) fn owes(&self, net: Net, fsid: Fsid, nothing: bool) -> bool {
        self.find(net, fsid)
            .is_some_and(|at| self.0[at].debt.is_owed(nothing))
    }

    /// Whether locks were taken away by others, of which clients have had no time to reclaim them here
    /// since.
    pub(super) fn lacks(&self, net: Net, fsid: Fsid) -> bool {
        let debt = self.find(net, fsid).map(|at| self.0[at].debt);
        debt.unwrap_or_default().lacks(Since::taken_away(net))
    }

    /// Remembers a release.
    pub(super) fn remember(&mut self, net: Net, fsid: Fsid, taken: u64) {
        if let Some(at) = self.find(net, fsid) {
            let newest = &mut self.0[at].newest;
            *newest = taken.max(*newest);
            return;
        }
        self.make_room(net);
        let unit = Past {
            net,
            fsid,
            newest: taken,
            debt: Debt::default(),
        };
        if self.0.push(unit, GFP_KERNEL).is_err() {
            Since::forget(net, taken);
        }
    }

    /// Forgets a unit of `net` if there are too many.
    fn make_room(&mut self, net: Net) {
        let of_net = |unit: &Past| unit.net == net;
        if self.0.iter().filter(|unit| of_net(unit)).count() < CAPACITY {
            return;
        }
        // What else is known of them cannot be told by a time.
        let settled = |unit: &Past| of_net(unit) && !unit.debt.is_owed(true);
        let settled = self.0.iter().position(settled);
        let oldest = settled.or_else(|| self.0.iter().position(of_net));
        if let Some(Ok(oldest)) = oldest.map(|at| self.0.remove(at)) {
            Since::forget(net, oldest.newest);
        }
    }

    /// Whether anything is known of a network namespace.
    pub(super) fn knows(&self, net: Net) -> bool {
        self.0.iter().any(|unit| unit.net == net)
    }

    /// Forgets a network namespace, which is going.
    pub(super) fn forget(&mut self, net: Net) {
        self.0.retain(|unit| unit.net != net);
    }
}
