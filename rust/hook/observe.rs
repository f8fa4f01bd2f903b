// SPDX-License-Identifier: GPL-2.0-only

//! `nlmsvc_lock()`: what became of a reclaim.

use crate::{
    policy::verdict::Op,
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        lockd, //
    },
    unit, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// Hook of `nlmsvc_lock(rqstp, file, host, lock, wait, cookie, reclaim)`.
pub(super) struct Lock;

impl Hook for Lock {
    const SYMBOL: &'static CStr = c"nlmsvc_lock";
    type Data = ();

    fn enter(_call: &Entry<'_>) -> Option<()> {
        unit::any(&rcu::read_lock()).then_some(())
    }

    fn leave(call: &Exit<'_>, (): ()) {
        super::judged(|judged| {
            let (Op::Reclaim, Some(unit)) = (judged.request.op, judged.unit) else {
                return;
            };
            if call.value() as u32 == lockd::GRANTED {
                unit.count_reclaimed();
                unit.settle(&judged.request);
            } else {
                unit.count_refused();
            }
        });
    }
}
