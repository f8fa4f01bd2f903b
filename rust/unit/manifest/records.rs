// SPDX-License-Identifier: GPL-2.0-only

//! What a manifest is made of, while it grows.
//!
//! Adding does not sleep, and fails where memory is short; [`Records::reserve`] makes room before.
//! Blocked requests and shares, which are few, never get more room by themselves. Files and clients
//! may come more than once; all is put together and in order in the end.

mod arrange;

use super::chunks::Chunks;
use crate::{
    policy::manifest::{
        fileid::{
            self,
            FileId, //
        },
        listed::Lock,
        text::{
            Range,
            Share,
            Who, //
        }, //
    },
    sys::recorder::Full, //
};
use core::{
    iter::once,
    net::IpAddr, //
};
use kernel::prelude::*;

/// Most locks on a manifest, and most shares.
pub(crate) const MAX_ENTRIES: usize = 1 << 18;

/// Most bytes of handles and names.
const MAX_BYTES: usize = 1 << 27;

/// Handles and names, which have up to a thousand bytes each.
type Bytes = Chunks<u8, 4096>;

/// From one byte to another. Of these there may be many, and few large chunks are made in less time.
type Ranges = Chunks<(u64, u64), 16384>;

/// Bytes among the [`Records::bytes`].
#[derive(Clone, Copy)]
struct Span {
    at: u32,
    len: u32,
}

#[derive(Clone, Copy)]
struct File {
    handle: Span,
    /// What files are compared by: part of the handle.
    key: Span,
    /// By this first.
    prefix: u64,
}

#[derive(Clone, Copy)]
struct Client {
    address: IpAddr,
    server: Option<IpAddr>,
    name: Span,
}

/// Locks of one holder, next to each other as they came.
#[derive(Clone, Copy)]
struct Run {
    file: u32,
    client: u32,
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
    /// Number of its client's address.
    pub(super) owner: u32,
    client: u32,
    name: Span,
    access: u32,
    mode: u32,
}

/// Files, clients and what they hold.
#[derive(Default)]
pub(crate) struct Records {
    bytes: Bytes,
    /// As they came.
    new_files: Chunks<File>,
    new_clients: Chunks<Client>,
    runs: Chunks<Run>,
    ranges: Ranges,
    /// In order.
    files: KVVec<File>,
    clients: KVVec<Client>,
    pub(super) locks: KVVec<Lock>,
    pub(super) blocked: KVVec<Lock>,
    pub(super) shares: KVVec<ShareRecord>,
    /// Not all handles of a file are known to look alike.
    pub(super) opaque: bool,
}

/// How much there was at some time.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    runs: usize,
    ranges: usize,
    blocked: usize,
}

impl Records {
    /// Makes room for that many more locks and what comes with them. May sleep.
    pub(super) fn reserve(&mut self, locks: usize) -> Result {
        if self.ranges.len() + locks > 2 * MAX_ENTRIES || self.bytes.len() > MAX_BYTES {
            return Err(E2BIG);
        }
        // Handles have 28 bytes and names 10, most often. Where that is not enough there will be
        // another call.
        self.bytes.reserve(64 * locks)?;
        self.new_files.reserve(locks)?;
        self.new_clients.reserve(locks)?;
        self.runs.reserve(locks)?;
        self.ranges.reserve(locks)?;
        let some = locks / 4 + 8;
        self.blocked.reserve(some, GFP_KERNEL)?;
        self.shares.reserve(some, GFP_KERNEL)?;
        Ok(())
    }

    /// Adds a file and returns its number. Does not sleep.
    pub(super) fn file(&mut self, handle: &[u8]) -> Result<u32, Full> {
        let id = FileId::of(handle);
        self.opaque |= matches!(id, FileId::Opaque(_));
        let len = id.bytes().len() as u32;
        let skipped = (id.bytes().as_ptr().addr() - handle.as_ptr().addr()) as u32;
        let handle = self.keep(handle)?;
        let key = Span {
            at: handle.at + skipped,
            len,
        };
        let number = self.new_files.len();
        self.new_files.push(File {
            handle,
            key,
            prefix: id.prefix(),
        })?;
        Ok(number as u32)
    }

    /// Adds a client and returns its number. Does not sleep.
    pub(super) fn client(
        &mut self,
        address: IpAddr,
        server: Option<IpAddr>,
        name: &[u8],
    ) -> Result<u32, Full> {
        let name = self.keep(name)?;
        let number = self.new_clients.len();
        self.new_clients.push(Client {
            address,
            server,
            name,
        })?;
        Ok(number as u32)
    }

    /// Whether the last client is that one.
    fn is_last_client(&self, who: &Who<'_>) -> bool {
        self.new_clients.last().is_some_and(|client| {
            client.address == who.client
                && client.server == who.server
                && self.get(client.name) == who.name
        })
    }

    /// Whether the last file has that handle.
    fn is_last_file(&self, handle: &[u8]) -> bool {
        let last = self.new_files.last();
        last.is_some_and(|file| self.get(file.handle) == handle)
    }

    /// Adds locks of one holder, each from one byte to another, and returns how many. Does not
    /// sleep.
    #[inline]
    pub(super) fn run(
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
    pub(super) fn blocked(&mut self, file: u32, client: u32, range: Range) -> Result<(), Full> {
        push(&mut self.blocked, entry(file, client, range)).map(drop)
    }

    /// Adds a share. Does not sleep.
    pub(super) fn share(&mut self, file: u32, client: u32, share: Share<'_>) -> Result<(), Full> {
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
    pub(super) fn too_many(&self) -> bool {
        self.ranges.len() > MAX_ENTRIES
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.locks.is_empty() && self.shares.is_empty()
    }

    /// Makes room for a lock of somebody who may be known, and adds it. May sleep.
    pub(super) fn add_lock(&mut self, who: &Who<'_>, range: Range) -> Result {
        let (file, client) = self.place(who)?;
        let mut ranges = once((range.start, range.end));
        self.run(file, client, range.svid, range.exclusive, &mut ranges)
            .map(drop)
            .map_err(|_| ENOMEM)
    }

    /// Makes room for a share of somebody who may be known, and adds it. May sleep.
    pub(super) fn add_share(&mut self, who: &Who<'_>, share: Share<'_>) -> Result {
        let (file, client) = self.place(who)?;
        self.share(file, client, share).map_err(|_| ENOMEM)
    }

    /// Lines that follow each other often have the same file and client.
    fn place(&mut self, who: &Who<'_>) -> Result<(u32, u32)> {
        if self.ranges.len() + self.shares.len() >= MAX_ENTRIES {
            return Err(E2BIG);
        }
        self.reserve(1)?;
        let file = match self.is_last_file(who.handle) {
            true => Ok(self.new_files.len() as u32 - 1),
            false => self.file(who.handle),
        };
        let client = match self.is_last_client(who) {
            true => Ok(self.new_clients.len() as u32 - 1),
            false => self.client(who.client, who.server, who.name),
        };
        let (file, client) = (file.map_err(|_| ENOMEM)?, client.map_err(|_| ENOMEM)?);
        Ok((file, client))
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            runs: self.runs.len(),
            ranges: self.ranges.len(),
            blocked: self.blocked.len(),
        }
    }

    pub(super) fn forget(&mut self, mark: Mark) {
        self.runs.truncate(mark.runs);
        self.ranges.truncate(mark.ranges);
        self.blocked.truncate(mark.blocked);
    }

    /// Calls `f` with each lock, before [`Records::arrange`].
    pub(super) fn each_new_lock(&self, mut f: impl FnMut(FileId<'_>, IpAddr, &Range)) {
        // It goes on to the end.
        let _ = each_range(&self.runs, &self.ranges, |run, range| {
            if let Some((id, client)) = self.new_holder(run.file, run.client) {
                f(id, client, &range);
            }
            Ok(())
        });
    }

    /// Calls `f` with each share, before [`Records::arrange`].
    pub(super) fn each_new_share(&self, mut f: impl FnMut(FileId<'_>, IpAddr, &Share<'_>)) {
        for share in &self.shares {
            if let Some((id, client)) = self.new_holder(share.file, share.client) {
                f(id, client, &self.share_of(share));
            }
        }
    }

    fn new_holder(&self, file: u32, client: u32) -> Option<(FileId<'_>, IpAddr)> {
        let file = self.new_files.get(file as usize)?;
        let client = self.new_clients.get(client as usize)?;
        Some((FileId::of(self.get(file.handle)), client.address))
    }

    /// How many files there are, after [`Records::arrange`].
    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    /// The number of a file, after [`Records::arrange`]. Does not sleep.
    pub(super) fn find_file(&self, id: FileId<'_>) -> Option<u32> {
        let compare = |file: &File| self.get(file.key).cmp(id.bytes());
        let found = fileid::find(&self.files, id.prefix(), |file| file.prefix, compare);
        found.map(|at| at as u32)
    }

    /// The number of a client's address, after [`Records::arrange`]. Does not sleep.
    pub(super) fn find_owner(&self, address: IpAddr) -> Option<u32> {
        let at = self
            .clients
            .partition_point(|client| client.address < address);
        let found = self.clients.get(at)?;
        (found.address == address).then_some(at as u32)
    }

    /// Who holds a lock, or waits for it.
    pub(super) fn who(&self, lock: &Lock) -> Who<'_> {
        self.who_is(lock.file, lock.client)
    }

    /// Who holds a share.
    pub(super) fn who_shares(&self, share: &ShareRecord) -> Who<'_> {
        self.who_is(share.file, share.client)
    }

    /// What is shared.
    pub(super) fn share_of(&self, share: &ShareRecord) -> Share<'_> {
        Share {
            owner: self.get(share.name),
            access: share.access,
            mode: share.mode,
        }
    }

    fn who_is(&self, file: u32, client: u32) -> Who<'_> {
        let client = &self.clients[client as usize];
        Who {
            handle: self.get(self.files[file as usize].handle),
            client: client.address,
            name: self.get(client.name),
            server: client.server,
        }
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

fn of(bytes: &Bytes, span: Span) -> &[u8] {
    bytes.slice(span.at as usize, span.len as usize)
}

fn entry(file: u32, client: u32, range: Range) -> Lock {
    Lock {
        file,
        client,
        owner: 0,
        range,
    }
}

/// Calls `f` with each lock, and the run that it came in.
fn each_range(
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
