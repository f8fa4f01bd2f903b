// SPDX-License-Identifier: GPL-2.0-only

//! `nfsd_file_acquire_dir()`: a client wants a directory delegated.
//!
//! nfsd does not ask for the grace period there. What it gives on a filesystem that has left keeps that
//! mounted, and no list tells of it.

use crate::{
    hook::{
        request::with_request,
        trace, //
    },
    policy::nfs4::delegates,
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        nfsd::nfs4_calls::AcquireDir,
    },
};

/// Hook of `nfsd_file_acquire_dir()`.
pub(in crate::hook) struct Directory;

impl Hook for Directory {
    type Function = AcquireDir;
    type Data = ();

    fn enter(call: &Entry<'_, AcquireDir>) -> Option<()> {
        let delegates = with_request(|_, active, request| {
            let (verdict, unit) = active.judge(&request);
            let delegates = delegates(verdict);
            if !delegates {
                trace::told(&request, verdict, unit);
            }
            delegates
        });
        (delegates == Some(false)).then(|| call.refuse())
    }

    fn leave(call: &Exit<'_, AcquireDir>, (): ()) {
        call.unavailable();
    }
}
