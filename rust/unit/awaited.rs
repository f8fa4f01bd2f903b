// SPDX-License-Identifier: GPL-2.0-only

//! The clients of NFSv4 that had something on a filesystem which has come: when all of them have
//! completed their reclaims, its recovery is over.
//!
//! Hooks only read names and files and mark clients; nothing else changes once a unit has the list. They
//! search it with preemption disabled: [`MAX_CLIENTS`] names, and the files of each in a few steps.

use crate::policy::{
    command,
    nfs4::{
        awaited::{
            self as policy,
            Holder,
            Target, //
        },
        files::{
            self,
            Inodes, //
        },
        name::Known,
    },
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full, //
    }, //
};

/// Maximum number of clients that a unit waits for.
const MAX_CLIENTS: usize = 256;

/// Longest name: that of a client (`NFS4_OPAQUE_LIMIT`).
const MAX_NAME: usize = 1024;

/// One of them.
struct Client {
    name: KVec<u8>,
    /// On which files it had anything, sorted, if that is known.
    files: Option<KVVec<Inodes>>,
    completed: Atomic<bool>,
}

impl Holder for &Client {
    fn name(&self) -> &[u8] {
        &self.name
    }

    fn is_through(&self) -> bool {
        self.completed.load(Acquire)
    }

    fn had(&self, inode: u64) -> Option<bool> {
        let files = self.files.as_ref()?;
        Some(files::contains(files, inode))
    }

    fn has_files(&self) -> bool {
        self.files.is_some()
    }
}

/// What is shown of one.
pub(super) struct Shown<'a> {
    pub(super) name: &'a [u8],
    pub(super) completed: bool,
    /// On how many files it had anything, if that is known.
    pub(super) files: Option<u64>,
}

/// All of them.
pub(super) struct Awaited {
    clients: KVVec<Client>,
    missing: Atomic<usize>,
}

impl Awaited {
    /// Those that are named. May sleep.
    pub(super) fn new(mut command: command::Awaited<'_>) -> Result<Self> {
        let mut buffer = KVec::from_elem(0, MAX_NAME, GFP_KERNEL)?;
        let mut clients: KVVec<Client> = KVVec::new();
        while let Some(one) = command.next_client(&mut buffer)? {
            if clients.len() == MAX_CLIENTS {
                return Err(ENOSPC);
            }
            if clients.iter().any(|client| *client.name == *one.name) {
                return Err(EINVAL);
            }
            let mut name = KVec::with_capacity(one.name.len(), GFP_KERNEL)?;
            name.extend_from_slice(one.name, GFP_KERNEL)?;
            let client = Client {
                name,
                files: one.files.map(inodes).transpose()?,
                completed: Atomic::new(false),
            };
            clients.push(client, GFP_KERNEL)?;
        }
        let missing = Atomic::new(clients.len());
        Ok(Self { clients, missing })
    }

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

    /// Whether a client would get what another one may want back. Does not sleep.
    pub(super) fn conflicts(&self, client: Option<Known<'_>>, target: Target) -> bool {
        policy::conflicts(&*self.clients, client, target)
    }

    /// Whether a client had something of what it reclaims, if that is known. Does not sleep.
    pub(super) fn lists(&self, client: Option<Known<'_>>, target: Target) -> Option<bool> {
        policy::lists(&*self.clients, client, target)
    }

    /// Whether a client may have had something of what it reclaims that it was granted since; `elsewhere`
    /// as there. Does not sleep.
    pub(super) fn may_have_had(
        &self,
        client: Option<Known<'_>>,
        target: Target,
        elsewhere: bool,
    ) -> bool {
        policy::may_have_had(&*self.clients, client, target, elsewhere)
    }

    /// All of them, for a reader.
    pub(super) fn clients(&self) -> impl Iterator<Item = Shown<'_>> {
        self.clients.iter().map(|client| Shown {
            name: &client.name,
            completed: client.is_through(),
            files: client
                .files
                .as_ref()
                .map(|files| files.iter().map(|inodes| inodes.count()).sum()),
        })
    }
}

/// Files as they were written. May sleep.
fn inodes(written: &[u8]) -> Result<KVVec<Inodes>> {
    let mut found = KVVec::new();
    for inodes in files::parse(written) {
        found.push(inodes?, GFP_KERNEL)?;
    }
    Ok(found)
}
