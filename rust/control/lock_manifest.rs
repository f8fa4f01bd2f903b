// SPDX-License-Identifier: GPL-2.0-only

//! `lock_manifest`: what a unit held, to be read on one node and written on another.
//!
//! Manifests can be long, so they are printed and taken piece by piece, in order. What is written
//! is put together until the last line has come, and only then carried out.

use super::{
    need,
    pieces::Pieces, //
};
use crate::{
    ledger::load::Loader,
    policy::{
        command,
        fsid::Fsid, //
    },
    sys::{
        net::Net,
        nfsd::control_file::{
            Control,
            MAX_WRITE, //
        }, //
    },
    unit::{
        handover,
        manifest::Manifest,
        reader::Reader, //
    },
};
use kernel::prelude::*;

/// Longest command that asks for the manifest of one unit.
const MAX_COMMAND: usize = 4096;

/// What a descriptor of `lock_manifest` remembers.
pub(super) struct LockManifest {
    loader: Loader,
    /// Whose manifest a read gives; [`None`] is everybody's.
    asked: Option<Fsid>,
    readers: KVec<Reader>,
    pieces: Pieces,
}

impl LockManifest {
    /// The first line of what was written tells what it is.
    fn asks(&mut self, written: &[u8]) -> Result<Option<Fsid>> {
        // The first line of a manifest; no name of a unit starts like that.
        if self.loader.unfinished() || written.starts_with(b"n") {
            return Ok(None);
        }
        if written.len() > MAX_COMMAND {
            return Err(EINVAL);
        }
        Ok(Some(command::export(written)?))
    }

    fn next_piece(&mut self) -> Result {
        let text = self.pieces.advance();
        while let Some(reader) = self.readers.first_mut() {
            if reader.piece(text)? {
                break;
            }
            self.readers.remove(0).map_err(|_| EINVAL)?;
        }
        Ok(())
    }
}

impl Control for LockManifest {
    const NAME: &'static CStr = c"lock_manifest";

    fn open() -> Result<Self> {
        Ok(Self {
            loader: Loader::new()?,
            asked: None,
            readers: KVec::new(),
            pieces: Pieces::new(),
        })
    }

    fn accepts(len: usize) -> Result<usize> {
        Ok(len.min(MAX_WRITE))
    }

    fn write(&mut self, net: Net, mut written: &[u8]) -> Result {
        if written.is_empty() {
            return Err(EINVAL);
        }
        if let Some(fsid) = self.asks(written)? {
            // Tells whether there is one.
            handover::readers(net, Some(fsid), need::missed)?;
            self.asked = Some(fsid);
            return Ok(());
        }
        while !written.is_empty() {
            let (taken, complete) = self.loader.take(written)?;
            written = &written[taken..];
            if let Some((header, records)) = complete {
                let manifest = Manifest::new(header, records)?;
                need::hooks()?;
                handover::offer(net, manifest)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, net: Net, at: usize) -> Result<&[u8]> {
        if at == 0 {
            // Without hooks nothing is found that is held, or slipped in.
            self.readers = handover::readers(net, self.asked, need::missed)?;
            if self.asked.is_none() {
                self.readers.push(handover::held(net)?, GFP_KERNEL)?;
            }
            self.pieces = Pieces::new();
        }
        while self.pieces.ends_before(at) && !self.readers.is_empty() {
            self.next_piece()?;
        }
        self.pieces.get(at)
    }

    fn flush(&mut self) -> Result {
        if self.loader.unfinished() {
            return Err(EINVAL);
        }
        Ok(())
    }
}
