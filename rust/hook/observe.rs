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
        lockd,
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

/// Hook of `nlmsvc_lock(rqstp, file, host, lock, wait, cookie, reclaim)`.
pub(super) struct Lock;

impl Hook for Lock {
    const SYMBOL: &'static CStr = c"nlmsvc_lock";
    type Data = ();

    fn enter(_call: &Entry<'_>) -> Option<()> {
        unit::any(&rcu::read_lock()).then_some(())
    }

    fn leave(call: &Exit<'_>, (): ()) {
        let guard = rcu::read_lock();
        Current::with(|current| {
            let net = current.net();
            let active = unit::active(net, &guard)?;
            let request = current.describe(|handle| device::find(net, handle))?;
            if request.op != Op::Reclaim {
                return None;
            }
            let unit = active.judge(&request).1?;
            if call.value() as u32 == lockd::GRANTED {
                unit.count_reclaimed();
            } else {
                unit.count_refused();
            }
            Some(())
        });
    }
}
