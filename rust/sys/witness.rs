// SPDX-License-Identifier: GPL-2.0-only

//! Proof that a hook is being called.
//!
//! Whoever asks leaves a note, makes a call that runs into the hook, and looks at the note. Only the
//! hook writes on it, and only on that of the task it runs in: how many others ask at the same time
//! does not matter, and without the hook's mark the answer is no.

use crate::sys::{
    task_notes::Notes,
    timer, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

const ASKED: usize = 0;
const SEEN: usize = 1;

/// Tells whether a hook ran in the current task during a call.
pub(crate) struct Witness {
    /// How many are asking, so that the hook need not look for notes if nobody is.
    asking: Atomic<i32>,
    notes: Notes,
}

impl Witness {
    /// Creates a witness.
    pub(crate) const fn new() -> Self {
        Self {
            asking: Atomic::new(0),
            notes: Notes::new(),
        }
    }

    /// To be called by the hook.
    pub(crate) fn saw(&self) {
        // A task that asks has counted itself before.
        if self.asking.load(Relaxed) > 0 {
            self.notes.write(SEEN);
        }
    }

    /// Makes `call`, which runs into the hook, and tells whether the hook was called. May sleep.
    pub(crate) fn sees(&self, call: impl FnOnce()) -> bool {
        self.asking.add(1, Relaxed);
        let note = loop {
            match self.notes.leave(ASKED) {
                Some(note) => break note,
                // Others keep theirs for the time of a call.
                None => timer::sleep(1),
            }
        };
        call();
        let seen = self.notes.take(note) == SEEN;
        self.asking.fetch_sub(1, Relaxed);
        seen
    }
}
