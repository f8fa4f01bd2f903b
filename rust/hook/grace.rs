// SPDX-License-Identifier: GPL-2.0-only

//! `locks_in_grace()` and `opens_in_grace()`: the verdict.
//!
//! Every caller in lockd and nfsd passes through these two when it has to know whether a request
//! falls into a grace period. Their answer is for the whole network namespace; here it becomes
//! one for the request.

use crate::{
    hook::{
        request::with_request,
        trace, //
    },
    policy::{
        claim::{
            judged,
            overrule, //
        },
        nfs4::{
            asks_once,
            course,
            wants_delegation, //
        },
        outcome::Count,
        verdict::{
            Op,
            Verdict, //
        },
    },
    sys::{
        claim,
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        grace::{
            self,
            Mark,
            Question, //
        },
        net::Net,
        witness::Witness, //
    },
    unit::table, //
};
use kernel::sync::rcu;

static WITNESS: Witness = Witness::new();

/// Whether the hook of `locks_in_grace()` is being called. May sleep.
pub(super) fn live() -> bool {
    WITNESS.sees(|| {
        Net::initial().locks_in_grace();
    })
}

/// Hook of `locks_in_grace()`.
pub(super) struct LocksInGrace;

impl Hook for LocksInGrace {
    type Function = grace::LocksInGrace;
    type Data = (Net, Option<Mark>);

    fn enter(call: &Entry<'_, grace::LocksInGrace>) -> Option<Self::Data> {
        WITNESS.saw();
        Some(enter(call))
    }

    fn leave(call: &Exit<'_, grace::LocksInGrace>, data: Self::Data) {
        leave(call, data);
    }
}

/// Hook of `opens_in_grace()`.
pub(super) struct OpensInGrace;

impl Hook for OpensInGrace {
    type Function = grace::OpensInGrace;
    type Data = (Net, Option<Mark>);

    fn enter(call: &Entry<'_, grace::OpensInGrace>) -> Option<Self::Data> {
        Some(enter(call))
    }

    fn leave(call: &Exit<'_, grace::OpensInGrace>, data: Self::Data) {
        leave(call, data);
    }
}

fn enter<Q: Question>(call: &Entry<'_, Q>) -> (Net, Option<Mark>) {
    let net = call.net();
    let guard = rcu::read_lock();
    let mark = table::active(net, &guard).map(|active| active.manager().mark());
    (net, mark)
}

/// The first or last unit of the namespace may come or go while the function runs, so what was
/// there before and what is there after are both looked at: as soon as one of them says that the
/// answer may count our own entry, it is replaced.
fn leave<Q: Question>(call: &Exit<'_, Q>, (net, mark): (Net, Option<Mark>)) {
    let guard = rcu::read_lock();
    let Some(active) = table::active(net, &guard) else {
        if let Some(mark) = mark {
            call.answer(mark.others(Q::OPENS, &guard));
        }
        return;
    };
    let others = active.manager().others(Q::OPENS, &guard);
    let answer = with_request(|current, active, request| {
        // What was found out by other units than there are now does not count.
        let claim = active
            .last()
            .filter(|_| request.op == Op::Reclaim)
            .and_then(|last| claim::noted(last.stamp()));
        let (verdict, unit) = active.judge(&judged(claim, &request));
        let verdict = overrule(claim, verdict);
        let operation = current.operation();
        if let (true, Verdict::Wait, Some(unit)) = (asks_once(operation), verdict, unit) {
            unit.count(Count::Wait);
        }
        trace::told(&request, verdict, unit);
        let verdict = match unit {
            Some(unit)
                if unit.holds_delegations_back()
                    && wants_delegation(operation, request.op, Q::OPENS) =>
            {
                Verdict::Wait
            }
            _ => verdict,
        };
        let Some(operation) = operation else {
            return verdict.in_grace(request.op, others);
        };
        let (answer, course) = course(operation, request.op, verdict, others);
        current.set_course(course);
        answer
    });
    call.answer(answer.unwrap_or(others));
}
