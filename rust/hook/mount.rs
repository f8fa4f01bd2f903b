// SPDX-License-Identifier: GPL-2.0-only

//! `nfsd_fill_super()`: another nfsd filesystem is being mounted.

use crate::{
    control,
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        nfsdfs::Mounting, //
    },
};
use kernel::prelude::*;

/// Hook of `nfsd_fill_super(sb, fc)`.
pub(crate) struct FillSuper;

impl Hook for FillSuper {
    const SYMBOL: &'static CStr = c"nfsd_fill_super";
    type Data = usize;

    fn enter(call: &Entry<'_>) -> Option<usize> {
        Some(call.argument(0))
    }

    fn leave(call: &Exit<'_>, sb: usize) {
        if call.value() as i32 != 0 {
            return;
        }
        // SAFETY: The function was called by the current task for this superblock and succeeded.
        if unsafe { Mounting::add_files(sb, control::FILES) }.is_err() {
            pr_err!("no memory for the control files of an nfsd filesystem; mount it again\n");
        }
    }
}
