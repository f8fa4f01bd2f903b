// SPDX-License-Identifier: GPL-2.0-only

//! The lines of a ledger, one by one: together they may be larger than memory should hold.

use super::{
    Ledger,
    Outstanding, //
};
use crate::policy::{
    manifest::text::{
        Header,
        Line, //
    },
    state::Tally, //
};

#[derive(Clone, Copy)]
enum Next {
    Version,
    Unit,
    /// An entry, and its first byte that is not printed yet.
    Entry(usize, u64),
    End,
    Done,
}

/// Goes through the lines.
#[derive(Clone, Copy)]
pub(crate) struct Printer {
    header: Header,
    next: Next,
    tally: Tally,
}

impl Printer {
    /// Starts with the first line.
    pub(crate) fn new(header: Header) -> Self {
        Self {
            header,
            next: Next::Version,
            tally: Tally::default(),
        }
    }

    /// Whether only the last line is left.
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(self.next, Next::End)
    }

    /// Whether no line is left.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.next, Next::Done)
    }

    /// Goes a step on, and returns the line that is there: none, if nothing is outstanding of what it
    /// would be about. Does not sleep.
    pub(crate) fn step<'l>(
        &mut self,
        ledger: &'l Ledger,
        outstanding: &Outstanding,
    ) -> Option<Line<'l>> {
        let (line, next) = match self.next {
            Next::Version => (Some(Line::Version(self.header.version())), Next::Unit),
            Next::Unit => (Some(Line::Unit(self.header)), Next::Entry(0, 0)),
            Next::Entry(number, from) => match ledger.entry(number) {
                Some(entry) => match outstanding.line(ledger, entry, from) {
                    Some((line, next)) => {
                        line.count(&mut self.tally);
                        (Some(line), Next::Entry(number, next))
                    }
                    None => (None, Next::Entry(number + 1, 0)),
                },
                None => (None, Next::End),
            },
            Next::End => (Some(Line::End(self.tally)), Next::Done),
            Next::Done => (None, Next::Done),
        };
        self.next = next;
        line
    }
}
