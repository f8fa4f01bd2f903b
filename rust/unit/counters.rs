// SPDX-License-Identifier: GPL-2.0-only

//! What became of the requests that a unit decided.

use crate::policy::{
    line::Reasons,
    outcome::Count,
    verdict::Reason, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Counts, by what became of the request.
pub(super) struct Counters {
    reclaimed: Atomic<u64>,
    refused: Atomic<u64>,
    waits: Atomic<u64>,
    /// Refused reclaims by [`Reason`].
    reasons: [Atomic<u64>; 3],
}

impl Counters {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self {
            reclaimed: Atomic::new(0),
            refused: Atomic::new(0),
            waits: Atomic::new(0),
            reasons: [const { Atomic::new(0) }; 3],
        }
    }

    /// Counts one. Tells whether it is the first that was refused.
    pub(super) fn count(&self, count: Count) -> bool {
        match count {
            Count::Reclaimed => self.reclaimed.add(1, Relaxed),
            Count::Refused => return self.refuse(),
            Count::RefusedFor(reason) => {
                self.reasons[reason as usize].add(1, Relaxed);
                return self.refuse();
            }
            Count::Wait => self.waits.add(1, Relaxed),
        }
        false
    }

    fn refuse(&self) -> bool {
        self.refused.fetch_add(1, Relaxed) == 0
    }

    /// Reclaims that were granted.
    pub(super) fn reclaimed(&self) -> u64 {
        self.reclaimed.load(Relaxed)
    }

    /// Reclaims that were refused.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Requests that were told to wait.
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// Refused reclaims by why the unit refused them.
    pub(super) fn reasons(&self) -> Reasons {
        let reason = |reason: Reason| self.reasons[reason as usize].load(Relaxed);
        Reasons {
            released: reason(Reason::Released),
            address: reason(Reason::Address),
            unlisted: reason(Reason::Unlisted),
        }
    }
}
