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

    /// A client of NFSv4 has completed its reclaims. If it is the last one, the phase is over: unless
    /// it was promised that nothing is granted yet. Does not sleep.
    pub(in crate::unit) fn complete(&self, client: Known<'_>) {
        let now = timer::now();
        let Some(awaited) = self.awaited.as_ref().filter(|_| !self.over(now)) else {
            return;
        };
        self.visit();
        if awaited.complete(client) {
            self.span.bring_forward(now.max(self.promised_until()));
            hurry();
        }
    }

    /// Nothing is missing on the manifest that it does not have but what NFSv4 clients had. Hooks had
    /// missed so many calls before the release.
    pub(in crate::unit) fn mark_only_nfs4(&self, missed: usize) {
        self.only_nfs4.store(missed, Relaxed);
    }

    /// Whether that is so, and nothing else was found since: what hooks missed would not be, nor what was
    /// taken away when a service was stopped.
    pub(in crate::unit) fn lacks_only_nfs4(&self, missed: usize) -> bool {
        self.only_nfs4.load(Relaxed) == missed && !self.is_spoiled() && !self.was_taken_away()
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

    /// Whether all that it waited for have.
    pub(in crate::unit) fn is_complete(&self) -> bool {
        self.awaited().is_some_and(|awaited| awaited.is_complete())
    }
}
