// SPDX-License-Identifier: GPL-2.0-only

//! Dropping what a unit holds, in two stages.
//!
//! lockd unlocks by inode, and an inode may have several handles (`subtree_check`). A lock that is
//! dropped by one handle is granted to who waits by another. So with the fence in force nothing may
//! wait for a lock of the unit any more, on any handle, before the first lock is dropped: requests
//! that wait go first, until a whole pass through lockd's files finds none of which it is undecided
//! whether they will be granted.
//!
//! Nobody comes to wait after that. `nlmsvc_lock()` puts its request on the file's list before it
//! asks for the verdict. Whoever asked before the fence was on the list when the first pass began,
//! because setting the fence waits for all hooks that did not see it (RCU), or has got the lock;
//! and the pass waits for `f_mutex`, which is held until that is decided.

use crate::sys::{
    lockd::{
        file::File,
        found::{
            Found,
            Skipped, //
        },
        recorder::Recorder,
        traversal::Traversal, //
    },
    net::Net,
    timer, //
};
use kernel::prelude::*;

kernel::sync::global_lock! {
    // SAFETY: Initialised by `init` before anything can reach it.
    /// Held while locks are dropped, so that nothing is that another release is taking down.
    /// Taken before `REGISTRY`.
    pub(super) unsafe(uninit) static RELEASING: Mutex<()> = ();
}

/// Prepares the lock.
///
/// # Safety
///
/// Must be called once, before anything else of this file.
pub(super) unsafe fn init() {
    // SAFETY: By the safety requirements.
    unsafe { RELEASING.init() };
}

/// How many times to retry, a few milliseconds apart, while lockd is granting a blocked lock. That
/// takes microseconds; if lockd's thread is stuck, it grants nothing, and we may go on.
const PATIENCE: u32 = 100;

/// Drops the requests of clients in `net` that wait for locks on files that `takes` and that nothing
/// has granted yet: clients ask again. May sleep.
///
/// Where a unit that has new requests wait is in force, nobody waits for any of these locks after
/// that, as said above. Without it lockd would grant them as soon as they are free, and ask nobody.
pub(super) fn drop_waiting(net: Net, takes: &dyn Fn(&File<'_>) -> bool) -> Result<Found> {
    let mut found = Found::default();
    let mut patience = PATIENCE;
    loop {
        let before = found.dropped.blocked;
        found.add(Traversal::drop_waiting(net, takes)?);
        match found.skipped {
            Some(Skipped::Granting) if patience > 0 => {
                timer::sleep(1);
                patience -= 1;
            }
            // What was dropped may have been woken in the same moment, and wait again.
            None if found.dropped.blocked > before => match patience {
                // Somebody asks again and again; more may wait.
                0 => {
                    found.skipped = Some(Skipped::Granting);
                    return Ok(found);
                }
                _ => patience -= 1,
            },
            _ => return Ok(found),
        }
    }
}

/// Drops all that clients in `net` have on files that `takes`, and records it. `widen` makes room
/// in the recorder. May sleep.
///
/// Returns whether nothing can have been granted meanwhile, nor been left because it could not be
/// said what it was. After an error of `widen`, what was
/// dropped is in `found` and recorded, and the rest is still held.
pub(super) fn release(
    net: Net,
    takes: &dyn Fn(&File<'_>) -> bool,
    recorder: &dyn Recorder,
    widen: impl Fn(usize) -> Result,
    found: &mut Found,
) -> Result<bool> {
    let mut patience = PATIENCE;
    loop {
        let before = found.dropped.blocked;
        found.add(Traversal::drop_blocked(net, takes, recorder, patience > 0)?);
        match found.skipped {
            Some(Skipped::Full(short)) => {
                widen(short)?;
                continue;
            }
            Some(Skipped::Granting) if patience > 0 => {
                timer::sleep(1);
                patience -= 1;
                continue;
            }
            Some(Skipped::Doubt(_)) => return Ok(false),
            // What was dropped may have been woken in the same moment, and wait again.
            None if found.dropped.blocked > before => continue,
            _ => {}
        }
        let regardless = patience == 0;
        found.add(Traversal::drop_held(net, takes, recorder, regardless)?);
        match found.skipped {
            Some(Skipped::Full(short)) => widen(short)?,
            // It asked for the verdict before the fence and waits since.
            Some(Skipped::Granting) => patience = patience.saturating_sub(1),
            Some(Skipped::Doubt(_)) => return Ok(false),
            None => return Ok(!regardless),
        }
    }
}
