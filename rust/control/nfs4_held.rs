// SPDX-License-Identifier: GPL-2.0-only

//! `nfs4_held`: what NFSv4 clients have on an export at the moment.

use super::pieces::Pieces;
use crate::{
    ledger::present::Present,
    policy::{
        command,
        fsid::Fsid,
        nfs4::had::Whole, //
    },
    sys::{
        net::Net,
        nfsd::{
            control_file::Control,
            state, //
        },
        text::Text, //
    },
};
use kernel::prelude::*;

/// Longest command.
const MAX_COMMAND: usize = 4096;

/// How many times clients may have got more than there was room for.
const TRIES: usize = 8;

/// How many locks may be gone through at once, for each of its owners all of a file. Beyond that it is not
/// said what is locked of a file, but that anything may be: nobody else gets anything done meanwhile.
const MAX_LOOKS: usize = 1 << 20;

/// A piece is printed until it has this many bytes.
const PIECE: usize = 32 * 1024;

/// What a descriptor of `nfs4_held` remembers.
pub(super) struct Nfs4Held {
    /// Which export a read is about.
    asked: Option<Fsid>,
    present: Present,
    /// The line that is to be printed next; [`None`] if there is none left.
    next: Option<usize>,
    pieces: Pieces,
}

impl Nfs4Held {
    fn next_piece(&mut self, mut number: usize) -> Result {
        let text: &mut Text = self.pieces.advance();
        self.next = None;
        while let Some(line) = self.present.line(number) {
            // What fails here has no last line then.
            text.add(format_args!("{line}"))?;
            number += 1;
            if text.as_bytes().len() >= PIECE {
                self.next = Some(number);
                return Ok(());
            }
        }
        self.present = Present::default();
        Ok(())
    }
}

impl Control for Nfs4Held {
    const NAME: &'static CStr = c"nfs4_held";

    fn open() -> Result<Self> {
        Ok(Self {
            asked: None,
            present: Present::default(),
            next: None,
            pieces: Pieces::new(),
        })
    }

    fn accepts(len: usize) -> Result<usize> {
        if len > MAX_COMMAND {
            return Err(E2BIG);
        }
        Ok(len)
    }

    fn write(&mut self, _net: Net, written: &[u8]) -> Result {
        self.asked = Some(command::export(written)?);
        Ok(())
    }

    fn read(&mut self, net: Net, at: usize) -> Result<&[u8]> {
        if at == 0 {
            (self.next, self.pieces) = (None, Pieces::new());
            if let Some(fsid) = self.asked {
                self.present = take_down(net, &fsid)?;
                self.next = Some(0);
            }
        }
        while let Some(number) = self.next.filter(|_| self.pieces.ends_before(at)) {
            self.next_piece(number)?;
        }
        self.pieces.get(at)
    }
}

/// Takes down what clients have. [`EAGAIN`] if it grows faster than there is room made.
fn take_down(net: Net, fsid: &Fsid) -> Result<Present> {
    let mut present = Present::default();
    for _ in 0..TRIES {
        present.begin()?;
        let (mut last, mut looks) = (None, 0);
        state::each(net, &mut |state| {
            if !state.is_on(|handle| handle.is(fsid)) {
                return false;
            }
            if last.replace(state.client()) != Some(state.client()) {
                present.client(state.completes(), state.name());
            }
            let file = state.on_file();
            if file.locks && looks > MAX_LOOKS {
                present.file(file.inode, Whole::ANYTHING);
                return false;
            }
            present.file(file.inode, file.whole);
            if file.locks {
                looks += state.locks(&mut |lock| present.lock(lock));
            }
            false
        })?;
        if present.is_whole() {
            return Ok(present);
        }
    }
    Err(EAGAIN)
}
