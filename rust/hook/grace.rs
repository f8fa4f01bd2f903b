// SPDX-License-Identifier: GPL-2.0-only

//! `locks_in_grace()` and `opens_in_grace()`: the verdict.
//!
//! Every caller in lockd and nfsd passes through these two when it has to know whether a request
//! falls into a grace period. Their answer is for the whole network namespace; here it becomes
//! one for the request.

use crate::{
    policy::verdict::{
        Op,
        Reason,
        Verdict, //
    },
    sys::{
        due::Due,
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        grace::Mark,
        net::Net,
        witness::Witness, //
    },
    unit, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

static WITNESS: Witness = Witness::new();

/// Whether the hook of `locks_in_grace()` is being called.
pub(super) fn live() -> bool {
    WITNESS.sees(|| {
        Net::initial().locks_in_grace();
    })
}

/// Hook of `locks_in_grace()`.
pub(super) struct LocksInGrace;

impl Hook for LocksInGrace {
    const SYMBOL: &'static CStr = c"locks_in_grace";
    type Data = (Net, Option<Mark>);

    fn enter(call: &Entry<'_>) -> Option<Self::Data> {
        WITNESS.saw();
        Some(enter(call))
    }

    fn leave(call: &Exit<'_>, data: Self::Data) {
        leave(call, data, false);
    }
}

/// Hook of `opens_in_grace()`.
pub(super) struct OpensInGrace;

impl Hook for OpensInGrace {
    const SYMBOL: &'static CStr = c"opens_in_grace";
    type Data = (Net, Option<Mark>);

    fn enter(call: &Entry<'_>) -> Option<Self::Data> {
        Some(enter(call))
    }

    fn leave(call: &Exit<'_>, data: Self::Data) {
        leave(call, data, true);
    }
}

fn enter(call: &Entry<'_>) -> (Net, Option<Mark>) {
    let net = Net::from_argument(call.argument(0));
    let guard = rcu::read_lock();
    let mark = unit::active(net, &guard).map(|active| active.manager().mark());
    (net, mark)
}

/// The first or last unit of the namespace may come or go while the function runs, so what was
/// there before and what is there after are both looked at: as soon as one of them says that the
/// answer may count our own entry, it is replaced.
fn leave(call: &Exit<'_>, (net, mark): (Net, Option<Mark>), opens: bool) {
    let guard = rcu::read_lock();
    let Some(active) = unit::active(net, &guard) else {
        if let Some(mark) = mark {
            call.set_value(mark.others(opens, &guard).into());
        }
        return;
    };
    let others = active.manager().others(opens, &guard);
    let answer = super::asked(|_, active, request| {
        let op = request.op;
        let due = (op == Op::Reclaim).then(Due::noted).flatten();
        // That it is listed is known, but not whether it has left meanwhile.
        let listed = due == Some(Due::Listed);
        let (verdict, unit) = active.judge(&if listed { request.of_any() } else { request });
        if let (Verdict::Wait, Some(unit)) = (verdict, unit) {
            unit.count_wait();
        }
        let verdict = match verdict {
            // It was granted here, as new, before the client was told to reclaim.
            Verdict::Refuse(Reason::Unlisted) if due == Some(Due::Held) => Verdict::Pass,
            verdict => verdict,
        };
        verdict.in_grace(op, others)
    });
    call.set_value(answer.unwrap_or(others).into());
}
