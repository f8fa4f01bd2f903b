// SPDX-License-Identifier: GPL-2.0-only

//! The table of units that hooks look at.
//!
//! It is read under RCU and never changes: the registry, with `REGISTRY` held, puts another one in
//! its place.

use super::unit::{
    Id,
    Unit, //
};
use crate::{
    policy::{
        fsid::{
            Dev,
            HandleFsid, //
        },
        nfs4::name::Known,
        verdict::{
            judge,
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
use core::net::IpAddr;
use kernel::{
    prelude::*,
    sync::{
        rcu::{
            self,
            Guard, //
        },
        Arc, //
    }, //
};

/// All units, in the order in which they were set, and a grace period for each namespace that has
/// one of them.
#[derive(Default)]
pub(super) struct Table {
    pub(super) units: KVec<Arc<Unit>>,
    pub(super) managers: KVec<Arc<Manager>>,
}

pub(super) static TABLE: Snapshot<Table> = Snapshot::new();

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
    pub(crate) fn judge(&self, request: &Request<'_>) -> (Verdict, Option<&'a Unit>) {
        let now = timer::now();
        let (verdict, unit) = judge(self.units_at(now), request, now);
        if let Some(unit) = unit {
            unit.visit();
            // Those set after the one that decided do not cover the request.
            for other in self.units() {
                if other.rule().outdated_by(unit.rule(), request) {
                    other.outdate();
                }
            }
        }
        (verdict, unit)
    }

    /// The unit that came last.
    pub(crate) fn last(&self) -> Option<Id> {
        self.all().map(Unit::id).max()
    }

    /// A client has back, or gave up, what the request is about: it is outstanding in no unit any
    /// more, of those that came no later than `last`.
    pub(crate) fn settle(&self, request: &Request<'_>, last: Option<Id>) {
        for unit in self.all() {
            if Some(unit.id()) <= last && unit.rule().is_of(request) {
                unit.settle(request);
            }
        }
    }

    /// Whether locks and shares of the filesystem that `request` is about are just being dropped.
    pub(crate) fn is_dropping(&self, request: &Request<'_>) -> bool {
        let mut units = self.all();
        units.any(|unit| unit.is_held() && unit.rule().is_of(request))
    }

    /// Whether something that clients use by `server` is on its way here or elsewhere.
    pub(crate) fn moves(&self, server: Option<IpAddr>) -> bool {
        let now = timer::now();
        self.units_at(now)
            .any(|unit| unit.rule().is_for(server) && !unit.over(now))
    }

    /// The same of a handle, on that device if it is known, whose filesystem is not exported.
    pub(crate) fn moves_unexported(
        &self,
        server: Option<IpAddr>,
        handle: HandleFsid,
        dev: Option<Dev>,
    ) -> bool {
        let now = timer::now();
        self.units_at(now).any(|unit| {
            let rule = unit.rule();
            let is_its = rule.may_have(handle, dev) && rule.is_for(server);
            is_its && unit.may_be_exported(now) && !unit.over(now)
        })
    }

    /// A client of NFSv4 that uses `server` has completed its reclaims, of units that came no later
    /// than `last`.
    pub(crate) fn complete(&self, server: Option<IpAddr>, name: &[u8], last: Option<Id>) {
        // It can name itself as it likes, by whatever address.
        let Some(client) = Known::through(name, server) else {
            return;
        };
        for unit in self.units().filter(|unit| Some(unit.id()) <= last) {
            if unit.rule().is_for(server) {
                unit.complete(client);
            }
        }
    }

    /// A unit, if it still counts.
    pub(crate) fn unit(&self, id: Id) -> Option<&'a Unit> {
        self.units().find(|unit| unit.id() == id)
    }

    /// Whether any unit is named by its device.
    pub(crate) fn names_devices(&self) -> bool {
        self.units().any(|unit| unit.fsid().is_none())
    }

    pub(super) fn units(&self) -> impl DoubleEndedIterator<Item = &'a Unit> {
        self.all().filter(|unit| !unit.is_outdated())
    }

    /// Those that count, and those that do not but have promised that nothing is granted.
    fn units_at(&self, now: i64) -> impl DoubleEndedIterator<Item = &'a Unit> {
        self.all()
            .filter(move |unit| !unit.is_outdated() || now < unit.promised_until())
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = &'a Unit> {
        let net = self.manager.net();
        let units = self.table.units.iter().map(|unit| &**unit);
        units.filter(move |unit| unit.net() == net)
    }
}

/// A copy of the current table without the units that match, with room for one more unit and
/// manager. `REGISTRY` is held.
pub(super) fn copy_without(matches: impl Fn(&Unit) -> bool) -> Result<KBox<Table>> {
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
