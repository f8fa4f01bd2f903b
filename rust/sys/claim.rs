// SPDX-License-Identifier: GPL-2.0-only

//! The claim of the lock that the current task is being asked for, from where it is found out to where
//! it is looked at: see [`crate::policy::claim`].

use crate::{
    policy::claim::Claim,
    sys::task_notes::{
        self,
        Notes, //
    },
};

static NOTES: Notes = Notes::new();

/// A note of that.
#[derive(Clone, Copy)]
pub(crate) struct Note(task_notes::Note);

/// Room for a [`Claim`] in a note.
const BITS: u32 = 2;

/// Takes the note; [`None`] if there is no room for it. `stamp` tells by what it was found out.
pub(crate) fn note(claim: Claim, stamp: usize) -> Option<Note> {
    NOTES.leave(stamp << BITS | claim as usize).map(Note)
}

/// What the current task noted, if it was found out by `stamp`.
pub(crate) fn noted(stamp: usize) -> Option<Claim> {
    let value = NOTES.find()?;
    let mut all = Claim::ALL.into_iter();
    all.find(|claim| stamp << BITS | *claim as usize == value)
}

impl Note {
    /// Removes the note.
    pub(crate) fn remove(self) {
        NOTES.remove(self.0);
    }
}
