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
    unit::{
        table,
        unit::Id, //
    }, //
};
use kernel::sync::rcu;

/// Who says so, and which unit had come last by then.
#[derive(Clone, Copy)]
pub(in crate::hook) struct Met {
    client: Completing,
    last: Option<Id>,
}

/// Hook of `nfsd4_reclaim_complete()`.
pub(in crate::hook) struct Complete;

impl Hook for Complete {
    type Function = ReclaimComplete;
    type Data = Met;

    fn enter(call: &Entry<'_, ReclaimComplete>) -> Option<Met> {
        let guard = rcu::read_lock();
        if !table::any(&guard) {
            return None;
        }
        let client = call.completing()?;
        let last = Current::with(|current| table::active(current.net(), &guard)?.last());
        Some(Met {
            client,
            last: last.flatten(),
        })
    }

    fn leave(call: &Exit<'_, ReclaimComplete>, met: Met) {
        // Who has done so before has done so for what was here before.
        if call.status() != OK {
            return;
        }
        let guard = rcu::read_lock();
        Current::with(|current| {
            if let Some(active) = table::active(current.net(), &guard) {
                call.with_name(met.client, |name| {
                    active.complete(current.server(), name, met.last);
                });
            }
        });
    }
}
