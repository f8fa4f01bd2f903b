// SPDX-License-Identifier: GPL-2.0-only

//! lockd's files, as the hooks meet them.
//!
//! Lifetimes and locks, from `fs/lockd/svcsubs.c`: a file is pinned by `f_count`; its handle never
//! changes, its open files and so the inode stay until the last reference goes. The locks of a
//! file are on the list of its inode under `flc_lock`. The blocked requests of a file are on
//! `f_blocks` under `f_mutex` and pin their hosts.
//!
//! C header: `fs/lockd/lockd.h`

mod blocks;

use crate::{
    bindings,
    policy::{
        fsid::{
            Dev,
            HandleFsid, //
        },
        state::{
            range::Range,
            share::Share, //
        },
    },
    sys::{
        lockd::{
            host::Host,
            locks::{
                is_exclusive,
                Locks, //
            },
        },
        net::Net, //
    },
};
use core::{
    ptr,
    slice, //
};

/// A file lockd holds for clients.
#[derive(Clone, Copy)]
pub(crate) struct File<'a>(&'a bindings::nlm_file);

impl<'a> File<'a> {
    /// Borrows a `struct nlm_file *` argument.
    ///
    /// # Safety
    ///
    /// `argument` must point to a `struct nlm_file` that is pinned for `'a`.
    pub(super) unsafe fn from_argument(argument: usize) -> Option<Self> {
        // SAFETY: By the safety requirements.
        unsafe { ptr::with_exposed_provenance::<bindings::nlm_file>(argument).as_ref() }.map(Self)
    }

    /// Borrows what a look-up put into its `struct nlm_file **` argument.
    ///
    /// # Safety
    ///
    /// `argument` must point to a pointer to a `struct nlm_file` that is pinned for `'a`.
    pub(super) unsafe fn from_result(argument: usize) -> Option<Self> {
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

    /// The `struct super_block *` of the filesystem.
    pub(crate) fn superblock(&self) -> Option<usize> {
        Some(self.inode()?.i_sb.expose_provenance())
    }

    /// The device of the filesystem.
    pub(crate) fn dev(&self) -> Option<Dev> {
        // SAFETY: An inode in use has a superblock.
        let dev = unsafe { (*self.inode()?.i_sb).s_dev };
        Some(Dev::from_kernel(dev))
    }

    /// The whole file handle.
    pub(crate) fn raw_handle(&self) -> &'a [u8] {
        let handle = &self.0.f_handle;
        &handle.data[..usize::from(handle.size).min(handle.data.len())]
    }

    pub(super) fn as_ptr(&self) -> *const bindings::nlm_file {
        self.0
    }

    fn context(&self) -> Option<*mut bindings::file_lock_context> {
        let inode = self.inode()?;
        // SAFETY: `i_flctx` is set once and freed with the inode.
        let context = unsafe {
            (&raw const inode.i_flctx)
                .cast::<*mut bindings::file_lock_context>()
                .read_volatile()
        };
        (!context.is_null()).then_some(context)
    }

    /// Calls `f` with the locks that lockd holds for clients on the file. Takes `flc_lock`, so `f`
    /// must not sleep.
    pub(crate) fn locks<R>(&self, f: impl FnOnce(Locks<'_>) -> R) -> R {
        let Some(context) = self.context() else {
            return f(Locks::none());
        };
        // SAFETY: The context is valid. Its lock is a spinlock that is never taken in interrupts.
        unsafe {
            let lock = (&raw mut (*context).flc_lock).cast();
            bindings::spin_lock(lock);
            let result = self.locks_locked(f);
            bindings::spin_unlock(lock);
            result
        }
    }

    /// As [`File::locks`].
    ///
    /// # Safety
    ///
    /// `flc_lock` of the inode must be held.
    pub(super) unsafe fn locks_locked<R>(&self, f: impl FnOnce(Locks<'_>) -> R) -> R {
        let Some(context) = self.context() else {
            return f(Locks::none());
        };
        // SAFETY: The context is valid, and by the safety requirements its list does not change
        // while `f` has it.
        f(unsafe { Locks::on(&(*context).flc_posix, self.0.f_file) })
    }

    /// Whether clients in `net` may have anything on the file; what comes or goes meanwhile may be
    /// missed. Takes `flc_lock`.
    pub(crate) fn may_hold(&self, net: Net) -> bool {
        self.holds(net) || self.may_have_blocks()
    }

    /// The same for locks and shares only.
    pub(super) fn holds(&self, net: Net) -> bool {
        let mut held = false;
        self.locks(|mut locks| {
            while !held
                && locks
                    .run(|holder, _| held = holder.host.net() == net)
                    .is_some()
            {}
        });
        // SAFETY: The field is part of the file, and the pointer is only compared.
        let shares = unsafe { (&raw const self.0.f_shares).read_volatile() };
        held || !shares.is_null()
    }

    /// The first share that a client in `net` has on the file.
    ///
    /// # Safety
    ///
    /// Must only be called where `nlmsvc_traverse_shares()` walks the same list.
    pub(super) unsafe fn first_share(&self, net: Net) -> Option<(Host<'a>, Share<'a>)> {
        let mut at = self.0.f_shares;
        // SAFETY: By the safety requirements the list does not change under us unless it does so
        // under lockd itself. A share pins its host, and its owner is kept behind it.
        unsafe {
            while let Some(share) = at.as_ref() {
                let host = Host(&*share.s_host);
                if host.net() == net {
                    let owner = &share.s_owner;
                    let share = Share {
                        owner: slice::from_raw_parts(owner.data, owner.len as usize),
                        access: share.s_access,
                        mode: share.s_mode,
                    };
                    return Some((host, share));
                }
                at = share.s_next;
            }
        }
        None
    }
}

fn range(fl: &bindings::file_lock, svid: u32) -> Range {
    Range {
        svid,
        exclusive: is_exclusive(fl),
        start: fl.fl_start as u64,
        end: fl.fl_end as u64,
    }
}

fn decode(handle: &bindings::nfs_fh) -> Option<HandleFsid> {
    let len = usize::from(handle.size).min(handle.data.len());
    HandleFsid::decode(&handle.data[..len])
}

/// Closes the files that lockd is done with, which its thread leaves to a worker: until then they
/// keep their filesystem busy. May sleep.
pub(crate) fn close_files() {
    // SAFETY: The function has no requirements.
    unsafe { bindings::flush_delayed_fput() };
}
