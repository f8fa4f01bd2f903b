// SPDX-License-Identifier: GPL-2.0-only

//! Whether the lock that the current task is being asked for is held by who asks.
//!
//! Found out when `nlmsvc_lock()` is entered, where the file is at hand, for the question whether
//! there is a grace period that it asks further down.

use crate::sys::bytask::{
    self,
    Notes, //
};

static NOTES: Notes = Notes::new();

/// A note that it is.
#[derive(Clone, Copy)]
pub(crate) struct Held(bytask::Note);

impl Held {
    /// Takes the note; [`None`] if there is no room for it.
    pub(crate) fn note() -> Option<Self> {
        NOTES.leave(1).map(Self)
    }

    /// Removes the note.
    pub(crate) fn remove(self) {
        NOTES.remove(self.0);
    }
}

/// Whether the current task noted that.
pub(crate) fn noted() -> bool {
    NOTES.find().is_some()
}
