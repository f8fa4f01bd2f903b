// SPDX-License-Identifier: GPL-2.0-only

//! What a walk through lockd's files comes back with.

use crate::{
    policy::state::Tally,
    sys::symbol::At, //
};
use core::fmt;

/// What is not as this module knows lockd.
#[derive(Clone, Copy)]
pub(crate) enum Doubt {
    /// Somebody unknown asks, at this address: it may be about anything.
    Caller(usize),
    /// lockd asks about a lock that has not been met.
    Unmet,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(caller) => write!(f, "asked from {}, which is not known", At(*caller)),
            Self::Unmet => f.write_str("asked about a lock that was not met"),
        }
    }
}

/// Why a traversal skipped something.
#[derive(Clone, Copy)]
pub(crate) enum Skipped {
    /// The recorder has no room; how many locks of one file, at least, there has to be room for.
    Full(usize),
    /// lockd may be granting a request that waits. If locks were released meanwhile, it would be
    /// granted one of them.
    Granting,
    /// Nothing of what comes after this is dropped: it could not be said what it was.
    Doubt(Doubt),
}

/// What a traversal found.
#[derive(Default)]
pub(crate) struct Found {
    /// How much of what; for a look, locks and files only.
    pub(crate) dropped: Tally,
    /// Something was skipped, with all that would have come after it. The traversal is to be repeated.
    pub(crate) skipped: Option<Skipped>,
    /// Files had blocks: requests that wait, or of which the client is being told that it was
    /// granted a lock.
    pub(crate) blocks: bool,
    /// There were calls to end.
    pub(super) calling: bool,
}

impl Found {
    /// Adds what a later traversal found.
    pub(crate) fn add(&mut self, later: Self) {
        self.dropped.add(&later.dropped);
        self.skipped = later.skipped;
        self.blocks |= later.blocks;
        self.calling = later.calling;
    }
}
