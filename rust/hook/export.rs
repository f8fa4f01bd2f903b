// SPDX-License-Identifier: GPL-2.0-only

//! `rqst_exp_find()` and `svc_set_client()`: what is not exported.
//!
//! What has left this node, or has just come here, may not be exported while its address is up, as a
//! cluster manager may do either first. Its clients would take the stock answer for the end of what they
//! have open: a stale handle, or no access. They are told to come again.

use crate::{
    policy::fsid::{
        Dev,
        HandleFsid, //
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        net::Net,
        nfsd::exports,
        request::arrival, //
    },
    unit::{
        device,
        table::{
            self,
            Active, //
        }, //
    }, //
};
use kernel::sync::rcu;

/// [`Some`] if what `of` finds out about the current request is on its way: the filesystem of a handle,
/// or anything that uses the address.
fn moves(
    of: impl FnOnce(Net, &Active<'_>) -> Option<Option<(HandleFsid, Option<Dev>)>>,
) -> Option<()> {
    let guard = rcu::read_lock();
    if !table::any(&guard) {
        return None;
    }
    let (net, server) = arrival()?;
    let active = table::active(net, &guard)?;
    active.moves(server, of(net, &active)?).then_some(())
}

/// Hook of `rqst_exp_find()`.
pub(super) struct FindExport;

impl Hook for FindExport {
    type Function = exports::FindExport;
    type Data = ();

    fn enter(call: &Entry<'_, exports::FindExport>) -> Option<()> {
        moves(|net, active| {
            let handle = call.handle()?;
            let dev = active.names_devices().then(|| device::find(net, &handle));
            Some(Some((handle, dev.flatten())))
        })
    }

    fn leave(call: &Exit<'_, exports::FindExport>, (): ()) {
        if call.is_missing() {
            call.put_off();
        }
    }
}

/// Hook of `svc_set_client()`.
pub(super) struct AssignClient;

impl Hook for AssignClient {
    type Function = exports::AssignClient;
    type Data = ();

    fn enter(_call: &Entry<'_, exports::AssignClient>) -> Option<()> {
        moves(|_, _| Some(None))
    }

    fn leave(call: &Exit<'_, exports::AssignClient>, (): ()) {
        if call.is_denied() {
            call.close();
        }
    }
}
