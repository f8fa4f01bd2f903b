// SPDX-License-Identifier: GPL-2.0-only

//! `nfsd4_exchange_id()`, `nfsd4_setclientid()` and `set_client()`: who a client is.
//!
//! A client that uses a floating address is another one through each: what it holds through that
//! address can then leave this node alone, with its lease.

use crate::{
    monitor,
    policy::nfs4::{
        client_status,
        name, //
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        nfsd::nfs4_calls::{
            self,
            Introduces, //
        },
        request::Current, //
    },
    unit::table, //
};
use core::marker::PhantomData;
use kernel::sync::rcu;

/// Hook of a function in which a client says what it calls itself.
pub(in crate::hook) struct Name<F>(PhantomData<F>);

impl<F: Introduces> Hook for Name<F> {
    type Function = F;
    const LEAVES: bool = false;
    type Data = ();

    fn enter(call: &Entry<'_, F>) -> Option<()> {
        let server = Current::with(|current| {
            let (net, server) = (current.net(), current.server()?);
            monitor::is_floating(net, server).then_some((net, server))
        });
        if let Some((net, server)) = server.flatten() {
            // Else it keeps its name, as it does without memory: what it then holds through all
            // addresses together is reclaimed all the same.
            call.rename(net, |old| name::of(old, server));
        }
        None
    }
}

/// Hook of `set_client()`.
pub(in crate::hook) struct SetClient;

impl Hook for SetClient {
    type Function = nfs4_calls::SetClient;
    type Data = ();

    fn enter(_call: &Entry<'_, nfs4_calls::SetClient>) -> Option<()> {
        table::any(&rcu::read_lock()).then_some(())
    }

    fn leave(call: &Exit<'_, nfs4_calls::SetClient>, (): ()) {
        let moves = || {
            let guard = rcu::read_lock();
            let moves = Current::with(|current| {
                table::active(current.net(), &guard)
                    .is_some_and(|active| active.moves(current.server()))
            });
            moves == Some(true)
        };
        if let Some(status) = client_status(call.status(), moves) {
            call.set_status(status);
        }
    }
}
