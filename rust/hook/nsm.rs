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
        lockd::{
            calls,
            nsm::Taken, //
        },
        module_ref::ThisModule,
        request, //
    },
};
use kernel::prelude::*;

/// Hook of `nsm_monitor()`, called before a lock is granted.
pub(super) struct NsmMonitor;

/// What `nsm_monitor()` was made to do.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    taken: Taken,
    /// The pair and the host that statd is to be told of; [`None`] if it has been already.
    about: Option<(Key, usize)>,
}

impl Hook for NsmMonitor {
    type Function = calls::NsmMonitor;
    type Data = Asked;

    fn enter(call: &Entry<'_, calls::NsmMonitor>) -> Option<Asked> {
        let host = call.host();
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
        call.replace_host(&asked.taken);
        Some(asked)
    }

    fn leave(call: &Exit<'_, calls::NsmMonitor>, asked: Asked) {
        let told = asked.taken.tells();
        asked.taken.give_back();
        let Some((key, host)) = asked.about else {
            return;
        };
        if !told {
            call.fail(EAGAIN);
        } else if call.succeeded() && !monitor::arrived(key, host) {
            call.fail(EACCES);
        }
    }
}

/// Hook of `nsm_unmonitor()`, called when lockd forgets a host.
///
/// While it serves a client, lockd forgets those that have held nothing for minutes. Whoever stops
/// lockd takes the locks of all of them away first: `nlm_shutdown_hosts_net()` is called by a task
/// of its own, and once more by lockd's thread when that ends.
pub(super) struct NsmUnmonitor;

impl Hook for NsmUnmonitor {
    type Function = calls::NsmUnmonitor;
    type Data = Taken;

    fn enter(call: &Entry<'_, calls::NsmUnmonitor>) -> Option<Taken> {
        let host = call.host();
        let plan = monitor::leaves(&host, !request::lockd_serves());
        if let Plan::Stock = plan {
            return None;
        }
        let module = ThisModule::try_get()?;
        let taken = match plan {
            // If statd cannot be told, it remembers a client too many.
            Plan::Tell(key) => Taken::to_unmonitor(&host, key.server(), module),
            _ => Taken::unmonitored(module),
        };
        call.replace_host(&taken);
        Some(taken)
    }

    fn leave(_call: &Exit<'_, calls::NsmUnmonitor>, taken: Taken) {
        taken.give_back();
    }
}
