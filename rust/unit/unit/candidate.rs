// SPDX-License-Identifier: GPL-2.0-only

//! A unit to judge requests by: what it lists, and what conflicts with that.

use super::Unit;
use crate::{
    policy::{
        claim::List,
        nfs4::name::is_through,
        verdict::{
            Candidate,
            Request,
            Rule,
            What, //
        },
    },
    sys::since::Since, //
};

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

    fn lists(&self, request: &Request<'_>) -> Option<bool> {
        if let (What::Nfs4(target), Some(awaited)) = (request.what, self.awaited()) {
            // A client that nfsd knows by its own name still is on the list by another.
            let listed = awaited.lists(request.name, target).filter(|_| {
                request
                    .server
                    .is_some_and(|ip| is_through(request.name, ip))
            })?;
            let unknown = !listed
                && Since::taken_away(self.net()) != self.taken_away
                && !awaited.conflicts(request.name, target);
            return (!unknown).then_some(listed);
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
        if let (What::Nfs4(target), Some(awaited)) = (request.what, self.awaited()) {
            return Some(awaited.conflicts(request.name, target));
        }
        Some(self.manifest.as_ref()?.conflicts(self.moved_to(), request))
    }
}
