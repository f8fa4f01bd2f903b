// SPDX-License-Identifier: GPL-2.0-only

//! What a unit knows of NFSv4 clients: who has to complete its reclaims, or that nothing is missing on
//! its manifest but what they had.

use super::{
    hurry,
    Unit, //
};
use crate::{
    sys::{
        since::Since,
        timer, //
    },
    unit::awaited::Awaited, //
};
use kernel::sync::{
    atomic::{
        Acquire,
        Relaxed,
        Release, //
    },
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
    pub(in crate::unit) fn complete(&self, client: &[u8]) {
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

    /// Nothing is missing on the manifest that it does not have but what NFSv4 clients had.
    /// Hooks had missed so many calls before the release.
    pub(in crate::unit) fn mark_only_nfs4(&self, missed: usize) {
        self.missed.store(missed, Relaxed);
        self.only_nfs4.store(true, Release);
    }

    /// Whether that is so, and nothing else was found since: what hooks missed would not be, nor what was
    /// taken away when a service was stopped.
    pub(in crate::unit) fn lacks_only_nfs4(&self, missed: usize) -> bool {
        self.only_nfs4.load(Acquire)
            && self.missed.load(Relaxed) == missed
            && Since::taken_away(self.net()) == self.taken_away
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
