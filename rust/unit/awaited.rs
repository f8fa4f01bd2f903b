// SPDX-License-Identifier: GPL-2.0-only

//! The clients of NFSv4 that had something on a filesystem which has come: when all of them have
//! completed their reclaims, its recovery is over.
//!
//! Hooks only read names and mark clients; nothing else changes once a unit has the list.

use crate::policy::command;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed, //
    }, //
};

/// Maximum number of clients that a unit waits for.
const MAX_CLIENTS: usize = 256;

/// Longest name: that of a client (`NFS4_OPAQUE_LIMIT`).
const MAX_NAME: usize = 1024;

/// One of them.
struct Client {
    name: KVec<u8>,
    completed: Atomic<bool>,
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
        while let Some(name) = command.next_name(&mut buffer)? {
            if clients.len() == MAX_CLIENTS {
                return Err(ENOSPC);
            }
            if clients.iter().any(|client| *client.name == *name) {
                return Err(EINVAL);
            }
            let mut copy = KVec::with_capacity(name.len(), GFP_KERNEL)?;
            copy.extend_from_slice(name, GFP_KERNEL)?;
            let client = Client {
                name: copy,
                completed: Atomic::new(false),
            };
            clients.push(client, GFP_KERNEL)?;
        }
        let missing = Atomic::new(clients.len());
        Ok(Self { clients, missing })
    }

    /// A client has completed its reclaims; tells whether it was the last one. Does not sleep.
    pub(super) fn complete(&self, name: &[u8]) -> bool {
        let client = self.clients.iter().find(|client| *client.name == *name);
        client.is_some_and(|client| {
            client.completed.cmpxchg(false, true, Full).is_ok()
                && self.missing.fetch_sub(1, Full) == 1
        })
    }

    /// Whether all have.
    pub(super) fn is_complete(&self) -> bool {
        self.missing.load(Acquire) == 0
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Their names, and whether they have.
    pub(super) fn clients(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let client = |client: &'_ Client| client.completed.load(Relaxed);
        self.clients.iter().map(move |it| (&*it.name, client(it)))
    }
}
