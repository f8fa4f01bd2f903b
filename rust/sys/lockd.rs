// SPDX-License-Identifier: GPL-2.0-only

//! lockd's files and locks: which are visited, counted and released.
//!
//! `nlm_traverse_files()` is private to lockd, but its predicates can be hooked, and the exported
//! `nlmsvc_unlock_all_by_sb()` is a way in: given an odd pointer, which no superblock has, its
//! predicate matches nothing by itself. Our hook of the predicate recognises the pointer as a
//! [`Traversal`] and decides in its place. If the hook is missed nothing is released.
//!
//! Lifetimes and locks, from `fs/lockd/svcsubs.c`: `nlmsvc_match_sb()` runs under
//! `nlm_file_mutex` with the file pinned by `f_count`; its handle never changes, its open files
//! and so the inode stay until the last reference goes. `nlmsvc_always_match()` runs under the
//! lock that guards what it judges (`nlm_blocked_lock`, `flc_lock`), which pins the host.
//! Both run in the task that called [`release`], whose stack holds the traversal.
//!
//! C header: `fs/lockd/lockd.h`

use crate::{
    bindings,
    policy::{
        fsid::{
            Dev,
            Fsid,
            HandleFsid, //
        },
        line::Dropped, //
    },
    sys::{
        net::Net,
        symbol::{
            self,
            Symbol, //
        }, //
    },
};
use core::{
    cell::Cell,
    ptr, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

static LOCK_OPERATIONS: Symbol = Symbol::new(b"nlmsvc_lock_operations+0x0/", b" [lockd]");

/// `NLM_LCK_DENIED_GRACE_PERIOD`, as lockd's functions return it.
pub(crate) const DENIED_GRACE_PERIOD: usize = 4u32.to_be() as usize;

/// `nlm_granted`, as lockd's functions return it.
pub(crate) const GRANTED: u32 = 0;

/// An access mode that `nlm_do_fopen()` has no file for, so that it opens none and fails.
pub(crate) const OPEN_NOTHING: usize = 3;

/// A file lockd holds for clients.
#[derive(Clone, Copy)]
pub(crate) struct File<'a>(&'a bindings::nlm_file);

impl<'a> File<'a> {
    /// Borrows a `struct nlm_file *` argument.
    ///
    /// # Safety
    ///
    /// `argument` must point to a `struct nlm_file` that is pinned for `'a`.
    pub(crate) unsafe fn from_argument(argument: usize) -> Option<Self> {
        // SAFETY: By the safety requirements.
        unsafe { ptr::with_exposed_provenance::<bindings::nlm_file>(argument).as_ref() }.map(Self)
    }

    /// Borrows what a look-up put into its `struct nlm_file **` argument.
    ///
    /// # Safety
    ///
    /// `argument` must point to a pointer to a `struct nlm_file` that is pinned for `'a`.
    pub(crate) unsafe fn from_result(argument: usize) -> Option<Self> {
        let result = ptr::with_exposed_provenance::<*const bindings::nlm_file>(argument);
        // SAFETY: By the safety requirements.
        unsafe { (*result).as_ref() }.map(Self)
    }

    /// The filesystem part of the file handle.
    pub(crate) fn handle(&self) -> Option<HandleFsid> {
        decode(&self.0.f_handle)
    }

    fn inode(&self) -> Option<&bindings::inode> {
        let file = self.0.f_file.iter().find(|file| !file.is_null())?;
        // SAFETY: A file that lockd has open pins its inode; by the construction of `self` it
        // stays open for `'a`.
        unsafe { (**file).f_inode.as_ref() }
    }

    /// The device of the filesystem.
    pub(crate) fn dev(&self) -> Option<Dev> {
        // SAFETY: An inode in use has a superblock.
        let dev = unsafe { (*self.inode()?.i_sb).s_dev };
        Some(Dev::from_kernel(dev))
    }

    /// Number of byte-range locks of clients in `net`.
    fn locks(&self, net: Net) -> u64 {
        let Some(inode) = self.inode() else {
            return 0;
        };
        // SAFETY: `i_flctx` is set once and freed with the inode.
        let context = unsafe {
            (&raw const inode.i_flctx)
                .cast::<*mut bindings::file_lock_context>()
                .read_volatile()
        };
        if context.is_null() {
            return 0;
        }
        let mut count = 0;
        // SAFETY: The context is valid, and `flc_lock` guards its list of `struct file_lock`,
        // linked by `flc_list`. It is a spinlock that is never taken in interrupts. A lock of
        // lockd's is owned by a `struct nlm_lockowner`, and both it and its host stay meanwhile.
        unsafe {
            let lock = (&raw mut (*context).flc_lock).cast();
            bindings::spin_lock(lock);
            let head = &raw mut (*context).flc_posix;
            let mut at = (*head).next;
            while at != head {
                let fl = kernel::container_of!(at, bindings::file_lock_core, flc_list);
                let fl = kernel::container_of!(fl, bindings::file_lock, c);
                if LOCK_OPERATIONS.is((*fl).fl_lmops as usize) {
                    let owner = (*fl).c.flc_owner.cast::<bindings::nlm_lockowner>();
                    count += u64::from((*(*owner).host).net == net.as_ptr());
                }
                at = (*at).next;
            }
            bindings::spin_unlock(lock);
        }
        count
    }
}

fn decode(handle: &bindings::nfs_fh) -> Option<HandleFsid> {
    let len = usize::from(handle.size).min(handle.data.len());
    HandleFsid::decode(&handle.data[..len])
}

/// The network namespace of a `struct nlm_host *` argument.
///
/// # Safety
///
/// `argument` must point to a `struct nlm_host` that is pinned.
pub(crate) unsafe fn net_of_host(argument: usize) -> Net {
    let host = ptr::with_exposed_provenance::<bindings::nlm_host>(argument);
    // SAFETY: By the safety requirements.
    Net::from_raw(unsafe { (*host).net })
}

/// What a predicate is asked about.
#[derive(Clone, Copy)]
enum Kind {
    Lock,
    Blocked,
    Share,
}

/// A walk of ours through lockd's files.
pub(crate) struct Traversal<'a> {
    net: Net,
    fsid: Fsid,
    takes: &'a dyn Fn(&File<'_>) -> bool,
    dropped: Cell<Dropped>,
    /// The file at hand was counted.
    counted: Cell<bool>,
    /// Return addresses in lockd that were already recognised.
    callers: Cell<[(usize, Option<Kind>); 3]>,
}

impl Traversal<'_> {
    /// Recognises the pointer that [`release`] passes for a superblock.
    ///
    /// # Safety
    ///
    /// `argument` must be what one of lockd's predicates got for the data of the traversal.
    pub(crate) unsafe fn from_argument(argument: usize) -> Option<&'static Self> {
        if argument & 1 == 0 {
            return None;
        }
        // SAFETY: No superblock has an odd address, so it comes from `release`, which is still
        // running: the predicate runs in the same task.
        unsafe { ptr::with_exposed_provenance::<Self>(argument & !1).as_ref() }
    }

    /// Whether locks of this file are released. Counts them.
    pub(crate) fn takes_file(&self, file: &File<'_>) -> bool {
        let named = file.handle().is_some_and(|handle| handle.is(&self.fsid));
        let takes = named && (self.takes)(file);
        if takes {
            let mut dropped = self.dropped.get();
            dropped.locks += file.locks(self.net);
            self.dropped.set(dropped);
            self.counted.set(false);
        }
        takes
    }

    /// Whether what belongs to a client in `net` is released. `caller` is the predicate's caller.
    pub(crate) fn takes_host(&self, net: Net, caller: usize) -> bool {
        if net != self.net {
            return false;
        }
        let mut dropped = self.dropped.get();
        match self.kind(caller) {
            Kind::Lock => {}
            Kind::Blocked => dropped.blocked += 1,
            Kind::Share => dropped.shares += 1,
        }
        dropped.files += u64::from(!self.counted.replace(true));
        self.dropped.set(dropped);
        true
    }

    fn kind(&self, caller: usize) -> Kind {
        let mut callers = self.callers.get();
        for (known, kind) in &mut callers {
            if let (true, Some(kind)) = (*known == caller, *kind) {
                return kind;
            }
            if kind.is_none() {
                let found = if symbol::within(caller, b"nlmsvc_traverse_blocks") {
                    Kind::Blocked
                } else if symbol::within(caller, b"nlmsvc_traverse_shares") {
                    Kind::Share
                } else {
                    Kind::Lock
                };
                (*known, *kind) = (caller, Some(found));
                self.callers.set(callers);
                return found;
            }
        }
        Kind::Lock
    }
}

/// Releases all locks, blocked requests and shares that clients in `net` have on the export named
/// `fsid`, on those files that `takes`, and tells what they were. May sleep; `takes` must not.
///
/// Returns `EIO` if the filesystem refused to unlock.
pub(crate) fn release(net: Net, fsid: Fsid, takes: &dyn Fn(&File<'_>) -> bool) -> Result<Dropped> {
    let traversal = Traversal {
        net,
        fsid,
        takes,
        dropped: Cell::new(Dropped::default()),
        counted: Cell::new(false),
        callers: Cell::new([(0, None); 3]),
    };
    const { assert!(align_of::<Traversal<'_>>() > 1) };
    let tagged = (&raw const traversal).expose_provenance() | 1;
    // SAFETY: `nlmsvc_match_sb()` only compares the pointer, and the hooks that recognise it use
    // it before this call returns.
    to_result(unsafe {
        bindings::nlmsvc_unlock_all_by_sb(ptr::with_exposed_provenance_mut(tagged))
    })?;
    Ok(traversal.dropped.get())
}
