// SPDX-License-Identifier: GPL-2.0-only

//! `nfs4_open_delegation()`: whether an OPEN comes with a delegation.
//!
//! nfsd gives one for a reclaimed OPEN whether the client claims one or not. The next client that
//! reclaims an OPEN of the same file would then have to wait for it to be given back, and if that takes
//! longer than a lease, the first would lose what it has just reclaimed.
//!
//! And it gives one for writing although others have the file open for reading: these may get one for
//! reading beside it, and miss what is written. It gives one for reading to a client that has the file open
//! for writing, and makes it one for writing when that is reclaimed; a Linux client locks exclusively under
//! either. Where a recall is remembered that does not happen, but a node to which a filesystem has come
//! remembers none.

use crate::{
    hook::request::with_request,
    policy::verdict::Op,
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        nfsd::nfs4_calls::{
            self,
            Unclaimed, //
        },
    },
};

/// Hook of `nfs4_open_delegation()`.
pub(in crate::hook) struct OpenDelegation;

impl Hook for OpenDelegation {
    type Function = nfs4_calls::OpenDelegation;
    type Data = Unclaimed;

    fn enter(call: &Entry<'_, nfs4_calls::OpenDelegation>) -> Option<Unclaimed> {
        let reclaims = with_request(|_, active, request| {
            // It has got so far, whatever would be said of it now.
            request.op == Op::Reclaim && active.judge(&request).1.is_some()
        });
        match reclaims {
            Some(true) => call.unclaim().or_else(|| call.undelegate_shared()),
            _ => call.undelegate_shared(),
        }
    }

    fn leave(call: &Exit<'_, nfs4_calls::OpenDelegation>, open: Unclaimed) {
        call.claim_again(open);
    }
}
