// SPDX-License-Identifier: GPL-2.0-only

//! `nlm_lookup_file()`: lockd opens the file of a request.
//!
//! Two things are done here. A request for what has left this node is turned away before its file
//! is opened: the filesystem may be about to be unmounted, or already be gone, and then the client
//! would get an error instead of being told to wait. And for every file that is opened,
//! the device of its filesystem is learned while a unit needs it.
//!
//! This is also where lockd passes when a client gives something up, which settles an entry of a
//! manifest, and the last place before the reclaim of a share is granted.

use crate::{
    hook::{
        request::with_request,
        trace, //
    },
    policy::{
        lookup::{
            judged,
            lookup,
            Lookup, //
        },
        verdict::Verdict, //
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        lockd::calls::{
            self,
            Slot, //
        },
        net::Net, //
    },
    unit::{
        device,
        unit::Unit, //
    },
};

/// Hook of `nlm_lookup_file()`.
pub(in crate::hook) struct LookupFile;

/// What is to be done after a look-up.
#[derive(Clone, Copy)]
pub(in crate::hook) enum Plan {
    /// No file was opened.
    TurnAway,
    /// A file may have been opened.
    Open {
        /// Where it is, if its device is to be learned.
        learn: Option<(Net, Slot)>,
        /// A share is reclaimed.
        share: bool,
    },
}

impl Hook for LookupFile {
    type Function = calls::LookupFile;
    type Data = Plan;

    fn enter(call: &Entry<'_, calls::LookupFile>) -> Option<Plan> {
        with_request(|current, active, request| {
            let (verdict, unit) = active.judge(&judged(&request));
            let departed = unit.map(Unit::has_departed);
            match lookup(&request, verdict, departed, || active.is_dropping(&request)) {
                Lookup::TurnAway(count) => {
                    trace::told(&request, count.verdict(), unit);
                    if let Some(unit) = unit {
                        unit.count(count);
                    }
                    call.open_nothing();
                    Some(Plan::TurnAway)
                }
                Lookup::Open { gives_up, share } => {
                    if gives_up {
                        active.settle(&request, active.last());
                    }
                    let learn = active.names_devices().then(|| (current.net(), call.slot()));
                    (learn.is_some() || share).then_some(Plan::Open { learn, share })
                }
            }
        })
        .flatten()
    }

    fn leave(call: &Exit<'_, calls::LookupFile>, plan: Plan) {
        let (learn, share) = match plan {
            Plan::TurnAway => return call.deny(),
            Plan::Open { .. } if !call.has_opened() => return,
            Plan::Open { learn, share } => (learn, share),
        };
        if let Some((net, slot)) = learn {
            let file = call.file(slot);
            if let Some((handle, dev)) = file.and_then(|file| file.handle().zip(file.dev())) {
                device::learn(net, handle, dev);
            }
        }
        if share {
            with_request(|_, active, request| {
                if let (Verdict::Pass, Some(unit)) = active.judge(&request) {
                    active.settle(&request, active.last());
                    unit.prolong();
                }
            });
        }
    }
}
