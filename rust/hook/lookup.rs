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
    policy::verdict::{
        Op,
        Reason,
        Verdict,
        What, //
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        lockd,
        net::Net, //
    },
    unit::device, //
};
use kernel::prelude::*;

/// Hook of `nlm_lookup_file(rqstp, result, lock, mode)`.
pub(super) struct LookupFile;

/// What becomes of a look-up.
#[derive(Clone, Copy)]
pub(super) enum Plan {
    /// No file was opened; the client is told to wait, or refused, by the same status.
    TurnAway,
    /// The file is opened.
    Open {
        /// The `result` argument, if its device is to be learned.
        learn: Option<(Net, usize)>,
        /// A share is reclaimed.
        share: bool,
    },
}

impl Hook for LookupFile {
    const SYMBOL: &'static CStr = c"nlm_lookup_file";
    type Data = Plan;

    fn enter(call: &Entry<'_>) -> Option<Plan> {
        super::asked(|net, active, request| {
            let op = request.op;
            // Locks are judged for good once their file is open, unless that must not happen; until
            // then it does not matter whether they are listed.
            let lock = matches!(request.what, What::Range(..));
            let (verdict, unit) = active.judge(&if lock { request.of_any() } else { request });
            match (verdict, op, unit) {
                (Verdict::Refuse(reason), _, Some(unit)) if !lock || reason == Reason::Released => {
                    unit.count_reason(reason);
                }
                (Verdict::Wait, Op::New, Some(unit)) if unit.has_left() => unit.count_wait(),
                _ => {
                    if let (Op::Release, Some(unit)) = (op, unit) {
                        unit.settle(&request);
                    }
                    let learn = active.names_devices().then(|| (net, call.argument(1)));
                    let share = op == Op::Reclaim && matches!(request.what, What::Share(..));
                    return (learn.is_some() || share).then_some(Plan::Open { learn, share });
                }
            }
            call.set_argument(3, lockd::OPEN_NOTHING);
            Some(Plan::TurnAway)
        })
        .flatten()
    }

    fn leave(call: &Exit<'_>, plan: Plan) {
        let (learn, share) = match plan {
            Plan::TurnAway => return call.set_value(lockd::DENIED_GRACE_PERIOD),
            Plan::Open { .. } if call.value() as u32 != lockd::GRANTED => return,
            Plan::Open { learn, share } => (learn, share),
        };
        if let Some((net, result)) = learn {
            // SAFETY: The look-up succeeded, so `*result` is a file it pinned for its caller,
            // which has not got it yet.
            let file = unsafe { lockd::File::from_result(result) };
            if let Some((handle, dev)) = file.and_then(|file| file.handle().zip(file.dev())) {
                device::learn(net, handle, dev);
            }
        }
        if share {
            super::judged(|judged| {
                if let (Verdict::Pass, Some(unit)) = (judged.verdict, judged.unit) {
                    unit.settle(&judged.request);
                }
            });
        }
    }
}
