// SPDX-License-Identifier: GPL-2.0-only

//! Which network namespace an administrator's release is meant for.
//!
//! Stock `unlock_ip` and `unlock_filesystem` know their namespace (the one of the nfsd filesystem
//! written to, or of the netlink socket), but the traversal they start goes through all of them.
//! Entering one notes task and namespace here, leaving it removes the note.
//!
//! Slots are claimed by compare and exchange, and only the task that claimed one looks it up, so
//! there is nothing to lock. If all slots are taken the release acts as stock.

use crate::{
    bindings,
    sys::net::Net, //
};
use core::ptr;
use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed, //
};

/// How many releases can run at once and still be told apart.
const SLOTS: usize = 16;

struct Slot {
    task: Atomic<usize>,
    net: Atomic<usize>,
}

static NOTES: [Slot; SLOTS] = [const {
    Slot {
        task: Atomic::new(0),
        net: Atomic::new(0),
    }
}; SLOTS];

fn current() -> usize {
    // SAFETY: Reading the current task has no requirements.
    unsafe { bindings::get_current() as usize }
}

/// A note that the current task releases locks of one namespace.
#[derive(Clone, Copy)]
pub(crate) struct Note(usize);

impl Note {
    /// Takes the note; [`None`] if there is no room for it.
    fn take(net: *mut bindings::net) -> Option<Self> {
        let at = NOTES
            .iter()
            .position(|slot| slot.task.cmpxchg(0, current(), Full).is_ok())?;
        NOTES[at].net.store(net as usize, Relaxed);
        Some(Self(at))
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
        NOTES[self.0].task.store(0, kernel::sync::atomic::Release);
    }
}

/// The namespace the current task's release is meant for, if it noted one.
pub(crate) fn of_current() -> Option<Net> {
    let slot = NOTES
        .iter()
        .find(|slot| slot.task.load(Relaxed) == current())?;
    Some(Net::from_argument(slot.net.load(Relaxed)))
}
