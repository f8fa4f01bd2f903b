// SPDX-License-Identifier: GPL-2.0-only

//! `nlmsvc_lock()` and `nlmsvc_unlock()`: what became of a lock.
//!
//! A client that was granted something new by this node before it was told to reclaim reclaims
//! that, too. It is on no manifest, but refusing it would make the client forget the lock: before
//! the function asks for the grace period, it is found out whether the client holds it.
//!
//! The hook that runs when the lock is granted runs some time after it can be taken down: a release
//! may have come in between. What was granted before it is on its list, and must stay there.

use super::Judged;
use crate::{
    policy::verdict::{
        Op,
        Reason,
        Verdict, //
    },
    sys::{
        due::{
            Due,
            Note, //
        },
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        lockd, //
    },
    unit::{
        self,
        Id, //
    }, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// Hook of `nlmsvc_lock(rqstp, file, host, lock, wait, cookie, reclaim)`.
pub(super) struct Lock;

impl Hook for Lock {
    const SYMBOL: &'static CStr = c"nlmsvc_lock";
    /// Why it is due, the note of that, and which unit the request met with what verdict.
    type Data = (Option<Due>, Option<Note>, Option<(Id, Verdict)>);

    fn enter(call: &Entry<'_>) -> Option<Self::Data> {
        if !unit::any(&rcu::read_lock()) {
            return None;
        }
        let met = super::judged(|judged| {
            let due = due(call, judged);
            let unit = judged.unit.map(|unit| (unit.id(), judged.verdict));
            (due, due.and_then(Due::note), unit)
        });
        Some(met.unwrap_or_default())
    }

    fn leave(call: &Exit<'_>, (due, note, met): Self::Data) {
        if let Some(note) = note {
            note.remove();
            // It waited for the lock here, has been granted it, and the server is still telling
            // it so: the function takes the reclaim for a repeated request to wait.
            if due == Some(Due::Held) && call.value() as u32 == lockd::BLOCKED {
                call.set_value(lockd::GRANTED as usize);
            }
        }
        let granted = call.value() as u32 == lockd::GRANTED;
        let Some((id, verdict)) = met else {
            return;
        };
        super::asked(|_, active, request| {
            let Some(unit) = active.unit(id) else {
                return;
            };
            match (request.op, granted, verdict) {
                (Op::Reclaim, true, _) => {
                    unit.count_reclaimed();
                    unit.settle(&request);
                }
                // What it had and asks for anew, because it did not get the answer, it has.
                (Op::New, true, _) => unit.settle(&request),
                (Op::Reclaim, false, Verdict::Refuse(reason)) => unit.count_reason(reason),
                (Op::Reclaim, false, _) => unit.count_refused(),
                (Op::New | Op::Release, _, _) => {}
            }
        });
    }
}

/// Why the client may have, on the file of `call`, which is one of [`Lock`], what it wants to
/// reclaim.
fn due(call: &Entry<'_>, judged: &Judged<'_>) -> Option<Due> {
    let (Op::Reclaim, Some(unit)) = (judged.request.op, judged.unit) else {
        return None;
    };
    match judged.verdict {
        Verdict::Pass => unit.has_manifest().then_some(Due::Listed),
        Verdict::Refuse(Reason::Unlisted) => {
            // SAFETY: Only `Lock` calls this, at the entry of `nlmsvc_lock()`: its second argument is
            // the file of the request, which its caller has pinned until it returns.
            let file = unsafe { lockd::File::from_argument(call.argument(1)) }?;
            let held = unit.has_by_now(&judged.request, &file);
            held.then_some(Due::Held)
        }
        _ => None,
    }
}

/// Hook of `nlmsvc_unlock(net, file, lock)`.
///
/// When it is through, the lock is gone: one that a release took down meanwhile has to leave the
/// manifest, even if there was no unit yet when the file was looked up.
pub(super) struct Unlock;

impl Hook for Unlock {
    const SYMBOL: &'static CStr = c"nlmsvc_unlock";
    type Data = ();

    fn enter(_call: &Entry<'_>) -> Option<()> {
        unit::any(&rcu::read_lock()).then_some(())
    }

    fn leave(_call: &Exit<'_>, (): ()) {
        super::judged(|judged| {
            if let (Op::Release, Some(unit)) = (judged.request.op, judged.unit) {
                unit.settle(&judged.request);
            }
        });
    }
}
