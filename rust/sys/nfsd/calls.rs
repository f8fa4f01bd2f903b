// SPDX-License-Identifier: GPL-2.0-only

//! The functions of nfsd that are hooked, and one that it calls: what their arguments are.
//!
//! Lifetimes: whoever calls one of them has pinned what it passes until the function has returned. An
//! nfsd superblock has its network namespace in `s_fs_info` (`nfsd_fs_get_tree()`).
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

use crate::{
    bindings,
    sys::{
        fprobe::{
            Entry,
            Exit,
            Function, //
        },
        net::Net,
        nfsd::fs::{
            ControlFile,
            Mounting, //
        },
    },
};
use core::{
    marker::PhantomData,
    ptr,
    slice, //
};
use kernel::prelude::*;

/// A function that releases locks for an administrator.
pub(crate) trait Releases: Function {
    /// The network namespace that it is asked for.
    fn net(call: &Entry<'_, Self>) -> Net
    where
        Self: Sized;
}

/// Declares functions that release locks, with what tells their namespace.
macro_rules! releases {
    ($($(#[$doc:meta])* $name:ident, $symbol:literal, $net:ident($argument:literal);)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl Function for $name {
            const SYMBOL: &'static CStr = $symbol;
        }

        impl Releases for $name {
            fn net(call: &Entry<'_, Self>) -> Net {
                // SAFETY: By the type invariants it is the argument that the function takes.
                unsafe { $net(call.argument($argument)) }
            }
        }
    )*};
}

releases! {
    /// `write_unlock_ip(file, buf, size)`.
    WriteUnlockIp, c"write_unlock_ip", of_file(0);
    /// `write_unlock_fs(file, buf, size)`.
    WriteUnlockFs, c"write_unlock_fs", of_file(0);
    /// `nfsd_nl_unlock_ip_doit(skb, info)`.
    NetlinkUnlockIp, c"nfsd_nl_unlock_ip_doit", of_netlink(1);
    /// `nfsd_nl_unlock_filesystem_doit(skb, info)`.
    NetlinkUnlockFs, c"nfsd_nl_unlock_filesystem_doit", of_netlink(1);
}

/// # Safety
///
/// `argument` must be the `struct file *` of an open file of an nfsd filesystem.
unsafe fn of_file(argument: usize) -> Net {
    let file = ptr::with_exposed_provenance::<bindings::file>(argument);
    // SAFETY: By the safety requirements; see the head of this file.
    Net::from_raw(unsafe { (*(*(*file).f_inode).i_sb).s_fs_info.cast() })
}

/// # Safety
///
/// `argument` must be the `struct genl_info *` of the request being served.
unsafe fn of_netlink(argument: usize) -> Net {
    // SAFETY: By the safety requirements.
    Net::from_raw(unsafe {
        bindings::rust_helper_genl_info_net(ptr::with_exposed_provenance(argument))
    })
}

/// `rpc_pton(net, buf, buflen, sap, salen)`.
pub(crate) struct RpcPton;

impl Function for RpcPton {
    const SYMBOL: &'static CStr = c"rpc_pton";
}

impl Entry<'_, RpcPton> {
    /// Has the function see the text up to a NUL byte only.
    pub(crate) fn end_at_nul(&self) {
        // SAFETY: By the type invariants they are the buffer and its length, which the function will
        // read.
        let len = unsafe { terminated_len(self.argument(1), self.argument(2)) };
        self.set_argument(2, len);
    }
}

/// Length of the text in a buffer: up to a NUL byte or the end.
///
/// # Safety
///
/// `buffer` must point to `len` readable bytes.
unsafe fn terminated_len(buffer: usize, len: usize) -> usize {
    let start = ptr::with_exposed_provenance::<u8>(buffer);
    // SAFETY: By the safety requirements.
    let bytes = unsafe { slice::from_raw_parts(start, len) };
    bytes.iter().position(|byte| *byte == 0).unwrap_or(len)
}

/// `nfsd_fill_super(sb, fc)`.
pub(crate) struct FillSuper;

impl Function for FillSuper {
    const SYMBOL: &'static CStr = c"nfsd_fill_super";
}

/// A superblock that is being filled. It does not leave the task, which mounts it.
#[derive(Clone, Copy)]
pub(crate) struct Filling(usize, PhantomData<*mut ()>);

impl Entry<'_, FillSuper> {
    /// What is being filled.
    pub(crate) fn filling(&self) -> Filling {
        Filling(self.argument(0), PhantomData)
    }
}

impl Exit<'_, FillSuper> {
    /// Has `files` added to what the same call has filled, if that succeeded. Does not sleep.
    pub(crate) fn add_files(&self, filling: Filling, files: &'static [ControlFile]) -> Result {
        if self.value() as c_int != 0 {
            return Ok(());
        }
        // SAFETY: The function was called by the current task for this superblock and succeeded.
        unsafe { Mounting::add_files(filling.0, files) }
    }
}
