// SPDX-License-Identifier: GPL-2.0-only

//! `nfsd4_open()` and `nfsd4_lock()`: what became of an OPEN or LOCK, and what the client is told.

use crate::{
    hook::request::with_request,
    policy::{
        nfs4::{
            count,
            told,
            OK, //
        },
        verdict::{
            Op,
            Verdict, //
        },
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        nfsd::nfs4_calls::Reclaims,
        request::Current, //
    },
    unit::unit::Id, //
};
use core::marker::PhantomData;

/// What a request met when it was entered.
#[derive(Clone, Copy)]
pub(in crate::hook) struct Met {
    op: Op,
    verdict: Verdict,
    /// The unit that decided.
    unit: Option<Id>,
}

/// Hook of such a function.
pub(in crate::hook) struct Outcome<F>(PhantomData<F>);

impl<F: Reclaims> Hook for Outcome<F> {
    type Function = F;
    type Data = Met;

    fn enter(call: &Entry<'_, F>) -> Option<Met> {
        let met = with_request(|_, active, request| {
            let (verdict, unit) = active.judge(&request);
            Met {
                op: request.op,
                verdict,
                unit: unit.map(|unit| unit.id()),
            }
        });
        // The first unit may come while the function runs.
        let unmet = || Met {
            op: Op::Reclaim,
            verdict: Verdict::Stock,
            unit: None,
        };
        met.or_else(|| call.is_reclaim().then(unmet))
    }

    fn leave(call: &Exit<'_, F>, met: Met) {
        let mut status = call.status();
        let mut goes_on = false;
        if met.op == Op::Reclaim {
            let course = Current::with(|current| current.course());
            if let Some(other) = course.and_then(|course| told(F::OPERATION, course, status)) {
                // It was granted, so the client has something here, and more to reclaim perhaps.
                goes_on = status == OK;
                call.set_status(other);
                status = other;
            }
        }
        let count = count(met.op, met.verdict, status);
        if count.is_none() && !goes_on {
            return;
        }
        with_request(|_, active, _| {
            let Some(unit) = met.unit.and_then(|unit| active.unit(unit)) else {
                return;
            };
            if goes_on {
                unit.prolong();
            }
            if let Some(count) = count {
                unit.count(count);
            }
        });
    }
}
