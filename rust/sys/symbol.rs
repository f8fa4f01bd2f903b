// SPDX-License-Identifier: GPL-2.0-only

//! Recognising objects of lockd and nfsd that are not exported, by their addresses.
//!
//! All are looked up by name when this module is loaded, or it is not loaded: nobody should learn in
//! the middle of a release that something cannot be recognised. Addresses stay, because lockd and
//! nfsd are pinned (see [`crate::sys::module_ref`] and the symbols of lockd this module imports).
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use crate::{
    bindings,
    sys::module_ref::NfsdType, //
};
use core::fmt;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// lockd's thread.
pub(super) static LOCKD: Symbol = Symbol::new(c"lockd");
/// nfsd's threads.
pub(super) static NFSD: Symbol = Symbol::new(c"nfsd");
/// What all delegations that nfsd has given point to.
pub(super) static LEASE_OPERATIONS: Symbol = Symbol::new(c"nfsd_lease_mng_ops");
/// Held while nfsd is started or stopped.
pub(super) static NFSD_MUTEX: Symbol = Symbol::new(c"nfsd_mutex");
/// The files from which nfsd has recalled a delegation of late.
pub(super) static BLOCKED: Symbol = Symbol::new(c"blocked_delegations");
/// Held while these change.
pub(super) static BLOCKED_LOCK: Symbol = Symbol::new(c"blocked_delegations_lock");
/// By which nfsd finds its part of a namespace.
pub(super) static NFSD_NET_ID: Symbol = Symbol::new(c"nfsd_net_id");
/// What all locks of lockd's clients point to.
pub(super) static LOCK_OPERATIONS: Symbol = Symbol::new(c"nlmsvc_lock_operations");
/// Asks about blocked requests.
pub(super) static TRAVERSE_BLOCKS: Symbol = Symbol::new(c"nlmsvc_traverse_blocks");
/// Asks about shares.
pub(super) static TRAVERSE_SHARES: Symbol = Symbol::new(c"nlmsvc_traverse_shares");
/// Ask about locks: the first that there is has the others compiled into it. The two above cannot be
/// among these, because they are in other files of lockd.
pub(super) static TRAVERSE_LOCKS: Symbol = Symbol::new(c"nlm_traverse_locks");
const TRAVERSE_FILES: &CStr = c"nlm_traverse_files";
const UNLOCK_ALL: &CStr = c"nlmsvc_unlock_all_by_sb";

/// Longest text `sprint_symbol()` writes (`KSYM_SYMBOL_LEN`), rounded up.
const TEXT_LEN: usize = 640;

/// A function or object of another module.
pub(super) struct Symbol {
    name: &'static CStr,
    start: Atomic<usize>,
    size: Atomic<usize>,
}

impl Symbol {
    const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            start: Atomic::new(0),
            size: Atomic::new(0),
        }
    }

    /// Whether `address` is where the symbol starts.
    #[inline]
    pub(super) fn is(&self, address: usize) -> bool {
        address != 0 && address == self.start.load(Relaxed)
    }

    /// Where the symbol starts.
    pub(super) fn address(&self) -> usize {
        self.start.load(Relaxed)
    }

    /// Whether `address` lies in the function.
    pub(super) fn has(&self, address: usize) -> bool {
        address.wrapping_sub(self.start.load(Relaxed)) < self.size.load(Relaxed)
    }

    /// Looks for it under one of `names` in a module that stays.
    fn find(&self, module: *const bindings::module, names: &[&CStr]) -> bool {
        names.iter().any(|name| {
            let (mut start, mut size) = (0, 0);
            // SAFETY: The module stays, and the name is a C string.
            let found = unsafe {
                bindings::nfs_failover_find_symbol(
                    module,
                    name.as_char_ptr(),
                    &raw mut start,
                    &raw mut size,
                )
            };
            self.start.store(start, Relaxed);
            self.size.store(size, Relaxed);
            found
        })
    }
}

/// Looks up all that has to be recognised, or says in one line of the kernel log what is not there.
pub(crate) fn find_all(nfsd: &NfsdType) -> Result {
    // SAFETY: The name is a C string.
    let lockd = unsafe { bindings::nfs_failover_used_module(c"lockd".as_char_ptr()) };
    if lockd.is_null() {
        pr_err!("lockd is no module; is this kernel supported?\n");
        return Err(ENODEV);
    }
    let all: [(&Symbol, _, &[&CStr]); 11] = [
        (&LOCKD, lockd, &[]),
        (&NFSD, nfsd.module(), &[]),
        (&LEASE_OPERATIONS, nfsd.module(), &[]),
        (&NFSD_MUTEX, nfsd.module(), &[]),
        (&NFSD_NET_ID, nfsd.module(), &[]),
        (&BLOCKED, nfsd.module(), &[]),
        (&BLOCKED_LOCK, nfsd.module(), &[]),
        (&LOCK_OPERATIONS, lockd, &[]),
        (&TRAVERSE_BLOCKS, lockd, &[]),
        (&TRAVERSE_SHARES, lockd, &[]),
        (&TRAVERSE_LOCKS, lockd, &[TRAVERSE_FILES, UNLOCK_ALL]),
    ];
    for (symbol, module, others) in all {
        if !symbol.find(module, &[symbol.name]) && !symbol.find(module, others) {
            pr_err!(
                "cannot recognise {}: it is not, or not once, among the symbols of its module; is this kernel supported?\n",
                symbol.name.to_str().unwrap_or("?")
            );
            return Err(ENOENT);
        }
    }
    if BLOCKED.size.load(Relaxed) != size_of::<bindings::nfs_failover_blocked>() {
        pr_err!("nfsd remembers recalled delegations in another way; is this kernel supported?\n");
        return Err(ENOENT);
    }
    Ok(())
}

/// An address, printed as the symbol it lies in.
pub(super) struct At(pub(super) usize);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; TEXT_LEN];
        // SAFETY: The buffer is as large as `sprint_symbol()` asks for, and any address may be asked.
        let len = unsafe { bindings::sprint_symbol(text.as_mut_ptr().cast(), self.0 as c_ulong) };
        let text = text.get(..len as usize).unwrap_or_default();
        f.write_str(core::str::from_utf8(text).unwrap_or("?"))
    }
}

// `sprint_symbol()` writes at most KSYM_SYMBOL_LEN bytes: the longest name (KSYM_NAME_LEN), the
// longest module name, two numbers and punctuation.
const _: () = assert!(TEXT_LEN >= bindings::KSYM_NAME_LEN as usize + 64 + 2 * 18 + 8);
