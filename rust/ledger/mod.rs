// SPDX-License-Identifier: GPL-2.0-only

//! The ledger: what clients hold, of all kinds, and what of it is outstanding.
//!
//! [`gather`] writes it down as it comes, in [`chunks`], and [`arrange`] puts it in order. [`range`] and
//! [`share`] tell of each kind of state what is listed and what is outstanding, [`holder`] who is the
//! same client, [`print`] and [`load`] how all of it is carried from node to node.
//!
//! It allocates, but knows nothing of lockd: besides `policy` only the lists of the `kernel` crate are
//! used. Host tests compile it with a stand-in for these (`tests/host/kernel`).

mod arrange;
mod chunks;
pub(crate) mod gather;
pub(crate) mod holder;
pub(crate) mod load;
pub(crate) mod present;
pub(crate) mod print;
pub(crate) mod range;
pub(crate) mod share;
mod sort;

use crate::policy::{
    manifest::text::{
        Line,
        Who, //
    },
    nfs4::{
        awaited::Target,
        had::Ask, //
    },
    state::{
        fileid::{
            self,
            FileId, //
        },
        range::Range, //
    },
    verdict::What, //
};
use gather::{
    of,
    Bytes,
    Client,
    File,
    ShareRecord, //
};
use holder::Hosts;
use kernel::prelude::*;
use range::listed::{
    Listed,
    Lock, //
};

/// What clients held, in order. This does not change.
pub(crate) struct Ledger {
    bytes: Bytes,
    files: KVVec<File>,
    clients: KVVec<Client>,
    clients_by_name: KVVec<u32>,
    locks: Listed,
    blocked: KVVec<Lock>,
    shares: KVVec<ShareRecord>,
    /// Not all handles of a file are known to look alike.
    opaque: bool,
}

/// One of what is listed: its number among those of its kind.
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    /// A lock.
    Lock(usize),
    /// A request that waits for one.
    Blocked(usize),
    /// A share.
    Share(usize),
}

impl Ledger {
    /// How many locks and shares are listed.
    pub(crate) fn len(&self) -> usize {
        self.locks.locks().len() + self.shares.len()
    }

    /// Entry number `number` of all.
    pub(crate) fn entry(&self, number: usize) -> Option<Entry> {
        let mut at = number;
        for (len, entry) in [
            (self.locks.locks().len(), Entry::Lock as fn(usize) -> Entry),
            (self.blocked.len(), Entry::Blocked),
            (self.shares.len(), Entry::Share),
        ] {
            if at < len {
                return Some(entry(at));
            }
            at -= len;
        }
        None
    }

    /// What was held, not waited for.
    pub(crate) fn held(&self) -> impl Iterator<Item = Entry> + '_ {
        let all = (0..).map_while(|number| self.entry(number));
        all.filter(|entry| !matches!(entry, Entry::Blocked(_)))
    }

    /// The number of the host that an entry is of, and who that is.
    pub(crate) fn who(&self, entry: Entry) -> (u32, Who<'_>) {
        let (file, client, owner) = match entry {
            Entry::Lock(at) => {
                let lock = &self.locks.locks()[at];
                (lock.file, lock.client, lock.owner)
            }
            Entry::Blocked(at) => {
                let lock = &self.blocked[at];
                (lock.file, lock.client, lock.owner)
            }
            Entry::Share(at) => {
                let share = &self.shares[at];
                (share.file, share.client, share.owner)
            }
        };
        let client = &self.clients[client as usize];
        let who = Who {
            handle: of(&self.bytes, self.files[file as usize].handle),
            host: client.host,
            name: of(&self.bytes, client.name),
        };
        (owner, who)
    }

    /// All hosts.
    pub(crate) fn hosts<'s>(&'s self) -> Hosts<'s, Client, impl Fn(&Client) -> &'s [u8]> {
        Hosts {
            all: &self.clients,
            by_name: &self.clients_by_name,
            name: |client: &Client| of(&self.bytes, client.name),
        }
    }

    /// How many numbers of hosts there are.
    pub(crate) fn host_numbers(&self) -> usize {
        self.clients.len()
    }

    fn find_file(&self, id: FileId<'_>) -> Option<u32> {
        let compare = |file: &File| of(&self.bytes, file.key).cmp(id.bytes());
        let found = fileid::find(&self.files, id.prefix(), |file| file.prefix, compare);
        found.map(|at| at as u32)
    }

    /// The number of the file that is asked for something. Does not sleep.
    pub(crate) fn file_of(&self, what: &What<'_>) -> Option<u32> {
        self.find_file(what.file()?)
    }

    /// Whether a file that is not on the list may still be one that is, by another handle. Where
    /// nothing is known of what is asked for, it may be any.
    pub(crate) fn may_have_file_of(&self, what: &What<'_>) -> bool {
        let opaque = |id| self.opaque || matches!(id, FileId::Opaque(_));
        match what {
            // It is judged again when it is found.
            What::Nfs4(Target::Sought, _) => self.opaque,
            _ => what.file().is_none_or(opaque),
        }
    }

    /// Whether host number `owner` held what it wants to reclaim. Does not sleep.
    pub(crate) fn lists(&self, owner: Option<u32>, what: &What<'_>) -> bool {
        match what {
            What::Range(id, range) => {
                let found = owner.zip(self.find_file(*id));
                found.is_some_and(|(owner, file)| self.locks.lists(file, owner, range))
            }
            What::Share(id, wanted) => {
                let found = owner.zip(self.find_file(*id));
                found.is_some_and(|(owner, file)| {
                    let mut shares = self.shares_on(file);
                    shares.any(|share| share.admits(owner, wanted))
                })
            }
            // What NFSv4 clients had is on another list, or they had nothing.
            What::Unclear | What::Nfs4(..) => false,
            // Nothing is known of it, so it loses nothing.
            What::Cancel(..) | What::Other => true,
        }
    }

    /// The list of locks.
    pub(crate) fn locks(&self) -> &Listed {
        &self.locks
    }

    fn shares_on(&self, file: u32) -> impl Iterator<Item = share::Listed<'_>> {
        let shares = self.shares.iter().enumerate();
        let on_file = shares.filter(move |(_, share)| share.file == file);
        on_file.map(|(at, share)| share::Listed {
            at,
            owner: share.owner,
            share: share.share(&self.bytes),
        })
    }
}

/// What of a ledger is outstanding. Its methods are given that very ledger, and do not sleep.
pub(crate) struct Outstanding {
    locks: range::outstanding::Outstanding,
    shares: share::Outstanding,
}

impl Outstanding {
    /// All of it. May sleep.
    pub(crate) fn new(ledger: &Ledger) -> Result<Self> {
        Ok(Self {
            locks: range::outstanding::Outstanding::new(&ledger.locks)?,
            shares: share::Outstanding::new(ledger.shares.len())?,
        })
    }

    /// Of how many locks and shares anything is outstanding.
    pub(crate) fn left(&self) -> u64 {
        u64::from(self.locks.left()) + self.shares.left()
    }

    /// Whether what is asked for of file number `file` conflicts with anything of another host than
    /// number `owner`.
    pub(crate) fn conflicts(
        &self,
        ledger: &Ledger,
        file: u32,
        owner: Option<u32>,
        what: &What<'_>,
    ) -> bool {
        match what {
            What::Range(_, range) => self.locks.conflicts(&ledger.locks, file, owner, range),
            What::Share(_, wanted) => {
                let shares = ledger.shares_on(file);
                self.shares.conflicts(shares, owner, wanted)
            }
            // Of NFSv4, which has no shares of this kind; nor does it delegate a file that anybody misses.
            What::Nfs4(Target::File(_, Ask::Lock(lock)), _) => {
                let range = Range {
                    svid: 0,
                    exclusive: lock.exclusive,
                    start: lock.span.start,
                    end: lock.span.end,
                };
                self.locks.conflicts(&ledger.locks, file, None, &range)
            }
            What::Nfs4(Target::File(_, Ask::Open { .. }), _) => false,
            // Nothing is known of it, so it waits for all.
            What::Cancel(..) | What::Unclear | What::Nfs4(..) | What::Other => true,
        }
    }

    /// Host number `owner` has back, or gave up, what this is about, of file number `file`.
    pub(crate) fn settle(&mut self, ledger: &Ledger, file: u32, owner: u32, what: &What<'_>) {
        match what {
            What::Range(_, range) => self.locks.settle(&ledger.locks, file, owner, range),
            What::Cancel(_, range) => {
                self.locks
                    .settle_cancelled(&ledger.locks, file, owner, range);
            }
            What::Share(_, share) => {
                let shares = ledger.shares_on(file);
                self.shares.settle_all(shares, owner, share);
            }
            What::Unclear | What::Nfs4(..) | What::Other => {}
        }
    }

    /// All of an entry is given up.
    pub(crate) fn settle_entry(&mut self, ledger: &Ledger, entry: Entry) {
        match entry {
            Entry::Lock(at) => self.locks.settle_lock(&ledger.locks, at),
            Entry::Blocked(_) => {}
            Entry::Share(at) => self.shares.settle(at),
        }
    }

    /// The next line of what of an entry is outstanding, without what is before byte `from`, and where
    /// to go on. Who waits does so until the end.
    pub(crate) fn line<'l>(
        &self,
        ledger: &'l Ledger,
        entry: Entry,
        from: u64,
    ) -> Option<(Line<'l>, u64)> {
        let who = || ledger.who(entry).1;
        match entry {
            Entry::Lock(at) => {
                let part = self.locks.part(&ledger.locks, at, from)?;
                Some((Line::Lock(who(), part), part.end + 1))
            }
            Entry::Blocked(at) => {
                (from == 0).then(|| (Line::Blocked(who(), ledger.blocked[at].range), 1))
            }
            Entry::Share(at) => (from == 0 && self.shares.has(at)).then(|| {
                (
                    Line::Share(who(), ledger.shares[at].share(&ledger.bytes)),
                    1,
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests;
