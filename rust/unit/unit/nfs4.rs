// SPDX-License-Identifier: GPL-2.0-only

//! What a unit knows of NFSv4 clients: who has to complete its reclaims, or that nothing is missing on
//! its manifest but what they had.

use super::{
    hurry,
    Unit, //
};
use crate::{
    policy::nfs4::name::Known,
    sys::timer,
    unit::awaited::Awaited, //
};
use kernel::sync::{
    atomic::Relaxed,
    Arc, //
};

impl Unit {
    /// Whose reclaims end the recovery, if that is known.
    pub(in crate::unit) fn awaited(&self) -> Option<&Arc<Awaited>> {
        self.awaited.as_ref()
    }

    /// Tells it once whose do. May sleep. `REGISTRY` is held.
    pub(in crate::unit) fn expect(&self, clients: Arc<Awaited>) {
        self.awaited.populate(clients);
    }

    /// A client of NFSv4 has completed its reclaims. If it is the last one, and clients of NLM had
    /// nothing, the phase is over: unless it was promised that nothing is granted yet. Does not sleep.
    pub(in crate::unit) fn complete(&self, client: Known<'_>) {
        let now = timer::now();
        let Some(awaited) = self.awaited.as_ref().filter(|_| !self.over(now)) else {
            return;
        };
        // Any client of the node may say so, for what it has elsewhere.
        let Some(is_last) = awaited.complete(client) else {
            return;
        };
        self.visit();
        if is_last {
            if !self.has_manifest() {
                self.span.bring_forward(now.max(self.promised_until()));
            }
            hurry();
        }
    }

    /// Nothing is missing on its manifest but what NFSv4 clients had, or it has none as there was nothing
    /// else. Hooks had missed so many calls before the release.
    pub(in crate::unit) fn mark_only_nfs4(&self, missed: usize, has_manifest: bool) {
        self.beside_nfs4.store(has_manifest, Relaxed);
        self.only_nfs4.store(missed, Relaxed);
    }

    /// Whether that is so, and nothing else was found since: what hooks missed would not be, nor what was
    /// taken away when a service was stopped.
    pub(in crate::unit) fn lacks_only_nfs4(&self, missed: usize) -> bool {
        let manifest = self.manifest.as_ref();
        let listed = match self.beside_nfs4.load(Relaxed) {
            true => manifest.is_some_and(|it| it.lists_nfs4() && !it.spoiled()),
            false => manifest.is_none(),
        };
        let same = self.only_nfs4.load(Relaxed) == missed;
        same && listed && !self.is_spoiled() && !self.was_taken_away()
    }

    /// Whether its manifest is worth nothing without the list of NFSv4 clients.
    pub(in crate::unit) fn lists_nfs4(&self) -> bool {
        self.manifest.as_ref().is_some_and(|it| it.lists_nfs4())
    }

    /// Whether NFSv4 clients may have something to get back of what its lists tell of.
    pub(in crate::unit) fn misses_nfs4(&self) -> bool {
        match self.awaited() {
            Some(awaited) => !awaited.is_complete(),
            None => self.lists_nfs4(),
        }
    }

    /// Whether something was found that no list tells of. Who promises something and then asks sees it, or
    /// who has found it sees the promise: both are written with a full barrier.
    pub(in crate::unit) fn is_spoiled(&self) -> bool {
        self.spoiled.load(Relaxed)
    }

    /// An OPEN has just made its file here. Tells whether it may have it: there is no list then, unless
    /// one was promised. Does not sleep.
    pub(crate) fn lets_have_it(&self) -> bool {
        if !self.has_departed() {
            return true;
        }
        self.spoil_manifest();
        self.promised_until() == 0
    }

    /// Whether it waits for a client of NFSv4 still.
    pub(crate) fn awaits_anybody(&self) -> bool {
        self.awaited().is_some_and(|awaited| !awaited.is_complete())
    }

    /// Whether no delegations are given: what is done under one nobody is asked for, and clients of NLM
    /// or NFSv4 may come to reclaim what that conflicts with (as in nfs4_open_delegation()).
    pub(crate) fn holds_delegations_back(&self) -> bool {
        let outstanding = self.manifest.as_ref().is_some_and(|it| !it.over());
        self.phase().recovers && (outstanding || self.misses_nfs4())
    }

    /// Whether all that it waited for have.
    pub(in crate::unit) fn is_complete(&self) -> bool {
        self.awaited().is_some_and(|awaited| awaited.is_complete())
    }
}
