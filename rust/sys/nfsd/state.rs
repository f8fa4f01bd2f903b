// SPDX-License-Identifier: GPL-2.0-only

//! What NFSv4 clients have: opens, locks, delegations and layouts.
//!
//! Lifetimes: nfsd's tables of a namespace are there while it runs there, which `nfsd_mutex` holds off
//! from changing. A client stays while `client_lock` of the namespace is held, its state while
//! `cl_lock` of the client is; state that was revoked is passed over, because its inode may be gone.
//! `nfsd_mutex` is held for long by whoever stops nfsd, so it is only tried.
//!
//! C header: `fs/nfsd/state.h`

use crate::{
    bindings,
    policy::fsid::HandleFsid,
    sys::{
        net::Net,
        symbol::{
            NFSD_MUTEX,
            NFSD_NET_ID, //
        },
        timer, //
    },
};
use core::ptr;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// How many times to try, a few milliseconds apart.
const PATIENCE: u32 = 100;

/// Whether clients of `net` have anything on a filesystem: `is` is asked about the filesystem part of
/// the handle of each file, under spinlocks. [`EBUSY`] if nfsd is just being started or stopped. May
/// sleep.
pub(crate) fn any(net: Net, is: &dyn Fn(&HandleFsid) -> bool) -> Result<bool> {
    let mut is = is;
    for _ in 0..PATIENCE {
        // SAFETY: The symbols are those of nfsd, which stays; `net` is alive, as a file of it is open;
        // and the function passes on `is` to `ask` before it returns.
        let answer = unsafe {
            bindings::rust_helper_nfsd4_any_state(
                net.as_ptr(),
                ptr::with_exposed_provenance_mut(NFSD_MUTEX.address()),
                ptr::with_exposed_provenance(NFSD_NET_ID.address()),
                Some(ask),
                (&raw mut is).cast(),
            )
        };
        match to_result(answer) {
            Ok(()) => return Ok(answer > 0),
            Err(EBUSY) => timer::sleep(10),
            Err(error) => return Err(error),
        }
    }
    Err(EBUSY)
}

/// Whether nfsd knows any client in `net`, where it runs. Does not sleep.
pub(super) fn has_clients(net: Net) -> bool {
    // SAFETY: nfsd keeps its part of a namespace as long as the namespace.
    unsafe {
        bindings::rust_helper_nfsd4_knows_clients(
            net.as_ptr(),
            ptr::with_exposed_provenance(NFSD_NET_ID.address()),
        )
    }
}

/// Whether a client of the name that `name` and `tail` make may reclaim what it had before nfsd was
/// restarted in `net`, by the name alone. [`None`] if that cannot be seen at once. Does not sleep.
pub(super) fn is_recorded(net: Net, name: &[u8], tail: &[u8]) -> Option<bool> {
    // SAFETY: As above; the name is only compared.
    let found = unsafe {
        bindings::rust_helper_nfsd4_is_recorded(
            net.as_ptr(),
            ptr::with_exposed_provenance(NFSD_NET_ID.address()),
            name.as_ptr(),
            name.len() as u32,
            tail.as_ptr(),
            tail.len() as u32,
        )
    };
    to_result(found).ok().map(|()| found > 0)
}

/// # Safety
///
/// Only [`any`] may have this called, with its `is`.
unsafe extern "C" fn ask(is: *mut c_void, fh: *const bindings::knfsd_fh) -> bool {
    // SAFETY: By the safety requirements; the handle is that of a file that is pinned by its state.
    let (is, fh) = unsafe { (&*is.cast::<&dyn Fn(&HandleFsid) -> bool>(), &*fh) };
    let len = (fh.fh_size as usize).min(fh.fh_raw.len());
    // One that is not understood may be of any filesystem.
    HandleFsid::decode(&fh.fh_raw[..len]).is_none_or(|handle| is(&handle))
}
