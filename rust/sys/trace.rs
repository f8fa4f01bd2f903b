// SPDX-License-Identifier: GPL-2.0-only

//! The trace event `nfs_failover_verdict`.
//!
//! Whoever traces registers with the event, not with us. When the module goes, the kernel takes the
//! event from all who trace before it frees the module.
//!
//! C header: `rust/trace.h`

use crate::bindings;
use core::fmt;
use kernel::prelude::*;

/// Longest word of an event, with the zero behind it.
const MAX_WORD: usize = 64;

/// A word that ends with a zero. What is too long is cut off.
struct Word {
    bytes: [u8; MAX_WORD],
    len: usize,
}

impl Word {
    fn new(text: impl fmt::Display) -> Self {
        let mut word = Self {
            bytes: [0; MAX_WORD],
            len: 0,
        };
        // It fails only for what does.
        let _ = fmt::write(&mut word, format_args!("{text}"));
        word
    }

    fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

impl fmt::Write for Word {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let free = &mut self.bytes[self.len..MAX_WORD - 1];
        let len = part.len().min(free.len());
        free[..len].copy_from_slice(&part.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

/// Whether anybody traces verdicts. Takes no time if not.
#[inline]
pub(crate) fn traces_verdicts() -> bool {
    // SAFETY: It only looks at a static key.
    unsafe { bindings::rust_helper_trace_verdict_enabled() }
}

/// Tells who traces verdicts of one. Does not sleep.
#[cold]
pub(crate) fn verdict(
    unit: impl fmt::Display,
    client: impl fmt::Display,
    operation: &str,
    verdict: &str,
    reason: &str,
) {
    let unit = Word::new(unit);
    let client = Word::new(client);
    let [operation, verdict, reason] = [operation, verdict, reason].map(Word::new);
    // SAFETY: All are strings that end with a zero; the event copies them.
    unsafe {
        bindings::rust_helper_trace_verdict(
            unit.as_ptr(),
            client.as_ptr(),
            operation.as_ptr(),
            verdict.as_ptr(),
            reason.as_ptr(),
        );
    }
}
