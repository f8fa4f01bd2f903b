// SPDX-License-Identifier: GPL-2.0-only

//! Which network namespace an administrator's release is meant for.
//!
//! Stock `unlock_ip` and `unlock_filesystem` know their namespace (the one of the nfsd filesystem
//! written to, or of the netlink socket), but the traversal they start goes through all of them.
//! Entering one notes task and namespace here, leaving it removes the note.
//!
//! If there is no room for a note the release acts as stock.

use crate::sys::{
    net::Net,
    task_notes::{
        self,
        Notes, //
    }, //
};

static NOTES: Notes = Notes::new();

/// A note that the current task releases locks of one namespace.
#[derive(Clone, Copy)]
pub(crate) struct Note(task_notes::Note);

impl Note {
    /// Takes the note; [`None`] if there is no room for it.
    pub(crate) fn take(net: Net) -> Option<Self> {
        NOTES.leave(net.as_ptr() as usize).map(Self)
    }

    /// Removes the note.
    pub(crate) fn remove(self) {
        NOTES.remove(self.0);
    }
}

/// The namespace the current task's release is meant for, if it noted one.
pub(crate) fn of_current() -> Option<Net> {
    NOTES.find().map(Net::from_argument)
}
