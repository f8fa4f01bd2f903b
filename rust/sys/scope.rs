// SPDX-License-Identifier: GPL-2.0-only

//! Which network namespace an administrator's release is meant for.
//!
//! Stock `unlock_ip` and `unlock_filesystem` know their namespace (the one of the nfsd filesystem
//! written to, or of the netlink socket), but the traversal they start goes through all of them.
//! Entering one notes task and namespace here, leaving it removes the note.
//!
//! If there is no room for a note the release acts as stock.

use crate::{
    bindings,
    sys::{
        bytask::{
            self,
            Notes, //
        },
        net::Net, //
    }, //
};
use core::ptr;

static NOTES: Notes = Notes::new();

/// A note that the current task releases locks of one namespace.
#[derive(Clone, Copy)]
pub(crate) struct Note(bytask::Note);

impl Note {
    /// Takes the note; [`None`] if there is no room for it.
    fn take(net: *mut bindings::net) -> Option<Self> {
        NOTES.leave(net as usize).map(Self)
    }

    /// Takes the note for a write to a file of nfsd's filesystem.
    ///
    /// # Safety
    ///
    /// `argument` must be the `struct file *` of an open file of an nfsd filesystem.
    pub(crate) unsafe fn of_file(argument: usize) -> Option<Self> {
        let file = ptr::with_exposed_provenance::<bindings::file>(argument);
        // SAFETY: By the safety requirements; an nfsd superblock belongs to the namespace in
        // `s_fs_info`.
        Self::take(unsafe { (*(*(*file).f_inode).i_sb).s_fs_info.cast() })
    }

    /// Takes the note for a netlink request.
    ///
    /// # Safety
    ///
    /// `argument` must be the `struct genl_info *` of the request being served.
    pub(crate) unsafe fn of_netlink(argument: usize) -> Option<Self> {
        // SAFETY: By the safety requirements.
        Self::take(unsafe {
            bindings::rust_helper_genl_info_net(ptr::with_exposed_provenance(argument))
        })
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
