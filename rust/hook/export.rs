// SPDX-License-Identifier: GPL-2.0-only

//! `rqst_exp_find()` and `svc_set_client()`: what is not exported.
//!
//! What has left this node, or has just come here, may not be exported while its address is up, as a
//! cluster manager may do either first. Its clients would take the stock answer for the end of what they
//! have open: a stale handle, or no access. They are told to come again.

use crate::{
    policy::fsid::HandleFsid,
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        net::Net,
        nfsd::export_calls,
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
use core::net::IpAddr;
use kernel::sync::rcu;

/// Asks the units that are active about the current request, which came by that address of the server.
fn ask(judge: impl FnOnce(&Active<'_>, Net, Option<IpAddr>) -> bool) -> bool {
    let guard = rcu::read_lock();
    arrival().is_some_and(|(net, server)| {
        table::active(net, &guard).is_some_and(|active| judge(&active, net, server))
    })
}

/// Hook of `rqst_exp_find()`.
pub(super) struct FindExport;

impl Hook for FindExport {
    type Function = export_calls::FindExport;
    type Data = HandleFsid;

    fn enter(call: &Entry<'_, export_calls::FindExport>) -> Option<HandleFsid> {
        table::any(&rcu::read_lock()).then(|| call.handle())?
    }

    fn leave(call: &Exit<'_, export_calls::FindExport>, handle: HandleFsid) {
        if !call.is_missing() {
            return;
        }
        let moves = ask(|active, net, server| {
            let dev = active.names_devices().then(|| device::find(net, &handle));
            active.moves_unexported(server, handle, dev.flatten())
        });
        if moves {
            call.put_off();
        }
    }
}

/// Hook of `svc_set_client()`.
pub(super) struct AssignClient;

impl Hook for AssignClient {
    type Function = export_calls::AssignClient;
    type Data = ();

    fn enter(_call: &Entry<'_, export_calls::AssignClient>) -> Option<()> {
        table::any(&rcu::read_lock()).then_some(())
    }

    fn leave(call: &Exit<'_, export_calls::AssignClient>, (): ()) {
        if call.is_denied() && ask(|active, _, server| active.moves(server)) {
            call.close();
        }
    }
}
