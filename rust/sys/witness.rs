// SPDX-License-Identifier: GPL-2.0-only

//! Proof that a hook is being called.

use crate::bindings;
use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed, //
};

/// Tells whether a hook ran in the current task during a call.
pub(crate) struct Witness {
    /// The task that is asking.
    task: Atomic<usize>,
}

fn current() -> usize {
    // SAFETY: Reading the current task has no requirements.
    unsafe { bindings::get_current() as usize }
}

impl Witness {
    /// Creates a witness.
    pub(crate) const fn new() -> Self {
        Self {
            task: Atomic::new(0),
        }
    }

    /// To be called by the hook.
    pub(crate) fn saw(&self) {
        let task = self.task.load(Relaxed);
        if task != 0 && task == current() {
            let _ = self.task.cmpxchg(task, 0, Full);
        }
    }

    /// Makes `call`, which runs into the hook, and tells whether the hook was called.
    ///
    /// If somebody else is asking at the same time the answer may be "no" by mistake, so it is
    /// asked again.
    pub(crate) fn sees(&self, call: impl Fn()) -> bool {
        (0..3).any(|_| {
            self.task.store(current(), Relaxed);
            call();
            self.task.cmpxchg(current(), 0, Full).is_err()
        })
    }
}
