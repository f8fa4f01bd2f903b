// SPDX-License-Identifier: GPL-2.0-only

//! What a manifest is made of, while it grows.
//!
//! Adding does not sleep, and fails where memory is short; [`Records::reserve`] makes room before.
//! Blocked requests and shares, which are few, never get more room by themselves. Files and clients
//! may come more than once; all is put together and in order in the end.

use super::{
    chunks::Chunks,
    range::listed::Lock, //
};
use crate::policy::{
    manifest::text::{
        Line,
        Who, //
    },
    state::{
        client::Host,
        fileid::FileId,
        range::Range,
        share::Share,
        Full, //
    },
    verdict::What, //
};
use core::iter::once;
use kernel::prelude::*;

/// Maximum number of locks on a manifest, and of shares.
pub(crate) const MAX_ENTRIES: usize = 1 << 18;

/// Maximum number of bytes of handles and names.
const MAX_BYTES: usize = 1 << 27;

/// Handles and names, which have up to a thousand bytes each.
pub(super) type Bytes = Chunks<u8, 4096>;

/// From one byte to another. Of these there may be many, and few large chunks are made in less time.
pub(super) type Ranges = Chunks<(u64, u64), 16384>;

/// Bytes among the [`Records::bytes`].
#[derive(Clone, Copy)]
pub(super) struct Span {
    at: u32,
    len: u32,
}

#[derive(Clone, Copy)]
pub(super) struct File {
    pub(super) handle: Span,
    /// What files are compared by: part of the handle.
    pub(super) key: Span,
    /// By this first.
    pub(super) prefix: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Client {
    pub(super) host: Host,
    pub(super) name: Span,
}

impl AsRef<Host> for Client {
    fn as_ref(&self) -> &Host {
        &self.host
    }
}

/// Locks of one holder, next to each other as they came.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) file: u32,
    pub(super) client: u32,
    svid: u32,
    exclusive: bool,
    /// Where its ranges start. The next run has those behind them.
    from: u32,
}

/// A share, as it is kept.
#[derive(Clone, Copy)]
pub(super) struct ShareRecord {
    /// Number of its file.
    pub(super) file: u32,
    /// Number of its host, once all is in order.
    pub(super) owner: u32,
    pub(super) client: u32,
    name: Span,
    pub(super) access: u32,
    pub(super) mode: u32,
}

impl ShareRecord {
    /// What is shared.
    pub(super) fn share<'a>(&self, bytes: &'a Bytes) -> Share<'a> {
        Share {
            owner: of(bytes, self.name),
            access: self.access,
            mode: self.mode,
        }
    }
}

/// Files, clients and what they hold, as they came.
#[derive(Default)]
pub(crate) struct Records {
    pub(super) bytes: Bytes,
    pub(super) files: Chunks<File>,
    pub(super) clients: Chunks<Client>,
    pub(super) runs: Chunks<Run>,
    pub(super) ranges: Ranges,
    pub(super) blocked: KVVec<Lock>,
    pub(super) shares: KVVec<ShareRecord>,
    /// Not all handles of a file are known to look alike.
    pub(super) opaque: bool,
    /// A file may be here by several handles.
    aliases: bool,
    /// These are files of several filesystems, which are told apart by all of their handles.
    pub(crate) of_several: bool,
}

/// How much there was at some time.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mark {
    runs: usize,
    ranges: usize,
    blocked: usize,
}

impl Records {
    /// Makes room for that many more locks and what comes with them. May sleep.
    pub(crate) fn reserve(&mut self, locks: usize) -> Result {
        if self.ranges.len() + locks > 2 * MAX_ENTRIES || self.bytes.len() > MAX_BYTES {
            return Err(E2BIG);
        }
        // Handles have 28 bytes and names 10, most often. Where that is not enough there will be
        // another call.
        self.bytes.reserve(64 * locks)?;
        self.files.reserve(locks)?;
        self.clients.reserve(locks)?;
        self.runs.reserve(locks)?;
        self.ranges.reserve(locks)?;
        let some = locks / 4 + 8;
        self.blocked.reserve(some, GFP_KERNEL)?;
        self.shares.reserve(some, GFP_KERNEL)?;
        Ok(())
    }

    /// Adds a file and returns its number. Does not sleep.
    pub(crate) fn file(&mut self, handle: &[u8]) -> Result<u32, Full> {
        let id = match self.of_several {
            true => FileId::Opaque(handle),
            false => FileId::of(handle),
        };
        self.opaque |= matches!(id, FileId::Opaque(_));
        self.aliases |= !id.ends(handle);
        let len = id.bytes().len() as u32;
        let skipped = (id.bytes().as_ptr().addr() - handle.as_ptr().addr()) as u32;
        let handle = self.keep(handle)?;
        let key = Span {
            at: handle.at + skipped,
            len,
        };
        let number = self.files.len();
        self.files.push(File {
            handle,
            key,
            prefix: id.prefix(),
        })?;
        Ok(number as u32)
    }

    /// Adds a client and returns its number. Does not sleep.
    pub(crate) fn client(&mut self, host: Host, name: &[u8]) -> Result<u32, Full> {
        let name = self.keep(name)?;
        let number = self.clients.len();
        self.clients.push(Client { host, name })?;
        Ok(number as u32)
    }

    /// Whether the last client is that one.
    fn is_last_client(&self, who: &Who<'_>) -> bool {
        let last = self.clients.last();
        last.is_some_and(|client| client.host == who.host && self.get(client.name) == who.name)
    }

    /// Whether the last file has that handle.
    fn is_last_file(&self, handle: &[u8]) -> bool {
        let last = self.files.last();
        last.is_some_and(|file| self.get(file.handle) == handle)
    }

    /// Adds locks of one holder, each from one byte to another, and returns how many. Does not
    /// sleep.
    #[inline]
    pub(crate) fn run(
        &mut self,
        file: u32,
        client: u32,
        svid: u32,
        exclusive: bool,
        ranges: &mut impl Iterator<Item = (u64, u64)>,
    ) -> Result<u64, Full> {
        let run = Run {
            file,
            client,
            svid,
            exclusive,
            from: self.ranges.len() as u32,
        };
        self.runs.push(run)?;
        self.ranges.extend(ranges)
    }

    /// Adds a blocked request. Does not sleep.
    pub(crate) fn blocked(&mut self, file: u32, client: u32, range: Range) -> Result<(), Full> {
        push(&mut self.blocked, entry(file, client, range)).map(drop)
    }

    /// Adds a share. Does not sleep.
    pub(crate) fn share(&mut self, file: u32, client: u32, share: Share<'_>) -> Result<(), Full> {
        if self.shares.len() == self.shares.capacity() {
            return Err(Full);
        }
        let record = ShareRecord {
            file,
            owner: 0,
            client,
            name: self.keep(share.owner)?,
            access: share.access,
            mode: share.mode,
        };
        push(&mut self.shares, record).map(drop)
    }

    /// Whether there are more locks than a manifest may have.
    pub(crate) fn too_many(&self) -> bool {
        self.ranges.len() > MAX_ENTRIES
    }

    /// Whether a file may have come by several handles, so that its locks can contradict each other.
    pub(crate) fn has_aliases(&self) -> bool {
        self.aliases
    }

    /// Whether another handle of some file may not be recognised.
    pub(crate) fn is_opaque(&self) -> bool {
        self.opaque
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.shares.is_empty()
    }

    /// Makes room for what a line is about, and adds it; if `now` is given, of that host. Of who waits
    /// only the host is kept, so that nobody is taken for it. May sleep.
    pub(crate) fn add(&mut self, line: &Line<'_>, now: Option<Host>) -> Result {
        let Some(who) = line.who() else {
            return Ok(());
        };
        let who = &Who {
            host: now.unwrap_or(who.host),
            ..*who
        };
        match line {
            Line::Lock(_, range) => {
                let (file, client) = self.place(who)?;
                let mut ranges = once((range.start, range.end));
                let added = self.run(file, client, range.svid, range.exclusive, &mut ranges);
                added.map(drop).map_err(|_| ENOMEM)
            }
            Line::Blocked(..) => {
                self.reserve(1)?;
                self.place_host(who).map(drop)
            }
            Line::Share(_, share) => {
                let (file, client) = self.place(who)?;
                self.share(file, client, *share).map_err(|_| ENOMEM)
            }
            Line::Version(_) | Line::Unit(_) | Line::End(_) => Ok(()),
        }
    }

    /// Lines that follow each other often have the same file and client.
    fn place(&mut self, who: &Who<'_>) -> Result<(u32, u32)> {
        if self.ranges.len() + self.shares.len() >= MAX_ENTRIES {
            return Err(E2BIG);
        }
        self.reserve(1)?;
        let file = match self.is_last_file(who.handle) {
            true => Ok(self.files.len() as u32 - 1),
            false => self.file(who.handle),
        };
        Ok((file.map_err(|_| ENOMEM)?, self.place_host(who)?))
    }

    fn place_host(&mut self, who: &Who<'_>) -> Result<u32> {
        let client = match self.is_last_client(who) {
            true => Ok(self.clients.len() as u32 - 1),
            false => self.client(who.host, who.name),
        };
        client.map_err(|_| ENOMEM)
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            runs: self.runs.len(),
            ranges: self.ranges.len(),
            blocked: self.blocked.len(),
        }
    }

    pub(crate) fn forget(&mut self, mark: Mark) {
        self.runs.truncate(mark.runs);
        self.ranges.truncate(mark.ranges);
        self.blocked.truncate(mark.blocked);
    }

    /// Calls `f` with whatever is held, and by whom.
    pub(crate) fn each(&self, mut f: impl FnMut(&Who<'_>, &What<'_>)) {
        // It goes on to the end.
        let _ = each_range(&self.runs, &self.ranges, |run, range| {
            if let Some(who) = self.who(run.file, run.client) {
                f(&who, &What::Range(FileId::of(who.handle), range));
            }
            Ok(())
        });
        for share in &self.shares {
            if let Some(who) = self.who(share.file, share.client) {
                let what = What::Share(FileId::of(who.handle), share.share(&self.bytes));
                f(&who, &what);
            }
        }
    }

    fn who(&self, file: u32, client: u32) -> Option<Who<'_>> {
        let file = self.files.get(file as usize)?;
        let client = self.clients.get(client as usize)?;
        Some(Who {
            handle: self.get(file.handle),
            host: client.host,
            name: self.get(client.name),
        })
    }

    fn get(&self, span: Span) -> &[u8] {
        of(&self.bytes, span)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<Span, Full> {
        Ok(Span {
            at: self.bytes.append(bytes)?,
            len: bytes.len() as u32,
        })
    }
}

pub(super) fn of(bytes: &Bytes, span: Span) -> &[u8] {
    bytes.slice(span.at as usize, span.len as usize)
}

pub(super) fn entry(file: u32, client: u32, range: Range) -> Lock {
    Lock {
        file,
        client,
        owner: 0,
        range,
    }
}

/// Calls `f` with each lock, and the run that it came in.
pub(super) fn each_range(
    runs: &Chunks<Run>,
    ranges: &Ranges,
    mut f: impl FnMut(&Run, Range) -> Result,
) -> Result {
    let mut runs = runs.iter().peekable();
    let mut run = None;
    for (at, (start, end)) in ranges.iter().enumerate() {
        while let Some(next) = runs.next_if(|next| next.from as usize <= at) {
            run = Some(next);
        }
        let run = run.ok_or(EINVAL)?;
        let range = Range {
            svid: run.svid,
            exclusive: run.exclusive,
            start: *start,
            end: *end,
        };
        f(run, range)?;
    }
    Ok(())
}

fn push<T>(to: &mut KVVec<T>, value: T) -> Result<u32, Full> {
    to.push_within_capacity(value).map_err(|_| Full)?;
    Ok(to.len() as u32 - 1)
}
