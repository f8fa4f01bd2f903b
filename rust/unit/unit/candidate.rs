// SPDX-License-Identifier: GPL-2.0-only

//! A unit to judge requests by: what it lists, and what conflicts with that.

use super::Unit;
use crate::{
    policy::{
        claim::List,
        nfs4::{
            awaited::Target,
            name::Known, //
        },
        verdict::{
            Candidate,
            Request,
            Rule,
            What, //
        },
    },
    sys::net::Net,
    unit::{
        awaited::Awaited,
        table, //
    }, //
};
use kernel::sync::rcu;

impl Candidate for Unit {
    fn rule(&self) -> &Rule {
        &self.rule
    }

    fn over(&self, now: i64) -> bool {
        Unit::over(self, now)
    }

    fn only_promises(&self) -> bool {
        self.is_outdated()
    }

    fn defers(&self, request: &Request<'_>) -> bool {
        // What was lost when nfsd was stopped is on no list. In its own grace period nfsd has a record,
        // and nobody gets anything new.
        let may_have_had = || {
            self.asked_of_clients(request)
                .is_some_and(|(awaited, client, target)| awaited.may_have_had(client, target))
        };
        self.was_taken_away() && nfsd_in_grace(self.net()) && may_have_had()
    }

    fn lists(&self, request: &Request<'_>) -> Option<bool> {
        if let Some((awaited, client, target)) = self.asked_of_clients(request) {
            return awaited.lists(client, target);
        }
        let manifest = self.manifest.as_ref()?;
        let listed = manifest.lists(self.moved_to(), request);
        // Who was granted something since, and lost it when locks were taken away, is on no list.
        let unknown = !listed
            && self.list() == List::Lacking
            && !manifest.conflicts(self.moved_to(), request);
        (!unknown).then_some(listed)
    }

    fn conflicts(&self, request: &Request<'_>) -> Option<bool> {
        if let Some((awaited, client, target)) = self.asked_of_clients(request) {
            return Some(awaited.conflicts(client, target));
        }
        Some(self.manifest.as_ref()?.conflicts(self.moved_to(), request))
    }
}

impl Unit {
    /// What a request of NFSv4 is to the list of clients, if there is one.
    fn asked_of_clients<'a>(
        &self,
        request: &Request<'a>,
    ) -> Option<(&Awaited, Option<Known<'a>>, Target)> {
        let What::Nfs4(target) = request.what else {
            return None;
        };
        let known = Known::through(request.name, request.server);
        Some((self.awaited()?, known, target))
    }
}

/// Whether nfsd is in a grace period of its own, if it is known: with the last unit, what knows it goes.
fn nfsd_in_grace(net: Net) -> bool {
    let guard = rcu::read_lock();
    table::active(net, &guard).is_none_or(|active| active.manager().others(true, &guard))
}
