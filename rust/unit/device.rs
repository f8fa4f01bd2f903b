// SPDX-License-Identifier: GPL-2.0-only

//! Which device a file handle belongs to, learned from the files that lockd opens.
//!
//! A unit named by path is known by its device, a request before its file is open by the handle
//! only. lockd opens the file of every lock request just before it asks for the grace period, so
//! an answer for a lock is always there and current; for a share, which is asked about before, it
//! is there once any file of the filesystem was locked, and unknown before (the client waits).
//!
//! Guarded by a spinlock that only hooks take; nothing is called under it.

use crate::{
    policy::fsid::{
        Dev,
        HandleFsid, //
    },
    sys::net::Net, //
};
use kernel::prelude::*;

/// How many filesystems are remembered; the oldest is forgotten first.
const CAPACITY: usize = 64;

/// What is known.
pub(crate) struct Known {
    entries: [Option<(Net, HandleFsid, Dev)>; CAPACITY],
    oldest: usize,
}

impl Known {
    const fn new() -> Self {
        Self {
            entries: [None; CAPACITY],
            oldest: 0,
        }
    }
}

kernel::sync::global_lock! {
    // SAFETY: Initialised in `init` before any hook is placed.
    unsafe(uninit) static KNOWN: SpinLock<Known> = Known::new();
}

/// Prepares the lock.
///
/// # Safety
///
/// Must be called once, before anything else of this file.
pub(crate) unsafe fn init() {
    // SAFETY: By the safety requirements.
    unsafe { KNOWN.init() };
}

/// Remembers that `handle` is on `dev`. Does not sleep.
pub(crate) fn learn(net: Net, handle: HandleFsid, dev: Dev) {
    let mut guard = KNOWN.lock();
    let known = &mut *guard;
    let mut entries = known.entries.iter_mut().flatten();
    if let Some(entry) = entries.find(|entry| (entry.0, entry.1) == (net, handle)) {
        entry.2 = dev;
        return;
    }
    known.entries[known.oldest] = Some((net, handle, dev));
    known.oldest = (known.oldest + 1) % CAPACITY;
}

/// Returns the device `handle` is on, if it was learned. Does not sleep.
pub(crate) fn find(net: Net, handle: &HandleFsid) -> Option<Dev> {
    let guard = KNOWN.lock();
    let mut entries = guard.entries.iter().flatten();
    entries
        .find(|entry| (entry.0, entry.1) == (net, *handle))
        .map(|entry| entry.2)
}

/// Forgets a network namespace: the next may get its address.
pub(super) fn forget(net: Net) {
    for entry in &mut KNOWN.lock().entries {
        if entry.is_some_and(|entry| entry.0 == net) {
            *entry = None;
        }
    }
}

/// Forgets everything.
pub(crate) fn clear() {
    *KNOWN.lock() = Known::new();
}
