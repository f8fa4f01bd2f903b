// SPDX-License-Identifier: GPL-2.0-only

//! The kernel's caches of exports, which hold on to the filesystems in them.
//!
//! A flush sets the time at which what is out of date is dropped: now, or a second after what was
//! set before if that has not come yet (`write_flush()` in net/sunrpc/cache.c). Whoever runs exportfs
//! several times a second puts it off so, and another flush puts it off further.

use crate::host::Host;
use std::fs;
use std::time::{
    Duration,
    SystemTime, //
};

/// How long it takes until a flush has an effect at once.
pub fn put_off(host: &Host) -> Duration {
    let set = ["nfsd.export", "nfsd.fh"]
        .iter()
        .filter_map(|cache| {
            let file = host.proc().join("net/rpc").join(cache).join("flush");
            fs::read_to_string(file).ok()?.trim().parse().ok()
        })
        .max()
        .unwrap_or(0);
    // That second has to be over.
    let due = SystemTime::UNIX_EPOCH + Duration::from_secs(set) + Duration::from_secs(1);
    due.duration_since(SystemTime::now()).unwrap_or_default()
}
