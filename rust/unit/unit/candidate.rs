// SPDX-License-Identifier: GPL-2.0-only

//! A unit to judge requests by: what it lists, and what conflicts with that.

use super::Unit;
use crate::{
    policy::{
        beside::Lists,
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
    unit::table, //
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
        let What::Nfs4(target, _) = request.what else {
            return false;
        };
        // What was lost when nfsd was stopped is on no list. In its own grace period nfsd has a record,
        // and nobody gets anything new.
        let may_have_had = || {
            let of_nlm = self.conflicts_with_manifest(request) == Some(true);
            match (self.awaited(), self.lists_there()) {
                (Some(awaited), _) => awaited.may_have_had(asks(request), target, of_nlm),
                (None, Lists::Manifest) => !of_nlm,
                (None, _) => false,
            }
        };
        self.was_taken_away() && nfsd_in_grace(self.net()) && may_have_had()
    }

    fn lists(&self, request: &Request<'_>) -> Option<bool> {
        if let What::Nfs4(target, _) = request.what {
            let awaited = self.awaited();
            let listed = awaited.and_then(|it| it.lists(asks(request), target));
            return self.lists_there().has_nfs4(listed);
        }
        let listed = self.manifest.as_ref()?.lists(self.moved_to(), request);
        // Who was granted something since, and lost it when locks were taken away, is on no list.
        let unknown =
            !listed && self.list() == List::Lacking && self.conflicts(request) == Some(false);
        (!unknown).then_some(listed)
    }

    fn conflicts(&self, request: &Request<'_>) -> Option<bool> {
        let of_nlm = self.conflicts_with_manifest(request);
        let target = match request.what {
            What::Nfs4(target, _) => target,
            // The list has inode numbers, and where a handle has them each filesystem knows for itself.
            _ => Target::Any,
        };
        let awaited = self.awaited();
        let of_nfs4 = awaited.map(|it| it.conflicts(asks(request), target));
        self.lists_there().conflict(of_nlm, of_nfs4)
    }
}

impl Unit {
    /// Which lists it has.
    fn lists_there(&self) -> Lists {
        let manifest = self.manifest.as_ref().map(|it| it.lists_nfs4());
        Lists::of(manifest, self.awaited().is_some())
    }

    /// Whether what is asked for as new conflicts with the manifest, if there is one.
    fn conflicts_with_manifest(&self, request: &Request<'_>) -> Option<bool> {
        let manifest = self.manifest.as_ref()?;
        Some(manifest.conflicts(self.moved_to(), request))
    }
}

/// Which client of NFSv4 asks, if it is one that is known.
fn asks<'a>(request: &Request<'a>) -> Option<Known<'a>> {
    match request.what {
        What::Nfs4(..) => Known::through(request.name, request.server),
        _ => None,
    }
}

/// Whether nfsd is in a grace period of its own, if it is known: with the last unit, what knows it goes.
fn nfsd_in_grace(net: Net) -> bool {
    let guard = rcu::read_lock();
    table::active(net, &guard).is_none_or(|active| active.manager().others(true, &guard))
}
