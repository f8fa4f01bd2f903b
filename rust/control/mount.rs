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
        nfsd::calls::{
            self,
            Filling, //
        },
    },
};
use kernel::prelude::*;

/// Hook of `nfsd_fill_super()`.
pub(crate) struct FillSuper;

impl Hook for FillSuper {
    type Function = calls::FillSuper;
    type Data = Filling;

    fn enter(call: &Entry<'_, calls::FillSuper>) -> Option<Filling> {
        Some(call.filling())
    }

    fn leave(call: &Exit<'_, calls::FillSuper>, filling: Filling) {
        if call.add_files(filling, control::FILES).is_err() {
            pr_err!("no memory for the control files of an nfsd filesystem; mount it again\n");
        }
    }
}
