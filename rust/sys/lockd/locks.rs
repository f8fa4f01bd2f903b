// SPDX-License-Identifier: GPL-2.0-only

//! The locks that lockd holds for its clients on a file, and who has them.
//!
//! Lifetimes and locks, from `fs/locks.c` and `fs/lockd/svclock.c`: locks are on a list of their
//! inode under `flc_lock`; those of one owner follow each other in the order of their first bytes.
//! Each of lockd's is owned by a `struct nlm_lockowner`, which pins its host, and both stay while
//! the lock is on the list.
//!
//! C header: `include/linux/filelock.h`, `fs/lockd/lockd.h`

use crate::{
    bindings,
    sys::{
        lockd::host::Host,
        symbol::LOCK_OPERATIONS, //
    },
};
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::prelude::*;

/// The locks of lockd's clients on one file.
///
/// # Invariants
///
/// `at` and `head` are null, or on a list of `struct file_lock`, linked by `flc_list`, that does not
/// change for `'a`.
pub(crate) struct Locks<'a> {
    at: *const bindings::list_head,
    head: *const bindings::list_head,
    /// What lockd has open for the file handle at hand.
    files: [*mut bindings::file; 2],
    _list: PhantomData<&'a bindings::list_head>,
}

/// Who holds a lock, and of which kind.
pub(crate) struct Holder<'a> {
    pub(crate) host: Host<'a>,
    pub(crate) svid: u32,
    pub(crate) exclusive: bool,
    /// Whether the lock was taken by the file handle at hand, and not by another one of the same
    /// file.
    pub(crate) by_handle: bool,
}

/// What a holder has locked, from one byte to another, as far as the locks follow each other.
pub(crate) struct Ranges<'a> {
    locks: Locks<'a>,
    owner: *const c_void,
    file: *mut bindings::file,
    kind: u8,
}

impl<'a> Locks<'a> {
    pub(super) fn none() -> Self {
        // INVARIANT: They are null.
        Self {
            at: ptr::null(),
            head: ptr::null(),
            files: [ptr::null_mut(); 2],
            _list: PhantomData,
        }
    }

    /// # Safety
    ///
    /// `flc_lock` of the list must be held for `'a`.
    pub(super) unsafe fn on(
        head: &'a bindings::list_head,
        files: [*mut bindings::file; 2],
    ) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            at: head.next,
            head,
            files,
            _list: PhantomData,
        }
    }

    #[inline]
    fn peek(&self) -> Option<&'a bindings::file_lock> {
        if self.at == self.head {
            return None;
        }
        // SAFETY: By the type invariant.
        unsafe {
            let fl = kernel::container_of!(self.at, bindings::file_lock_core, flc_list);
            Some(&*kernel::container_of!(fl, bindings::file_lock, c))
        }
    }

    /// Goes on behind `fl`, the lock that was looked at.
    #[inline]
    fn pass(&mut self, fl: &bindings::file_lock) {
        // INVARIANT: What follows it is on the list, too, or its head.
        self.at = fl.c.flc_list.next;
    }

    /// Calls `f` with the next holder and what it has locked; [`None`] if there is none.
    #[inline]
    pub(crate) fn run<R>(
        &mut self,
        f: impl FnOnce(&Holder<'a>, &mut Ranges<'a>) -> R,
    ) -> Option<R> {
        let (fl, holder) = loop {
            let fl = self.peek()?;
            if let Some(holder) = Holder::of(fl, &self.files) {
                break (fl, holder);
            }
            self.pass(fl);
        };
        let mut ranges = Ranges {
            // INVARIANT: As `self`, which is put behind what this passes.
            locks: Self { ..*self },
            owner: fl.c.flc_owner,
            file: fl.c.flc_file,
            kind: fl.c.flc_type,
        };
        let result = f(&holder, &mut ranges);
        ranges.by_ref().for_each(drop);
        self.at = ranges.locks.at;
        Some(result)
    }

    /// How many there are.
    pub(crate) fn count(mut self) -> usize {
        let mut count = 0;
        while let Some(met) = self.run(|_, ranges| ranges.count()) {
            count += met;
        }
        count
    }
}

impl<'a> Holder<'a> {
    /// Whose lock it is, if it is one of lockd's.
    fn of(fl: &'a bindings::file_lock, files: &[*mut bindings::file; 2]) -> Option<Self> {
        if !LOCK_OPERATIONS.is(fl.fl_lmops as usize) {
            return None;
        }
        let it = fl.c.flc_owner.cast::<bindings::nlm_lockowner>();
        // SAFETY: That is what lockd's locks are owned by. The lock, which stays for `'a`, pins its
        // owner, and that its host.
        let (host, svid) = unsafe { (Host(&*(*it).host), (*it).pid) };
        Some(Self {
            host,
            svid,
            exclusive: is_exclusive(fl),
            by_handle: files.contains(&fl.c.flc_file),
        })
    }
}

impl Iterator for Ranges<'_> {
    type Item = (u64, u64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let fl = self.locks.peek()?;
        // What has the owner of one of lockd's locks is one, too.
        if !ptr::eq(fl.c.flc_owner, self.owner)
            || fl.c.flc_type != self.kind
            || fl.c.flc_file != self.file
        {
            return None;
        }
        self.locks.pass(fl);
        Some((fl.fl_start as u64, fl.fl_end as u64))
    }
}

/// Whether nobody else may have the lock.
pub(super) fn is_exclusive(fl: &bindings::file_lock) -> bool {
    u32::from(fl.c.flc_type) == bindings::F_WRLCK
}
