// SPDX-License-Identifier: GPL-2.0-only

//! From a path to the device of its filesystem.
//!
//! C header: [`include/linux/namei.h`](srctree/include/linux/namei.h)

use crate::{
    bindings,
    policy::fsid::Dev, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// Returns the device of the filesystem `path` is on, as the current task sees it. May sleep.
pub(crate) fn device(path: &[u8]) -> Result<Dev> {
    let mut name = KVec::with_capacity(path.len() + 1, GFP_KERNEL)?;
    name.extend_from_slice(path, GFP_KERNEL)?;
    name.push(0, GFP_KERNEL)?;
    let mut found = bindings::path::default();
    // SAFETY: `name` is terminated and `found` valid for writes.
    to_result(unsafe {
        bindings::kern_path(
            name.as_ptr().cast(),
            bindings::NFS_FAILOVER_LOOKUP_FOLLOW,
            &mut found,
        )
    })?;
    // SAFETY: `kern_path()` succeeded, so `found` is a referenced path until `path_put()`.
    let dev = unsafe {
        let dev = (*(*found.dentry).d_sb).s_dev;
        bindings::path_put(&found);
        dev
    };
    Ok(Dev::from_kernel(dev))
}
