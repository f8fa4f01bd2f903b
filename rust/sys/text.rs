// SPDX-License-Identifier: GPL-2.0-only

//! Text that grows in kernel memory.

use core::fmt;
use kernel::prelude::*;

/// Room for a line or two.
const FIRST: usize = 256;

/// A buffer to `write!` into. May sleep.
#[derive(Default)]
pub(crate) struct Text(KVVec<u8>);

impl Text {
    /// Creates an empty text.
    pub(crate) const fn new() -> Self {
        Self(KVVec::new())
    }

    /// Appends formatted text.
    pub(crate) fn add(&mut self, arguments: fmt::Arguments<'_>) -> Result {
        fmt::write(self, arguments).map_err(|_| ENOMEM)
    }

    /// Returns what was written so far.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.capacity() == 0 {
            self.0.reserve(FIRST, GFP_KERNEL).map_err(|_| fmt::Error)?;
        }
        self.0
            .extend_from_slice(part.as_bytes(), GFP_KERNEL)
            .map_err(|_| fmt::Error)
    }
}
