// SPDX-License-Identifier: GPL-2.0-only

//! Keeping a unit in its phase while locks are dropped.
//!
//! If a fence ended in the middle of a release or a sweep, a lock could be granted and be dropped in
//! the next moment, without anybody knowing. So whoever drops locks holds the unit: its time may be
//! over, its phase is not.
//!
//! Hooks read the clock first and then look for holders; [`Held::try_new`] counts itself first and
//! then reads the clock. Whichever of them is later sees what the other did: a hook that takes the
//! unit for over has read a time at which nobody can begin to hold it any more.

use super::unit::Unit;
use crate::sys::timer;
use kernel::sync::Arc;

/// A unit whose phase does not end while this lives.
///
/// # Invariants
///
/// It is counted by the unit.
pub(super) struct Held(Arc<Unit>);

impl Held {
    /// Holds a unit that no hook can find yet.
    pub(super) fn new(unit: &Arc<Unit>) -> Self {
        unit.begin_hold();
        // INVARIANT: It has just been counted.
        Self(unit.clone())
    }

    /// Holds a unit; [`None`] if its phase is over.
    pub(super) fn try_new(unit: &Arc<Unit>) -> Option<Self> {
        let held = Self::new(unit);
        (!unit.is_late(timer::now())).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.end_hold();
    }
}
