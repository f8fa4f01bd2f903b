// SPDX-License-Identifier: GPL-2.0-only

//! `nlmsvc_lock()` and `nlmsvc_unlock()`: what became of a lock.
//!
//! A client that was granted something new by this node before it was told to reclaim reclaims
//! that, too. It is on no manifest, but refusing it would make the client forget the lock: before
//! the function asks for the grace period, it is found out whether the client holds it.
//!
//! The exit hook runs after lockd has dropped `f_mutex`; a release may have captured the lock in
//! between. Such a lock stays on that release's list.

use crate::{
    hook::request::with_request,
    policy::{
        claim::{
            answer,
            Claim, //
        },
        outcome::{
            count,
            Outcome, //
        },
        verdict::{
            Op,
            Verdict, //
        },
    },
    sys::{
        claim::{
            self,
            Note, //
        },
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        lockd::calls, //
    },
    unit::{
        table,
        unit::Id, //
    },
};
use kernel::sync::rcu;

/// What a request met when it was entered.
#[derive(Clone, Copy)]
pub(in crate::hook) struct Met {
    /// The unit that decided.
    unit: Id,
    verdict: Verdict,
    /// The unit that had come last. One that came later may have taken down the very lock.
    last: Id,
}

/// Hook of `nlmsvc_lock()`.
pub(in crate::hook) struct Lock;

impl Hook for Lock {
    type Function = calls::Lock;
    /// The claim, the note of it, and what the request met.
    type Data = (Option<Claim>, Option<Note>, Option<Met>);

    fn enter(call: &Entry<'_, calls::Lock>) -> Option<Self::Data> {
        if !table::any(&rcu::read_lock()) {
            return None;
        }
        let met = with_request(|_, active, request| {
            let (verdict, unit) = active.judge(&request);
            let claim = unit.and_then(|unit| {
                let has = || unit.has_by_now(&request, &call.file()?);
                Claim::of(request.op, verdict, unit.list(), has)
            });
            let met = unit.zip(active.last()).map(|(unit, last)| Met {
                unit: unit.id(),
                verdict,
                last,
            });
            let note = claim.zip(active.last());
            let note = note.and_then(|(claim, last)| claim::note(claim, last.stamp()));
            (claim, note, met)
        });
        Some(met.unwrap_or_default())
    }

    fn leave(call: &Exit<'_, calls::Lock>, (claim, note, met): Self::Data) {
        let mut outcome = call.outcome();
        if let Some(note) = note {
            note.remove();
            let told = answer(claim, outcome);
            if told != outcome && told == Outcome::Granted {
                call.grant();
            }
            outcome = told;
        }
        let Some(Met {
            unit,
            verdict,
            last,
        }) = met
        else {
            return;
        };
        with_request(|_, active, request| {
            if outcome == Outcome::Granted {
                // Also what it had and asks for anew, because it did not get the answer.
                active.settle(&request, Some(last));
            }
            let unit = active.unit(unit);
            if let Some((unit, count)) = unit.zip(count(request.op, verdict, outcome)) {
                unit.count(count);
            }
        });
    }
}

/// Hook of `nlmsvc_unlock()`.
///
/// When it is through, the lock is gone: one that a release took down meanwhile has to leave the
/// manifest, even if there was no unit yet when the file was looked up.
pub(in crate::hook) struct Unlock;

impl Hook for Unlock {
    type Function = calls::Unlock;
    type Data = ();

    fn enter(_call: &Entry<'_, calls::Unlock>) -> Option<()> {
        table::any(&rcu::read_lock()).then_some(())
    }

    fn leave(_call: &Exit<'_, calls::Unlock>, (): ()) {
        with_request(|_, active, request| {
            if request.op == Op::Release {
                active.settle(&request, active.last());
            }
        });
    }
}
