// SPDX-License-Identifier: GPL-2.0-only

//! `nfs4_check_open_reclaim()`: whether a client may reclaim opens.
//!
//! nfsd asks whether it had any on this node, and whether it has completed its reclaims here. Neither
//! matters for what has come from another node.

use crate::{
    hook::request::with_request,
    policy::{
        nfs4::open_reclaim,
        verdict::Op, //
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        nfsd::nfs4_calls, //
    },
    unit::table, //
};
use kernel::sync::rcu;

/// Hook of `nfs4_check_open_reclaim()`.
pub(in crate::hook) struct CheckOpenReclaim;

impl Hook for CheckOpenReclaim {
    type Function = nfs4_calls::CheckOpenReclaim;
    type Data = ();

    fn enter(_call: &Entry<'_, nfs4_calls::CheckOpenReclaim>) -> Option<()> {
        table::any(&rcu::read_lock()).then_some(())
    }

    fn leave(call: &Exit<'_, nfs4_calls::CheckOpenReclaim>, (): ()) {
        let status = with_request(|_, active, request| {
            (request.op == Op::Reclaim).then(|| open_reclaim(active.judge(&request).0))
        });
        if let Some(status) = status.flatten().flatten() {
            call.set_status(status);
        }
    }
}
