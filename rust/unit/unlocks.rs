// SPDX-License-Identifier: GPL-2.0-only

//! Locks that clients give up between a release and the moment its manifest is in order.
//!
//! They were taken down and are not held any more, so they have to leave the manifest once it is
//! there. There is room for some; what comes beyond stays on it, and nobody gets it before the
//! recovery is over. Guarded by a spinlock that hooks take; nothing is called under it.

use super::manifest::Manifest;
use crate::policy::{
    state::{
        client::Host,
        fileid::FileId,
        range::Range, //
    },
    verdict::{
        Request,
        What, //
    },
};
use kernel::prelude::*;

/// How many are kept: a page of them.
const CAPACITY: usize = 4096 / size_of::<Unlock>();

/// Longest part of a handle that names a file; those of the usual filesystems are shorter.
const KEY_LEN: usize = 32;

struct Unlock {
    key: [u8; KEY_LEN],
    len: u8,
    host: Host,
    range: Range,
    /// It was a blocked request that was given up.
    cancelled: bool,
}

/// What was given up before there was a manifest.
pub(super) struct Unlocks {
    unlocks: KVec<Unlock>,
}

impl Unlocks {
    /// Nothing yet. May sleep.
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            unlocks: KVec::with_capacity(CAPACITY, GFP_KERNEL)?,
        })
    }

    /// Keeps what was given up. Does not sleep.
    pub(super) fn keep(&mut self, request: &Request<'_>) {
        let (id, range, cancelled) = match request.what {
            What::Range(id, range) => (id, range, false),
            What::Cancel(id, range) => (id, range, true),
            What::Share(..) | What::Unclear | What::Nfs4(..) | What::Other => return,
        };
        let Some(host) = request.host() else {
            return;
        };
        let mut key = [0; KEY_LEN];
        let len = id.bytes().len();
        if let Some(place) = key.get_mut(..len) {
            place.copy_from_slice(id.bytes());
            // Without room for it, see above.
            let _ = self.unlocks.push_within_capacity(Unlock {
                key,
                len: len as u8,
                host,
                range,
                cancelled,
            });
        }
    }

    /// Takes it from a manifest. Does not sleep.
    pub(super) fn settle(&mut self, manifest: &Manifest) {
        for unlock in &self.unlocks {
            let id = FileId::Known(&unlock.key[..usize::from(unlock.len)]);
            let what = match unlock.cancelled {
                true => What::Cancel(id, unlock.range),
                false => What::Range(id, unlock.range),
            };
            manifest.settle_given_up(&unlock.host, &what);
        }
        self.unlocks.clear();
    }
}
