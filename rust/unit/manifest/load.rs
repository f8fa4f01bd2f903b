// SPDX-License-Identifier: GPL-2.0-only

//! Reading back what was printed on another node, as it is written piece by piece.

use super::{
    records::Records,
    Manifest, //
};
use crate::policy::{
    fsid::HandleFsid,
    manifest::text::{
        Buffers,
        Header,
        Line,
        Totals,
        Who,
        MAX_LINE, //
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A manifest that has begun.
struct Growing {
    /// [`None`] until its line has come.
    header: Option<Header>,
    records: Records,
    totals: Totals,
}

/// Puts lines together to manifests.
pub(crate) struct Loader {
    /// The start of a line whose end has not come.
    line: KVec<u8>,
    growing: Option<Growing>,
    buffers: KBox<Buffers>,
}

/// What a line completed.
pub(crate) enum Complete {
    /// A manifest of what a unit held.
    Released(Arc<Manifest>),
    /// A manifest for reading only.
    Held,
}

impl Loader {
    /// Starts with nothing.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            line: KVec::new(),
            growing: None,
            buffers: KBox::new(Buffers::new(), GFP_KERNEL)?,
        })
    }

    /// Whether something has begun that is not complete.
    pub(crate) fn unfinished(&self) -> bool {
        self.growing.is_some() || !self.line.is_empty()
    }

    /// Takes up to one line from `data`: how much of it, and what it completed. After an error all
    /// that has begun is forgotten. May sleep.
    pub(crate) fn take(&mut self, data: &[u8]) -> Result<(usize, Option<Complete>)> {
        let end = data.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(data.len(), |end| end + 1);
        let result = self.take_part(&data[..taken], end.is_some());
        if result.is_err() {
            self.line.clear();
            self.growing = None;
        }
        Ok((taken, result?))
    }

    fn take_part(&mut self, part: &[u8], whole: bool) -> Result<Option<Complete>> {
        if self.line.len() + part.len() > MAX_LINE {
            return Err(EINVAL);
        }
        self.line.extend_from_slice(part, GFP_KERNEL)?;
        if !whole {
            return Ok(None);
        }
        let parsed = Line::parse(&self.line, &mut self.buffers)?;
        let complete = match (&mut self.growing, parsed) {
            (None, Line::Version) => {
                self.growing = Some(Growing::new());
                None
            }
            (Some(growing), Line::End(totals)) => {
                if growing.totals != totals || growing.header.is_none() {
                    return Err(EINVAL);
                }
                match self.growing.take() {
                    Some(growing) => growing.finish()?,
                    None => None,
                }
            }
            (Some(growing), line) => {
                growing.add(line)?;
                None
            }
            (None, _) => return Err(EINVAL),
        };
        self.line.clear();
        Ok(complete)
    }
}

impl Growing {
    fn new() -> Self {
        Self {
            header: None,
            records: Records::default(),
            totals: Totals::default(),
        }
    }

    fn finish(self) -> Result<Option<Complete>> {
        Ok(match self.header {
            Some(header @ Header::Released { .. }) => {
                Some(Complete::Released(Manifest::new(header, self.records)?))
            }
            Some(Header::Held { .. }) => Some(Complete::Held),
            None => None,
        })
    }

    fn add(&mut self, line: Line<'_>) -> Result {
        match (line, self.header) {
            (Line::Unit(header), None) => self.header = Some(header),
            (Line::Lock(who, range), Some(header)) => {
                self.totals.locks += 1;
                if belongs(&header, &who)? {
                    self.records.add_lock(&who, range)?;
                }
            }
            (Line::Blocked(who, _), Some(header)) => {
                self.totals.blocked += 1;
                belongs(&header, &who)?;
            }
            (Line::Share(who, share), Some(header)) => {
                self.totals.shares += 1;
                if belongs(&header, &who)? {
                    self.records.add_share(&who, share)?;
                }
            }
            _ => return Err(EINVAL),
        }
        Ok(())
    }
}

/// Whether an entry is to be kept: those of a unit are, and must belong to it.
fn belongs(header: &Header, who: &Who<'_>) -> Result<bool> {
    match header {
        Header::Released { fsid, .. } => HandleFsid::decode(who.handle)
            .is_some_and(|handle| handle.is(fsid))
            .then_some(true)
            .ok_or(EINVAL),
        Header::Held { .. } => Ok(false),
    }
}
