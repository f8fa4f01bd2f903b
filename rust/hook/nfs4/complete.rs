// SPDX-License-Identifier: GPL-2.0-only

//! `nfsd4_reclaim_complete()`: a client has back all that it wanted back.

use crate::{
    policy::nfs4::OK,
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        nfsd::nfs4_calls::{
            Completing,
            ReclaimComplete, //
        },
        request::Current, //
    },
    unit::table, //
};
use kernel::sync::rcu;

/// Hook of `nfsd4_reclaim_complete()`.
pub(in crate::hook) struct Complete;

impl Hook for Complete {
    type Function = ReclaimComplete;
    type Data = Completing;

    fn enter(call: &Entry<'_, ReclaimComplete>) -> Option<Completing> {
        table::any(&rcu::read_lock())
            .then(|| call.completing())
            .flatten()
    }

    fn leave(call: &Exit<'_, ReclaimComplete>, client: Completing) {
        // Who has done so before has done so for what was here before.
        if call.status() != OK {
            return;
        }
        let guard = rcu::read_lock();
        Current::with(|current| {
            if let Some(active) = table::active(current.net(), &guard) {
                call.with_name(client, |name| active.complete(current.server(), name));
            }
        });
    }
}
