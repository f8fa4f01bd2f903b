// SPDX-License-Identifier: GPL-2.0-only

//! `nlmsvc_free_host_resources()`: a client has given up all it had, or all is taken from it.
//!
//! lockd calls it for each host of a client that has rebooted (`nlm_host_rebooted()`), and for the
//! one by which a client asks for that (`NLM_FREE_ALL`). It also does so when it stops, which is no
//! doing of the client's: its thread has served its last request then, which may have been one of
//! these. The client believes that it has its locks, and they are on no list.

use crate::{
    policy::state::client,
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        lockd::calls::FreeHostResources,
        net::Net,
        request::{
            self,
            Current, //
        }, //
    },
    unit::{
        gone,
        table,
        unit, //
    },
};
use kernel::sync::rcu;

/// Hook of `nlmsvc_free_host_resources()`.
pub(in crate::hook) struct FreeHost;

impl Hook for FreeHost {
    type Function = FreeHostResources;
    type Data = (Net, client::Host);

    fn enter(call: &Entry<'_, FreeHostResources>) -> Option<Self::Data> {
        let host = call.host();
        let serves = request::lockd_serves();
        if !serves {
            // Before, so that a release which does not find a lock any more knows why.
            unit::take_away(host.net());
        }
        let gives_up = serves && table::any(&rcu::read_lock());
        (!serves || gives_up).then(|| (host.net(), host.identity()))
    }

    fn leave(_call: &Exit<'_, FreeHostResources>, (net, host): Self::Data) {
        if !request::lockd_serves() {
            // And after, so that a recovery which has begun meanwhile does not count.
            return unit::take_away(net);
        }
        if let Some(Some(whole)) = Current::with(|current| current.gives_up_all()) {
            gone::note(net, host, whole);
        }
    }
}
