// SPDX-License-Identifier: GPL-2.0-only

//! The functions by which the kernel asks whether a file may lose a name.
//!
//! Lifetimes: whoever calls one of them has a reference to the dentries that it passes, and has locked
//! their directories, so that a dentry that has an inode keeps it. The device is that of the superblock.
//!
//! C header: [`include/linux/security.h`](srctree/include/linux/security.h)

use crate::{
    bindings,
    policy::fsid::Dev,
    sys::fprobe::{
        functions,
        Entry,
        Exit,
        Function, //
    },
};
use core::ptr;
use kernel::prelude::*;

functions! {
    /// `security_inode_unlink(dir, dentry)`.
    Unlink, c"security_inode_unlink";
    /// `security_inode_rename(old_dir, old_dentry, new_dir, new_dentry, flags)`.
    Rename, c"security_inode_rename";
}

/// A function that is asked, before anything is changed.
pub(crate) trait Unnames: Function {
    /// Which arguments are the dentries of files that lose a name, or get another one.
    const FILES: &'static [u32];
}

impl Unnames for Unlink {
    const FILES: &'static [u32] = &[1];
}

impl Unnames for Rename {
    const FILES: &'static [u32] = &[1, 3];
}

impl<F: Unnames> Entry<'_, F> {
    /// Device and inode number of each of them that is there.
    pub(crate) fn files(&self) -> impl Iterator<Item = (Dev, u64)> + '_ {
        F::FILES.iter().filter_map(|number| {
            let dentry = ptr::with_exposed_provenance::<bindings::dentry>(self.argument(*number));
            // SAFETY: By the type invariants it is a dentry to which the caller of the function has a
            // reference. Its directory is locked, so an inode that it has stays, and with it the superblock.
            unsafe {
                let inode = (*dentry).d_inode.as_ref()?;
                Some((Dev::from_kernel((*inode.i_sb).s_dev), inode.i_ino))
            }
        })
    }
}

impl<F: Unnames> Exit<'_, F> {
    /// Has it be refused, if it was allowed: the client is told to come again (`nfserrno()`).
    pub(crate) fn put_off(&self) {
        if self.value() as i32 == 0 {
            self.set_value(-(bindings::ETIMEDOUT as isize) as usize);
        }
    }
}
