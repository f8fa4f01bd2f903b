// SPDX-License-Identifier: GPL-2.0-only

//! Who takes down what a traversal of lockd's files meets.
//!
//! A recorder is called with the locks held that guard what it is shown, spinlocks among them, and
//! borrows all of it for the call only.

use crate::{
    policy::state::{
        range::Range,
        share::Share,
        Full, //
    },
    sys::{
        lockd::{
            host::Host,
            locks::Locks, //
        },
        net::Net, //
    },
};

/// Takes down what a traversal meets. Must not sleep. [`Full`] says that it has no more room.
pub(crate) trait Recorder {
    /// What follows is about the file with this handle.
    fn file(&self, handle: &[u8]) -> Result<(), Full>;

    /// All locks of the file. Takes down those of clients in `net`, and returns their number.
    fn locks(&self, net: Net, locks: Locks<'_>) -> Result<u64, Full>;

    /// A request that waits for a lock.
    fn blocked(&self, host: &Host<'_>, range: Range) -> Result<(), Full>;

    /// A share.
    fn share(&self, host: &Host<'_>, share: Share<'_>) -> Result<(), Full>;

    /// What follows may have to be forgotten.
    fn mark(&self);

    /// Forget what came since the mark: it will be met again.
    fn forget(&self);
}

/// Takes nothing down.
pub(crate) struct Nothing;

impl Recorder for Nothing {
    fn file(&self, _handle: &[u8]) -> Result<(), Full> {
        Ok(())
    }

    fn locks(&self, net: Net, mut locks: Locks<'_>) -> Result<u64, Full> {
        let mut met = 0;
        while let Some(more) = locks.run(|holder, ranges| match holder.host.net() == net {
            true => ranges.count(),
            false => 0,
        }) {
            met += more as u64;
        }
        Ok(met)
    }

    fn blocked(&self, _host: &Host<'_>, _range: Range) -> Result<(), Full> {
        Ok(())
    }

    fn share(&self, _host: &Host<'_>, _share: Share<'_>) -> Result<(), Full> {
        Ok(())
    }

    fn mark(&self) {}

    fn forget(&self) {}
}
