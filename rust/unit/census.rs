// SPDX-License-Identifier: GPL-2.0-only

//! Which of lockd's files are those of a unit, and what the others tell.

use crate::{
    policy::fsid::Fsid,
    sys::lockd::file::File, //
};
use core::cell::Cell;

/// Maximum number of filesystems that are told apart while locks of one are dropped.
const MAX_SUPERBLOCKS: usize = 32;

/// Whether `file` is one of an export.
pub(super) fn named(file: &File<'_>, fsid: &Fsid) -> bool {
    file.handle().is_some_and(|handle| handle.is(fsid))
}

/// What lockd's files tell about the exports of a filesystem.
#[derive(Default)]
pub(super) struct Census {
    /// The superblock of the unit, [`None`] before a file of it was met.
    released: Cell<Option<usize>>,
    /// Those of other exports.
    others: [Cell<usize>; MAX_SUPERBLOCKS],
    /// There were more.
    crowded: Cell<bool>,
}

impl Census {
    /// Whether `file` is one of the unit.
    pub(super) fn takes(&self, file: &File<'_>, fsid: &Fsid) -> bool {
        let takes = named(file, fsid);
        let superblock = file.superblock().unwrap_or_default();
        if takes {
            self.released.set(Some(superblock));
        } else {
            let mut slots = self.others.iter();
            match slots.find(|slot| [0, superblock].contains(&slot.get())) {
                Some(slot) => slot.set(superblock),
                None => self.crowded.set(true),
            }
        }
        takes
    }

    /// Whether the filesystem may be exported by another name as well: a lock that was dropped may
    /// then be reclaimed by a handle that is not of this unit.
    pub(super) fn mixed(&self) -> bool {
        let other = |slot: &Cell<usize>| Some(slot.get()) == self.released.get();
        self.crowded.get() || self.others.iter().any(other)
    }
}
