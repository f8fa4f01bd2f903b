// SPDX-License-Identifier: GPL-2.0-only

//! `nsm_monitor()` and `nsm_unmonitor()`: statd is told which floating address a client uses.
//!
//! lockd asks statd once for each client and gives the name of the node. For a client that uses a
//! floating address, statd is asked once for each such address, and given that: the list of whom
//! to tell when the address moves can then be kept where it moves along.

use crate::{
    monitor::{
        self,
        Key,
        Plan, //
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        lockd::Host,
        nsm::{
            self,
            Taken, //
        }, //
    }, //
};
use kernel::prelude::*;

/// Hook of `nsm_monitor(host)`, called before a lock is granted.
pub(super) struct NsmMonitor;

/// A question to statd.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    key: Key,
    host: usize,
    /// [`None`] if it could not be asked.
    taken: Option<Taken>,
}

impl Hook for NsmMonitor {
    const SYMBOL: &'static CStr = c"nsm_monitor";
    type Data = Asked;

    fn enter(call: &Entry<'_>) -> Option<Asked> {
        // SAFETY: It is the host that the caller pinned for the function.
        let host = unsafe { Host::from_argument(call.argument(0)) };
        match monitor::arrives(&host) {
            Plan::Stock => None,
            Plan::Nothing => {
                call.set_argument(0, nsm::monitored());
                None
            }
            Plan::Tell(key) => {
                let taken = Taken::to_monitor(&host, key.server());
                let argument = taken.map_or_else(nsm::monitored, |taken| taken.argument());
                call.set_argument(0, argument);
                let host = host.id();
                Some(Asked { key, host, taken })
            }
        }
    }

    fn leave(call: &Exit<'_>, asked: Asked) {
        let Some(taken) = asked.taken else {
            return call.set_value(EAGAIN.to_errno() as usize);
        };
        taken.give_back();
        if call.value() as c_int == 0 && !monitor::arrived(asked.key, asked.host) {
            call.set_value(EACCES.to_errno() as usize);
        }
    }
}

/// Hook of `nsm_unmonitor(host)`, called when lockd forgets a host.
pub(super) struct NsmUnmonitor;

impl Hook for NsmUnmonitor {
    const SYMBOL: &'static CStr = c"nsm_unmonitor";
    type Data = Taken;

    fn enter(call: &Entry<'_>) -> Option<Taken> {
        // SAFETY: It is the host that the caller is about to free.
        let host = unsafe { Host::from_argument(call.argument(0)) };
        let taken = match monitor::leaves(&host) {
            Plan::Stock => return None,
            Plan::Nothing => None,
            Plan::Tell(key) => Taken::to_unmonitor(&host, key.server()),
        };
        // If statd cannot be told, it remembers a client too many.
        let argument = taken.map_or_else(nsm::unmonitored, |taken| taken.argument());
        call.set_argument(0, argument);
        taken
    }

    fn leave(_call: &Exit<'_>, taken: Taken) {
        taken.give_back();
    }
}
