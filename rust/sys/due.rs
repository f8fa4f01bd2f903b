// SPDX-License-Identifier: GPL-2.0-only

//! Why the lock that the current task is being asked for may be reclaimed.
//!
//! Found out when `nlmsvc_lock()` is entered, where the file is at hand, for the question whether
//! there is a grace period that it asks further down, more than once.

use crate::sys::bytask::{
    self,
    Notes, //
};

static NOTES: Notes = Notes::new();

/// Why it may be.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Due {
    /// It is on the manifest.
    Listed = 1,
    /// Who asks holds it.
    Held,
}

/// A note of that.
#[derive(Clone, Copy)]
pub(crate) struct Note(bytask::Note);

impl Due {
    /// Takes the note; [`None`] if there is no room for it.
    pub(crate) fn note(self) -> Option<Note> {
        NOTES.leave(self as usize).map(Note)
    }

    /// What the current task noted.
    pub(crate) fn noted() -> Option<Self> {
        let value = NOTES.find()?;
        let all = [Self::Listed, Self::Held];
        all.into_iter().find(|due| *due as usize == value)
    }
}

impl Note {
    /// Removes the note.
    pub(crate) fn remove(self) {
        NOTES.remove(self.0);
    }
}
