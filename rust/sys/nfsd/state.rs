// SPDX-License-Identifier: GPL-2.0-only

//! What NFSv4 clients have: opens, locks, delegations and layouts.
//!
//! Lifetimes: nfsd's tables of a namespace are there while it runs there, which `nfsd_mutex` holds off
//! from changing. A client stays while `client_lock` of the namespace is held, its state while
//! `cl_lock` of the client is; state that was revoked is passed over, because its inode may be gone.
//! Locks of a file stay while `flc_lock` of its inode is held, which comes last.
//! `nfsd_mutex` is held for long by whoever stops nfsd, so it is only tried.
//!
//! C header: `fs/nfsd/state.h`

use crate::{
    bindings,
    policy::{
        fsid::HandleFsid,
        nfs4::had::{
            Lock,
            Modes,
            Span,
            Whole, //
        },
    },
    sys::{
        net::Net,
        symbol::{
            NFSD_MUTEX,
            NFSD_NET_ID, //
        },
        timer, //
    },
};
use core::{
    marker::PhantomData,
    ptr,
    slice, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// How many times to try, a few milliseconds apart.
const PATIENCE: u32 = 100;

/// Something that a client has, and for which nfsd gave it a stateid.
///
/// # Invariants
///
/// Both pointers are those that `rust_helper_nfsd4_each_state()` shows, and it has not gone on.
pub(crate) struct State<'a> {
    client: *const c_void,
    state: *const c_void,
    _shown: PhantomData<&'a ()>,
}

/// Which client: not to be used where another walk may have begun.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientId(usize);

/// What somebody has on a file.
pub(crate) struct OnFile {
    /// The number of its inode.
    pub(crate) inode: u64,
    /// Of the whole file.
    pub(crate) whole: Whole,
    /// It is for byte-range locks, which [`State::locks`] has.
    pub(crate) locks: bool,
}

impl State<'_> {
    /// Whether it is on a filesystem: `is` is asked about the part of the handle that names it. One that
    /// is not understood may be of any filesystem.
    pub(crate) fn is_on(&self, is: impl Fn(&HandleFsid) -> bool) -> bool {
        // SAFETY: By the type invariants; the handle is that of a file that is pinned by its state.
        let fh = unsafe { &*bindings::rust_helper_nfsd4_state_handle(self.state) };
        let len = (fh.fh_size as usize).min(fh.fh_raw.len());
        HandleFsid::decode(&fh.fh_raw[..len]).is_none_or(|handle| is(&handle))
    }

    /// Whose it is.
    pub(crate) fn client(&self) -> ClientId {
        ClientId(self.client.addr())
    }

    /// What the client calls itself.
    pub(crate) fn name(&self) -> &[u8] {
        let mut len = 0;
        // SAFETY: By the type invariants; the name stays while the client does. One of no bytes may have no
        // address.
        unsafe {
            let name = bindings::rust_helper_nfsd4_name(self.client, &raw mut len);
            match name.is_null() {
                true => &[],
                false => slice::from_raw_parts(name, len as usize),
            }
        }
    }

    /// Whether the client says when it has reclaimed what it wants.
    pub(crate) fn completes(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::rust_helper_nfsd4_completes(self.client) }
    }

    /// What it is.
    pub(crate) fn on_file(&self) -> OnFile {
        // SAFETY: By the type invariants.
        let state = unsafe { bindings::rust_helper_nfsd4_state(self.state) };
        OnFile {
            inode: state.inode,
            whole: Whole {
                access: Modes::of(state.access),
                deny: Modes::of(state.deny),
                delegated: Modes::of(state.delegated),
            },
            locks: state.locks,
        }
    }

    /// Hands its locks to `take`, under another spinlock, and tells how many of the file it went through for
    /// that. It has to be for locks.
    pub(crate) fn locks(&self, take: &mut dyn FnMut(Lock)) -> usize {
        let mut take = take;
        // SAFETY: By the type invariants; the function passes on `take` to `lock` before it returns.
        let looked = unsafe {
            bindings::rust_helper_nfsd4_each_lock(self.state, Some(lock), (&raw mut take).cast())
        };
        looked as usize
    }
}

/// Shows `visit` all that clients of `net` have, under spinlocks, what one client has next to each
/// other, until it says that that is enough; returns whether it has. [`EBUSY`] if nfsd is just being
/// started or stopped. May sleep, but not while `visit` is called.
pub(crate) fn each(net: Net, visit: &mut dyn FnMut(&State<'_>) -> bool) -> Result<bool> {
    let mut visit = visit;
    for _ in 0..PATIENCE {
        // SAFETY: The symbols are those of nfsd, which stays; `net` is alive, as a file of it is open;
        // and the function passes on `visit` to `show` before it returns.
        let answer = unsafe {
            bindings::rust_helper_nfsd4_each_state(
                net.as_ptr(),
                ptr::with_exposed_provenance_mut(NFSD_MUTEX.address()),
                ptr::with_exposed_provenance(NFSD_NET_ID.address()),
                Some(show),
                (&raw mut visit).cast(),
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

/// Whether clients of `net` have anything on a filesystem: `is` is asked as by [`State::is_on`], under
/// spinlocks. [`EBUSY`] if nfsd is just being started or stopped. May sleep.
pub(crate) fn any(net: Net, is: &dyn Fn(&HandleFsid) -> bool) -> Result<bool> {
    each(net, &mut |state| state.is_on(is))
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
/// Only [`each`] may have this called, with its `visit`.
unsafe extern "C" fn show(visit: *mut c_void, client: *const c_void, state: *const c_void) -> bool {
    // SAFETY: By the safety requirements, and nobody else uses it meanwhile.
    let visit = unsafe { &mut *visit.cast::<&mut dyn FnMut(&State<'_>) -> bool>() };
    // INVARIANT: By the safety requirements; it goes on when this returns.
    visit(&State {
        client,
        state,
        _shown: PhantomData,
    })
}

/// # Safety
///
/// Only [`State::locks`] may have this called, with its `take`.
unsafe extern "C" fn lock(take: *mut c_void, exclusive: bool, start: u64, end: u64) {
    // SAFETY: By the safety requirements, and nobody else uses it meanwhile.
    let take = unsafe { &mut *take.cast::<&mut dyn FnMut(Lock)>() };
    let span = Span { start, end };
    take(Lock { exclusive, span });
}
