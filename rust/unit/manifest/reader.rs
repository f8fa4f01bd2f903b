// SPDX-License-Identifier: GPL-2.0-only

//! Printing manifests, piece by piece: together they may be larger than memory should hold.

use super::Manifest;
use crate::{
    policy::manifest::text::{
        Header,
        Line,
        Totals, //
    },
    sys::text::Text, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A piece is printed until it has this many bytes.
const PIECE: usize = 32 * 1024;

#[derive(Clone, Copy)]
enum Next {
    Head,
    Lock(usize, usize),
    Blocked(usize),
    Share(usize),
    End,
    Done,
}

/// Prints one manifest.
pub(crate) struct Reader {
    manifest: Arc<Manifest>,
    header: Header,
    next: Next,
    totals: Totals,
}

impl Reader {
    /// Starts with the first line; `header` may tell another validity than when it was taken.
    pub(crate) fn new(manifest: Arc<Manifest>, header: Header) -> Self {
        Self {
            manifest,
            header,
            next: Next::Head,
            totals: Totals::default(),
        }
    }

    /// Appends the next piece to `text`; [`false`] if there was none left. May sleep.
    pub(crate) fn piece(&mut self, text: &mut Text) -> Result<bool> {
        if matches!(self.next, Next::Done) {
            return Ok(false);
        }
        while text.as_bytes().len() < PIECE && !matches!(self.next, Next::Done) {
            self.line(text)?;
        }
        Ok(true)
    }

    fn line(&mut self, text: &mut Text) -> Result {
        let records = &self.manifest.records;
        match self.next {
            Next::Head => {
                text.add(format_args!("{}{}", Line::Version, Line::Unit(self.header)))?;
                self.next = Next::Lock(0, 0);
            }
            // What was settled meanwhile is left out.
            Next::Lock(at, part) => match self.manifest.part(at, part) {
                Some(line) => {
                    text.add(format_args!("{line}"))?;
                    self.totals.locks += 1;
                    self.next = Next::Lock(at, part + 1);
                }
                None if at < records.locks.len() => self.next = Next::Lock(at + 1, 0),
                None => self.next = Next::Blocked(0),
            },
            Next::Blocked(at) => match records.blocked.get(at) {
                Some(lock) => {
                    let line = Line::Blocked(records.who(lock), lock.range);
                    text.add(format_args!("{line}"))?;
                    self.totals.blocked += 1;
                    self.next = Next::Blocked(at + 1);
                }
                None => self.next = Next::Share(0),
            },
            Next::Share(at) => match records.shares.get(at) {
                Some(share) => {
                    if self.manifest.live.lock().shares[at] {
                        let line = Line::Share(records.who_shares(share), records.share_of(share));
                        text.add(format_args!("{line}"))?;
                        self.totals.shares += 1;
                    }
                    self.next = Next::Share(at + 1);
                }
                None => self.next = Next::End,
            },
            Next::End => {
                text.add(format_args!("{}", Line::End(self.totals)))?;
                self.next = Next::Done;
            }
            Next::Done => {}
        }
        Ok(())
    }
}
