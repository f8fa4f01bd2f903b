// SPDX-License-Identifier: GPL-2.0-only

//! Errors that the `kernel` crate does not name.
//!
//! C header: [`include/uapi/asm-generic/errno.h`](srctree/include/uapi/asm-generic/errno.h)

use crate::bindings;
use kernel::prelude::*;

/// `ESTALE`.
pub(crate) fn stale() -> Error {
    Error::from_errno(-(bindings::ESTALE as c_int))
}
