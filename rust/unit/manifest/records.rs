// SPDX-License-Identifier: GPL-2.0-only

//! What a manifest is made of, while it grows.
//!
//! Adding never allocates, so it may be done where nothing sleeps; [`Records::reserve`] makes room
//! before. Files and clients may come more than once and are put together in the end.

use crate::{
    policy::manifest::{
        fileid::FileId,
        index::{
            self,
            Lock, //
        },
        sort,
        text::{
            Range,
            Share,
            Who, //
        }, //
    },
    sys::traversal::Full, //
};
use core::{
    cmp::Ordering,
    net::IpAddr, //
};
use kernel::prelude::*;

/// Most locks on a manifest, and most shares.
pub(crate) const MAX_ENTRIES: usize = 1 << 18;

/// Most bytes of handles and names.
const MAX_BYTES: usize = 1 << 27;

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
}

#[derive(Clone, Copy)]
struct Client {
    address: IpAddr,
    server: Option<IpAddr>,
    name: Span,
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
    bytes: KVVec<u8>,
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
    locks: usize,
    blocked: usize,
}

impl Records {
    /// Makes room for at least that many more locks, and what comes with them. May sleep.
    pub(crate) fn reserve(&mut self, locks: usize, files: usize) -> Result {
        if self.locks.len() + locks > 2 * MAX_ENTRIES || self.bytes.len() > MAX_BYTES {
            return Err(E2BIG);
        }
        // Handles have 28 bytes and names 10, most often. Where that is not enough there will be
        // another call.
        let some = locks / 4 + 64;
        self.bytes
            .reserve(64 * files + 64 * some + 4096, GFP_KERNEL)?;
        self.files.reserve(files, GFP_KERNEL)?;
        self.clients.reserve(some, GFP_KERNEL)?;
        self.locks.reserve(locks, GFP_KERNEL)?;
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
        if self.files.len() == self.files.capacity() {
            return Err(Full);
        }
        let handle = self.keep(handle)?;
        let key = Span {
            at: handle.at + skipped,
            len,
        };
        push(&mut self.files, File { handle, key })
    }

    /// Adds a client and returns its number. Does not sleep.
    pub(super) fn client(
        &mut self,
        address: IpAddr,
        server: Option<IpAddr>,
        name: &[u8],
    ) -> Result<u32, Full> {
        if self.clients.len() == self.clients.capacity() {
            return Err(Full);
        }
        let name = self.keep(name)?;
        push(
            &mut self.clients,
            Client {
                address,
                server,
                name,
            },
        )
    }

    /// Whether client number `at` is that one. Does not sleep.
    fn is_client(&self, at: u32, who: &Who<'_>) -> bool {
        self.clients.get(at as usize).is_some_and(|client| {
            client.address == who.client
                && client.server == who.server
                && self.get(client.name) == who.name
        })
    }

    /// Whether file number `at` has that handle. Does not sleep.
    fn is_file(&self, at: u32, handle: &[u8]) -> bool {
        self.files
            .get(at as usize)
            .is_some_and(|file| self.get(file.handle) == handle)
    }

    /// Adds a lock. Does not sleep.
    pub(super) fn lock(&mut self, file: u32, client: u32, range: Range) -> Result<(), Full> {
        push(&mut self.locks, entry(file, client, range)).map(drop)
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

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.locks.is_empty() && self.shares.is_empty()
    }

    /// Makes room for a lock of somebody who may be known, and adds it. May sleep.
    pub(super) fn add_lock(&mut self, who: &Who<'_>, range: Range) -> Result {
        let (file, client) = self.place(who)?;
        self.lock(file, client, range).map_err(|_| ENOMEM)
    }

    /// Makes room for a share of somebody who may be known, and adds it. May sleep.
    pub(super) fn add_share(&mut self, who: &Who<'_>, share: Share<'_>) -> Result {
        let (file, client) = self.place(who)?;
        self.share(file, client, share).map_err(|_| ENOMEM)
    }

    /// Lines that follow each other often have the same file and client.
    fn place(&mut self, who: &Who<'_>) -> Result<(u32, u32)> {
        if self.locks.len() + self.shares.len() >= MAX_ENTRIES {
            return Err(E2BIG);
        }
        self.reserve(1, 1)?;
        let last = |len: usize| (len as u32).checked_sub(1);
        let file = last(self.files.len()).filter(|at| self.is_file(*at, who.handle));
        let file = match file {
            Some(file) => file,
            None => self.file(who.handle).map_err(|_| ENOMEM)?,
        };
        let client = last(self.clients.len()).filter(|at| self.is_client(*at, who));
        let client = match client {
            Some(client) => client,
            None => self
                .client(who.client, who.server, who.name)
                .map_err(|_| ENOMEM)?,
        };
        Ok((file, client))
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            locks: self.locks.len(),
            blocked: self.blocked.len(),
        }
    }

    pub(super) fn forget(&mut self, mark: Mark) {
        self.locks.truncate(mark.locks);
        self.blocked.truncate(mark.blocked);
    }

    /// Puts files, clients and locks into their order, so that numbers compare as they do.
    ///
    /// Returns `EINVAL` if two locks contradict each other. May sleep.
    pub(super) fn arrange(&mut self) -> Result {
        let Self {
            bytes,
            files,
            clients,
            locks,
            blocked,
            shares,
            opaque: _,
        } = self;
        let bytes: &[u8] = bytes;
        let file_order = |a: &File, b: &File| of(bytes, a.key).cmp(of(bytes, b.key));
        let new_files = renumber(files, file_order)?;
        let client_order = |a: &Client, b: &Client| {
            (a.address, a.server, of(bytes, a.name)).cmp(&(b.address, b.server, of(bytes, b.name)))
        };
        let new_clients = renumber(clients, client_order)?;
        let owner = |client: u32| {
            let address = clients[client as usize].address;
            clients.partition_point(|client| client.address < address) as u32
        };
        for list in [&mut *locks, blocked] {
            for lock in list {
                lock.file = new_files[lock.file as usize];
                lock.client = new_clients[lock.client as usize];
                lock.owner = owner(lock.client);
            }
        }
        for share in shares.iter_mut() {
            share.file = new_files[share.file as usize];
            share.client = new_clients[share.client as usize];
            share.owner = owner(share.client);
        }
        let kept = index::arrange(locks).map_err(|_| EINVAL)?;
        locks.truncate(kept);
        Ok(())
    }

    /// The number of a file, after [`Records::arrange`]. Does not sleep.
    pub(super) fn find_file(&self, id: FileId<'_>) -> Option<u32> {
        let found = self
            .files
            .binary_search_by(|file| self.get(file.key).cmp(id.bytes()));
        found.ok().map(|at| at as u32)
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
        let at = self.bytes.len();
        if self.bytes.capacity() - at < bytes.len() {
            return Err(Full);
        }
        for byte in bytes {
            self.bytes.push_within_capacity(*byte).map_err(|_| Full)?;
        }
        Ok(Span {
            at: at as u32,
            len: bytes.len() as u32,
        })
    }
}

fn of(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.at as usize..][..span.len as usize]
}

fn entry(file: u32, client: u32, range: Range) -> Lock {
    Lock {
        file,
        client,
        owner: 0,
        range,
    }
}

fn push<T>(to: &mut KVVec<T>, value: T) -> Result<u32, Full> {
    to.push_within_capacity(value).map_err(|_| Full)?;
    Ok(to.len() as u32 - 1)
}

/// Sorts `items` without duplicates, and returns the new number of each old one.
fn renumber<T: Copy>(
    items: &mut KVVec<T>,
    order: impl Fn(&T, &T) -> Ordering,
) -> Result<KVVec<u32>> {
    let mut sorted = KVVec::with_capacity(items.len(), GFP_KERNEL)?;
    for at in 0..items.len() {
        sorted.push(at as u32, GFP_KERNEL)?;
    }
    sort::by(&mut sorted, |a, b| {
        order(&items[*a as usize], &items[*b as usize]).is_lt()
    });
    let mut numbers = KVVec::from_elem(0, items.len(), GFP_KERNEL)?;
    let mut unique: KVVec<T> = KVVec::with_capacity(items.len(), GFP_KERNEL)?;
    for old in &sorted {
        let item = items[*old as usize];
        if unique.last().is_none_or(|last| order(last, &item).is_ne()) {
            unique.push(item, GFP_KERNEL)?;
        }
        numbers[*old as usize] = unique.len() as u32 - 1;
    }
    *items = unique;
    Ok(numbers)
}
