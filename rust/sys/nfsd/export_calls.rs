// SPDX-License-Identifier: GPL-2.0-only

//! The functions by which nfsd finds out what it exports, and to whom.
//!
//! Lifetimes: whoever calls one of them has pinned what it passes until the function has returned.
//!
//! C header: `fs/nfsd/export.h`,
//! [`include/linux/sunrpc/svcauth.h`](srctree/include/linux/sunrpc/svcauth.h)

use crate::{
    bindings,
    policy::fsid::HandleFsid,
    sys::fprobe::{
        functions,
        Entry,
        Exit, //
    }, //
};
use core::{
    ptr,
    slice, //
};
use kernel::prelude::*;

functions! {
    /// `rqst_exp_find(reqp, net, cl, gsscl, fsid_type, fsidv)`.
    FindExport, c"rqst_exp_find";
    /// `svc_set_client(rqstp)`.
    AssignClient, c"svc_set_client";
}

impl Entry<'_, FindExport> {
    /// The part of the file handle by which it looks.
    pub(crate) fn handle(&self) -> Option<HandleFsid> {
        let kind = u8::try_from(self.argument(4) as u32).ok()?;
        let len = HandleFsid::key_len(kind)?;
        let key = ptr::with_exposed_provenance::<u8>(self.argument(5));
        // SAFETY: By the type invariants these are the arguments that the function takes, which reads
        // as many bytes for this kind itself (`key_len()`).
        HandleFsid::from_key(kind, unsafe { slice::from_raw_parts(key, len) })
    }
}

impl Exit<'_, FindExport> {
    /// Whether there is no such export for the client.
    pub(crate) fn is_missing(&self) -> bool {
        self.value() as isize == -(bindings::ENOENT as isize)
    }

    /// Has the client told to come again (`nfserrno()`): NFS3ERR_JUKEBOX, NFS4ERR_DELAY.
    pub(crate) fn put_off(&self) {
        self.set_value(-(bindings::ETIMEDOUT as isize) as usize);
    }
}

impl Exit<'_, AssignClient> {
    /// Whether nothing is exported to the client.
    pub(crate) fn is_denied(&self) -> bool {
        self.value() as u32 == bindings::svc_auth_status_SVC_DENIED
    }

    /// Has its connection closed, so that it comes again.
    pub(crate) fn close(&self) {
        self.set_value(bindings::svc_auth_status_SVC_CLOSE as usize);
    }
}
