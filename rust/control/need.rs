// SPDX-License-Identifier: GPL-2.0-only

//! What commands need of the hooks.

use crate::{
    hook,
    sys::fprobe, //
};
use kernel::prelude::*;

/// A command is only carried out if its hooks work: `ENODEV` if the kernel has stopped calling
/// them.
pub(super) fn hooks() -> Result {
    if hook::live() {
        Ok(())
    } else {
        Err(ENODEV)
    }
}

/// How many calls the hooks have missed, those of the current task included that no hook counts;
/// [`None`] if they are not called at all.
pub(super) fn missed() -> Option<usize> {
    hook::live().then(|| hook::missed() + fprobe::overruns())
}
