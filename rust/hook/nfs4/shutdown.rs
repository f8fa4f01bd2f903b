// SPDX-License-Identifier: GPL-2.0-only

//! `nfs4_state_shutdown_net()`: nfsd stops, and forgets what its NFSv4 clients have.
//!
//! They believe that they have it, and it is on no list of a later release.

use crate::{
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        net::Net,
        nfsd::nfs4_calls, //
    },
    unit::unit, //
};

/// Hook of `nfs4_state_shutdown_net()`.
pub(in crate::hook) struct Shutdown;

impl Hook for Shutdown {
    type Function = nfs4_calls::ShutdownNet;
    type Data = Net;

    fn enter(call: &Entry<'_, nfs4_calls::ShutdownNet>) -> Option<Net> {
        let net = call.forgotten_in()?;
        // Before, so that a release which does not find anything any more knows why.
        unit::take_away(net);
        Some(net)
    }

    fn leave(_call: &Exit<'_, nfs4_calls::ShutdownNet>, net: Net) {
        // And after, so that a recovery which has begun meanwhile does not count.
        unit::take_away(net);
    }
}
