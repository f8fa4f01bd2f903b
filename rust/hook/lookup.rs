// SPDX-License-Identifier: GPL-2.0-only

//! `nlm_lookup_file()`: lockd opens the file of a request.
//!
//! Two things are done here. A request that has to wait or is refused is turned away before its
//! file is opened: the filesystem may be about to be unmounted, or already be gone, and then the
//! client would get an error instead of being told to wait. And for every file that is opened,
//! the device of its filesystem is learned while a unit needs it.

use crate::{
    policy::verdict::{
        Op,
        Verdict, //
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        lockd,
        net::Net,
        request::Current, //
    },
    unit::{
        self,
        device, //
    },
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// Hook of `nlm_lookup_file(rqstp, result, lock, mode)`.
pub(super) struct LookupFile;

/// What becomes of a look-up.
#[derive(Clone, Copy)]
pub(super) enum Plan {
    /// No file was opened; the client is told to wait, or refused, by the same status.
    TurnAway,
    /// The file is opened, and its device learned. Holds the `result` argument.
    Learn(Net, usize),
}

impl Hook for LookupFile {
    const SYMBOL: &'static CStr = c"nlm_lookup_file";
    type Data = Plan;

    fn enter(call: &Entry<'_>) -> Option<Plan> {
        let guard = rcu::read_lock();
        if !unit::any(&guard) {
            return None;
        }
        Current::with(|current| {
            let net = current.net();
            let active = unit::active(net, &guard)?;
            let request = current.describe(|handle| device::find(net, handle))?;
            let (verdict, unit) = active.judge(&request);
            // Locks are judged for good once their file is open, unless that must not happen.
            let turn_away = match (verdict, request.op) {
                (Verdict::Refuse, _) => true,
                (Verdict::Wait, Op::New) => unit.is_some_and(|unit| unit.has_left()),
                _ => false,
            };
            if turn_away {
                if let Some(unit) = unit {
                    match verdict {
                        Verdict::Refuse => unit.count_refused(),
                        _ => unit.count_wait(),
                    }
                }
                call.set_argument(3, lockd::OPEN_NOTHING);
                return Some(Plan::TurnAway);
            }
            active
                .names_devices()
                .then(|| Plan::Learn(net, call.argument(1)))
        })
        .flatten()
    }

    fn leave(call: &Exit<'_>, plan: Plan) {
        match plan {
            Plan::TurnAway => call.set_value(lockd::DENIED_GRACE_PERIOD),
            Plan::Learn(net, result) if call.value() as u32 == lockd::GRANTED => {
                // SAFETY: The look-up succeeded, so `*result` is a file it pinned for its caller,
                // which has not got it yet.
                let file = unsafe { lockd::File::from_result(result) };
                if let Some((handle, dev)) = file.and_then(|file| file.handle().zip(file.dev())) {
                    device::learn(net, handle, dev);
                }
            }
            Plan::Learn(..) => {}
        }
    }
}
