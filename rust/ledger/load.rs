// SPDX-License-Identifier: GPL-2.0-only

//! Reading back what was printed on another node, as it is written piece by piece.

use super::gather::Records;
use crate::policy::{
    fsid::HandleFsid,
    manifest::text::{
        Buffers,
        Header,
        Line,
        Version,
        Who,
        MAX_LINE, //
    },
    state::Tally, //
};
use kernel::prelude::*;

/// A manifest that has begun.
struct Growing {
    version: Version,
    /// [`None`] until its line has come.
    header: Option<Header>,
    records: Records,
    tally: Tally,
}

/// Puts lines together to manifests.
pub(crate) struct Loader {
    /// The start of a line whose end has not come.
    line: KVec<u8>,
    growing: Option<Growing>,
    buffers: KBox<Buffers>,
}

/// What a unit held. (What is for reading only completes nothing.)
pub(crate) type Complete = (Header, Records);

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
        let parsed = Line::parse(&self.line, &mut self.buffers).map_err(|_| EINVAL)?;
        let complete = match (&mut self.growing, parsed) {
            (None, Line::Version(version)) => {
                self.growing = Some(Growing::new(version));
                None
            }
            (Some(growing), Line::End(tally)) => {
                if growing.tally != tally || growing.header.is_none() {
                    return Err(EINVAL);
                }
                self.growing.take().and_then(Growing::finish)
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
    fn new(version: Version) -> Self {
        Self {
            version,
            header: None,
            records: Records::default(),
            tally: Tally::default(),
        }
    }

    fn finish(self) -> Option<Complete> {
        let header = self.header?;
        matches!(header, Header::Released { .. }).then_some((header, self.records))
    }

    fn add(&mut self, line: Line<'_>) -> Result {
        match (line, line.who(), self.header) {
            (Line::Unit(header), _, None) if header.version() == self.version => {
                self.header = Some(header);
            }
            (_, Some(who), Some(header)) => {
                line.count(&mut self.tally);
                if belongs(&header, who)? {
                    self.records.add(&line, None)?;
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

#[cfg(test)]
mod tests;
