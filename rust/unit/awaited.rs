// SPDX-License-Identifier: GPL-2.0-only

//! The clients of NFSv4 that had something on a filesystem which has come: when all of them have
//! completed their reclaims, its recovery is over.
//!
//! Hooks only read what they had and mark clients; nothing else changes once a unit has the list. They
//! search it with preemption disabled: at most `list::MAX_CLIENTS` names, and what each had in a few
//! steps.

mod load;

use crate::policy::nfs4::{
    awaited::{
        self as policy,
        Holder,
        Target, //
    },
    had::{
        Had,
        Span,
        Whole, //
    },
    name::Known, //
};
use core::ops::Range;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full, //
    }, //
};
pub(crate) use load::Loader;

/// One of them.
struct Client {
    name: KVec<u8>,
    /// Which are its files, if they are known.
    files: Option<Range<usize>>,
    completed: Atomic<bool>,
}

/// A file on which one of them had something.
struct File {
    inode: u64,
    whole: Whole,
    /// Which are its locks.
    shared: Range<usize>,
    exclusive: Range<usize>,
}

/// What is shown of one.
pub(super) struct Shown<'a> {
    pub(super) name: &'a [u8],
    pub(super) completed: bool,
    /// On how many files it had anything, and how many locks, if that is known.
    pub(super) had: Option<(usize, usize)>,
}

/// All of them.
///
/// # Invariants
///
/// All ranges lie within what they are of. The files of a client are in the order of their inode numbers,
/// the locks of a file in that of their bytes, and no two of a kind overlap.
pub(crate) struct Awaited {
    clients: KVVec<Client>,
    files: KVVec<File>,
    shared: KVVec<Span>,
    exclusive: KVVec<Span>,
    missing: Atomic<usize>,
}

/// One of them, and what it had.
#[derive(Clone, Copy)]
struct Listed<'a> {
    all: &'a Awaited,
    client: &'a Client,
}

impl<'a> Listed<'a> {
    fn files(self) -> Option<&'a [File]> {
        self.all.files.get(self.client.files.clone()?)
    }
}

impl Holder for Listed<'_> {
    fn name(&self) -> &[u8] {
        &self.client.name
    }

    fn is_through(&self) -> bool {
        self.client.completed.load(Acquire)
    }

    fn had(&self, inode: u64) -> Option<Option<Had<'_>>> {
        let files = self.files()?;
        let Ok(at) = files.binary_search_by_key(&inode, |file| file.inode) else {
            return Some(None);
        };
        let file = files.get(at)?;
        Some(Some(Had {
            whole: file.whole,
            shared: self.all.shared.get(file.shared.clone())?,
            exclusive: self.all.exclusive.get(file.exclusive.clone())?,
        }))
    }

    fn has_files(&self) -> bool {
        self.client.files.is_some()
    }
}

impl Default for Awaited {
    fn default() -> Self {
        // INVARIANT: There are no ranges.
        Self {
            clients: KVVec::new(),
            files: KVVec::new(),
            shared: KVVec::new(),
            exclusive: KVVec::new(),
            missing: Atomic::new(0),
        }
    }
}

impl Awaited {
    /// A client has completed its reclaims; tells whether it was the last one, if it is one of them. Does
    /// not sleep.
    pub(super) fn complete(&self, known: Known<'_>) -> Option<bool> {
        let client = self.clients.iter().find(|client| known.is(&client.name))?;
        let is_new = client.completed.cmpxchg(false, true, Full).is_ok();
        Some(is_new && self.missing.fetch_sub(1, Full) == 1)
    }

    /// How many have not.
    pub(super) fn missing(&self) -> usize {
        self.missing.load(Acquire)
    }

    /// Whether all have.
    pub(super) fn is_complete(&self) -> bool {
        self.missing() == 0
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    fn listed(&self) -> impl Iterator<Item = Listed<'_>> + Clone {
        let clients = self.clients.iter();
        clients.map(|client| Listed { all: self, client })
    }

    /// Whether a client would get what another one may want back. Does not sleep.
    pub(super) fn conflicts(&self, client: Option<Known<'_>>, target: Target) -> bool {
        policy::conflicts(self.listed(), client, target)
    }

    /// Whether a client had something of what it reclaims, if that is known. Does not sleep.
    pub(super) fn lists(&self, client: Option<Known<'_>>, target: Target) -> Option<bool> {
        policy::lists(self.listed(), client, target)
    }

    /// Whether a client may have had something of what it reclaims that it was granted since; `elsewhere`
    /// as there. Does not sleep.
    pub(super) fn may_have_had(
        &self,
        client: Option<Known<'_>>,
        target: Target,
        elsewhere: bool,
    ) -> bool {
        policy::may_have_had(self.listed(), client, target, elsewhere)
    }

    /// All of them, for a reader.
    pub(super) fn clients(&self) -> impl Iterator<Item = Shown<'_>> {
        self.listed().map(|it| Shown {
            name: &it.client.name,
            completed: it.is_through(),
            had: it.files().map(|files| {
                let locks = files.iter().map(|it| it.shared.len() + it.exclusive.len());
                (files.len(), locks.sum())
            }),
        })
    }
}
