// SPDX-License-Identifier: GPL-2.0-only

//! Notes that a task leaves for itself: what a hook found out, for a hook of a function further
//! down the same call.
//!
//! Slots are claimed by compare and exchange, and only the task that claimed one looks it up, so
//! there is nothing to lock.

use crate::bindings;
use kernel::sync::atomic::{
    Atomic,
    Full,
    Relaxed,
    Release, //
};

/// How many tasks can have a note at once.
const SLOTS: usize = 16;

struct Slot {
    task: Atomic<usize>,
    value: Atomic<usize>,
}

/// The notes of one kind.
pub(super) struct Notes([Slot; SLOTS]);

/// A note of the current task.
#[derive(Clone, Copy)]
pub(super) struct Note(usize);

fn current() -> usize {
    // SAFETY: Reading the current task has no requirements.
    unsafe { bindings::get_current() as usize }
}

impl Notes {
    /// No notes.
    pub(super) const fn new() -> Self {
        Self(
            [const {
                Slot {
                    task: Atomic::new(0),
                    value: Atomic::new(0),
                }
            }; SLOTS],
        )
    }

    /// Leaves a note; [`None`] if there is no room for it.
    pub(super) fn leave(&self, value: usize) -> Option<Note> {
        let at = self
            .0
            .iter()
            .position(|slot| slot.task.cmpxchg(0, current(), Full).is_ok())?;
        self.0[at].value.store(value, Relaxed);
        Some(Note(at))
    }

    /// The note of the current task.
    pub(super) fn find(&self) -> Option<usize> {
        Some(self.slot()?.value.load(Relaxed))
    }

    /// Replaces what the current task noted, if it did.
    pub(super) fn write(&self, value: usize) {
        if let Some(slot) = self.slot() {
            slot.value.store(value, Relaxed);
        }
    }

    /// Removes a note and returns what it says.
    pub(super) fn take(&self, note: Note) -> usize {
        let value = self.0[note.0].value.load(Relaxed);
        self.remove(note);
        value
    }

    fn slot(&self) -> Option<&Slot> {
        let mut slots = self.0.iter();
        slots.find(|slot| slot.task.load(Relaxed) == current())
    }

    /// Removes a note.
    pub(super) fn remove(&self, note: Note) {
        self.0[note.0].task.store(0, Release);
    }
}
