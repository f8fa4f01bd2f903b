// SPDX-License-Identifier: GPL-2.0-only

//! Reading a text that is too long to be kept, piece by piece, in order.

use crate::sys::text::Text;
use kernel::prelude::*;

/// The piece that is being read, and where in the whole text it begins.
pub(super) struct Pieces {
    piece: Text,
    start: usize,
}

impl Pieces {
    /// The whole text is still to come.
    pub(super) const fn new() -> Self {
        Self {
            piece: Text::new(),
            start: 0,
        }
    }

    /// Whether `at` is behind this piece.
    pub(super) fn ends_before(&self, at: usize) -> bool {
        at >= self.start + self.piece.as_bytes().len()
    }

    /// Forgets this piece, and returns the next one to be filled.
    pub(super) fn advance(&mut self) -> &mut Text {
        self.start += self.piece.as_bytes().len();
        self.piece = Text::new();
        &mut self.piece
    }

    /// What of it is at `at`; [`ESPIPE`] if that was before.
    pub(super) fn get(&self, at: usize) -> Result<&[u8]> {
        let within = at.checked_sub(self.start).ok_or(ESPIPE)?;
        Ok(self.piece.as_bytes().get(within..).unwrap_or_default())
    }
}
