// SPDX-License-Identifier: GPL-2.0-only

//! lockd's grace period, as its module parameters set it.
//!
//! The values are static in lockd, so they are read where administrators set them, as the current
//! task sees the files.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::bindings;
use kernel::{
    c_str,
    error::from_err_ptr,
    prelude::*, //
};

/// lockd's default for `nlm_timeout`, in seconds (`LOCKD_DFLT_TIMEO`).
const DEFAULT_TIMEOUT: u32 = 10;

/// Longest value of a parameter.
const VALUE_LEN: usize = 32;

/// Returns lockd's grace period in seconds, computed as `get_lockd_grace_period()` of
/// `fs/lockd/svc.c` does it. May sleep.
///
/// A period set by netlink for another than the initial network namespace is not visible.
pub(crate) fn grace_period() -> u32 {
    let timeout = parameter(c_str!("/sys/module/lockd/parameters/nlm_timeout"))
        .filter(|timeout| *timeout > 0)
        .unwrap_or(DEFAULT_TIMEOUT);
    match parameter(c_str!("/sys/module/lockd/parameters/nlm_grace_period")) {
        Some(seconds) if seconds > 0 => seconds.next_multiple_of(timeout),
        _ => 5 * timeout,
    }
}

fn parameter(path: &CStr) -> Option<u32> {
    let mut value = [0u8; VALUE_LEN];
    let mut offset = 0;
    // SAFETY: `path` is a C string, `value` is as long as is passed, and the file is open from
    // `filp_open()` to `filp_close()`.
    let len = unsafe {
        let file = from_err_ptr(bindings::filp_open(
            path.as_char_ptr(),
            bindings::O_RDONLY as c_int,
            0,
        ))
        .ok()?;
        let len = bindings::kernel_read(file, value.as_mut_ptr().cast(), value.len(), &mut offset);
        bindings::filp_close(file, core::ptr::null_mut());
        len
    };
    let text = value.get(..usize::try_from(len).ok()?)?;
    core::str::from_utf8(text).ok()?.trim().parse().ok()
}
