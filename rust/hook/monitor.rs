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
        host::Host,
        nsm::Taken,
        pin::ThisModule, //
    }, //
};
use kernel::prelude::*;

/// Hook of `nsm_monitor(host)`, called before a lock is granted.
pub(super) struct NsmMonitor;

/// What `nsm_monitor()` was made to do.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    taken: Taken,
    /// The pair and the host that statd is to be told of; [`None`] if it has been already.
    about: Option<(Key, usize)>,
}

impl Hook for NsmMonitor {
    const SYMBOL: &'static CStr = c"nsm_monitor";
    type Data = Asked;

    fn enter(call: &Entry<'_>) -> Option<Asked> {
        // SAFETY: It is the host that the caller pinned for the function.
        let host = unsafe { Host::from_argument(call.argument(0)) };
        let plan = monitor::arrives(&host);
        if let Plan::Stock = plan {
            return None;
        }
        // If the module is on its way out, what it knows is, too.
        let module = ThisModule::try_get()?;
        let asked = match plan {
            Plan::Tell(key) => Asked {
                taken: Taken::to_monitor(&host, key.server(), module),
                about: Some((key, host.id())),
            },
            _ => Asked {
                taken: Taken::monitored(module),
                about: None,
            },
        };
        call.set_argument(0, asked.taken.argument());
        Some(asked)
    }

    fn leave(call: &Exit<'_>, asked: Asked) {
        let told = asked.taken.tells();
        asked.taken.give_back();
        let Some((key, host)) = asked.about else {
            return;
        };
        if !told {
            call.set_value(EAGAIN.to_errno() as usize);
        } else if call.value() as c_int == 0 && !monitor::arrived(key, host) {
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
        let plan = monitor::leaves(&host);
        if let Plan::Stock = plan {
            return None;
        }
        let module = ThisModule::try_get()?;
        let taken = match plan {
            // If statd cannot be told, it remembers a client too many.
            Plan::Tell(key) => Taken::to_unmonitor(&host, key.server(), module),
            _ => Taken::unmonitored(module),
        };
        call.set_argument(0, taken.argument());
        Some(taken)
    }

    fn leave(_call: &Exit<'_>, taken: Taken) {
        taken.give_back();
    }
}
