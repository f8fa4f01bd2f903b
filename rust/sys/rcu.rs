// SPDX-License-Identifier: GPL-2.0-only

//! A value that hooks read without a lock and writers replace as a whole.
//!
//! Readers hold the RCU read lock. Writers may sleep and exclude each other by a lock of theirs:
//! [`Snapshot::replace`] returns only when no reader can still see the old value, or that there was none.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)

use crate::bindings;
use core::{
    marker::PhantomData,
    ptr, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full, //
        },
        rcu::Guard, //
    },
};

/// An RCU-protected pointer to a `T`, or nothing.
///
/// # Invariants
///
/// The pointer is null or came from [`KBox::into_raw`] and is owned by `self`.
pub(crate) struct Snapshot<T> {
    pointer: Atomic<*mut T>,
    _owned: PhantomData<KBox<T>>,
}

impl<T: Send + Sync> Snapshot<T> {
    /// Creates an empty snapshot.
    pub(crate) const fn new() -> Self {
        // INVARIANT: The pointer is null.
        Self {
            pointer: Atomic::new(ptr::null_mut()),
            _owned: PhantomData,
        }
    }

    /// Borrows the current value for as long as the RCU read lock is held.
    pub(crate) fn read<'a>(&'a self, _guard: &'a Guard) -> Option<&'a T> {
        // SAFETY: By the type invariants the pointer is null or valid, and `replace` frees the
        // value it took out only after a grace period, which `_guard` holds off.
        unsafe { self.pointer.load(Acquire).as_ref() }
    }

    /// Puts `new` in place and frees the old value once no reader can see it. May sleep.
    pub(crate) fn replace(&self, new: Option<KBox<T>>) {
        let new = new.map_or(ptr::null_mut(), KBox::into_raw);
        // INVARIANT: `new` is null or was just given up by its owner.
        let old = self.pointer.xchg(new, Full);
        // Also for the first value: who has not seen it yet is through when this returns.
        // SAFETY: Control files, the expiry timer and module exit may sleep.
        unsafe { bindings::synchronize_rcu() };
        if !old.is_null() {
            // SAFETY: By the type invariants `old` came from `KBox::into_raw`; it was exchanged
            // for `new`, so nobody else owns it, and no reader is left.
            drop(unsafe { KBox::from_raw(old) });
        }
    }
}
