// SPDX-License-Identifier: GPL-2.0-only

//! Reading manifests, piece by piece.

use super::manifest::Manifest;
use crate::{
    ledger::print::Printer,
    policy::manifest::text::Header,
    sys::text::Text, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A piece is printed until it has this many bytes.
const PIECE: usize = 32 * 1024;

/// Prints one manifest.
pub(crate) struct Reader {
    manifest: Arc<Manifest>,
    printer: Printer,
}

impl Reader {
    /// Starts with the first line; `header` may tell another validity than when it was taken.
    pub(crate) fn new(manifest: Arc<Manifest>, header: Header) -> Self {
        Self {
            manifest,
            printer: Printer::new(header),
        }
    }

    /// Appends the next piece to `text`; [`false`] if there was none left. May sleep.
    pub(crate) fn piece(&mut self, text: &mut Text) -> Result<bool> {
        if self.printer.is_done() {
            return Ok(false);
        }
        while text.as_bytes().len() < PIECE && !self.printer.is_done() {
            self.step(text)?;
        }
        Ok(true)
    }

    fn step(&mut self, text: &mut Text) -> Result {
        // It was found to be missing something while it was read.
        if self.printer.is_at_end() && self.manifest.spoiled() {
            return Err(EIO);
        }
        // Without memory for the line, it is still to come.
        let mut printer = self.printer;
        if let Some(line) = self.manifest.print(&mut printer) {
            text.add(format_args!("{line}"))?;
        }
        self.printer = printer;
        Ok(())
    }
}
