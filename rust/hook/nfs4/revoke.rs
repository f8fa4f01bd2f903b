// SPDX-License-Identifier: GPL-2.0-only

//! `nfsd4_revoke_states()` and `nfsd4_revoke_export_states()`: nothing is revoked.
//!
//! Stock `unlock_filesystem`, and `exportfs -u` of nfs-utils after 2.9.1, have nfsd revoke what NFSv4
//! clients hold. A lock that is revoked stays with its client, with a pointer to its inode but no
//! reference. Once the filesystem is unmounted, the end of the client's lease takes a lock in what was
//! the inode (`nfs4_lockowner_has_blockers()`), and the node is dead. What a client holds has to be
//! given up by expiring the client.

use crate::sys::{
    fprobe::{
        Entry,
        Hook, //
    },
    nfsd::nfs4_calls::Revokes, //
};
use core::marker::PhantomData;
use kernel::prelude::*;

/// Hook of a function that revokes.
pub(in crate::hook) struct Revoke<F>(PhantomData<F>);

impl<F: Revokes> Hook for Revoke<F> {
    type Function = F;
    const LEAVES: bool = false;
    type Data = ();

    fn enter(call: &Entry<'_, F>) -> Option<()> {
        if call.revoke_nothing() {
            pr_notice!("revoked nothing of NFSv4 clients, which could crash this kernel after an umount; expire them instead\n");
        }
        None
    }
}
