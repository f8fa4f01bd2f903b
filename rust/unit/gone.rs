// SPDX-License-Identifier: GPL-2.0-only

//! Clients that have given up all they had: what is listed of them is outstanding no more.
//!
//! A client may have a great many locks on a list, and a hook must not go through all of it. So it
//! is noted here and done by the timer, which is told to hurry. There is room for some; what there
//! is none for stays outstanding, and nobody gets it before the recovery is over.
//!
//! Guarded by a spinlock that hooks take; nothing is called under it.

use super::{
    table::{
        active,
        copy_without, //
    },
    unit::{
        hurry,
        Id, //
    },
};
use crate::{
    policy::state::client::Host,
    sys::net::Net, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// How many are noted at a time.
const CAPACITY: usize = 32;

/// A client that is gone.
#[derive(Clone, Copy)]
struct Gone {
    net: Net,
    host: Host,
    /// All hosts of its address, and not that one only.
    whole: bool,
    /// The unit that had come last: what the client gets later may be on the list of the next one.
    last: Id,
}

kernel::sync::global_lock! {
    // SAFETY: Initialised in `init` before any hook is placed.
    unsafe(uninit) static GONE: SpinLock<[Option<Gone>; CAPACITY]> = [None; CAPACITY];
}

/// Prepares the lock.
///
/// # Safety
///
/// Must be called once, before anything else of this file.
pub(super) unsafe fn init() {
    // SAFETY: By the safety requirements.
    unsafe { GONE.init() };
}

/// Notes that a client has given up all it had by `host`, or if `whole` all it had by its address.
/// Does not sleep.
pub(crate) fn note(net: Net, host: Host, whole: bool) {
    let last = {
        let guard = rcu::read_lock();
        active(net, &guard).and_then(|active| active.last())
    };
    let Some(last) = last else {
        return;
    };
    let gone = Gone {
        net,
        host,
        whole,
        last,
    };
    if let Some(slot) = GONE.lock().iter_mut().find(|slot| slot.is_none()) {
        *slot = Some(gone);
    }
    hurry();
}

/// Settles what was noted. `REGISTRY` is held, and what was dropped is in order. May sleep.
pub(super) fn settle() -> Result {
    for at in 0..CAPACITY {
        let Some(gone) = GONE.lock()[at] else {
            continue;
        };
        let units = copy_without(|unit| unit.net() != gone.net || unit.id() > gone.last)?;
        // What is just being released has its list later.
        let mut units_there = units.units.iter();
        if units_there.any(|unit| unit.is_held() && !unit.has_manifest()) {
            continue;
        }
        // Nobody else empties it.
        GONE.lock()[at] = None;
        for unit in &units.units {
            if let Some(manifest) = unit.manifest() {
                if manifest.settle_host(&gone.host, gone.whole) {
                    unit.mark_settled();
                }
            }
        }
    }
    Ok(())
}
