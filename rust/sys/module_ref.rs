// SPDX-License-Identifier: GPL-2.0-only

//! Holding modules where they are.
//!
//! lockd and grace stay because this module imports their symbols. nfsd exports nothing, so its
//! filesystem type is held; with that, hooks in nfsd cannot lose their functions. This module
//! holds itself while a unit is active.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    c_str,
    prelude::*, //
};

/// This module, as C knows it. Its macro for Rust is not the same in 7.2 and 7.3.
pub(super) const fn this_module() -> *mut bindings::module {
    (&raw const bindings::__this_module).cast_mut()
}

/// nfsd's filesystem type; nfsd cannot be unloaded while it lives.
///
/// # Invariants
///
/// The type is registered and a reference to its module is held.
pub(crate) struct NfsdType(NonNull<bindings::file_system_type>);

// SAFETY: The reference may be given back anywhere.
unsafe impl Send for NfsdType {}
// SAFETY: All shared access is done by the VFS, which locks for itself.
unsafe impl Sync for NfsdType {}

impl NfsdType {
    /// Finds the type, loading nfsd if need be.
    pub(crate) fn get() -> Result<Self> {
        // SAFETY: The name is a C string.
        let found = unsafe { bindings::get_fs_type(c_str!("nfsd").as_char_ptr()) };
        // INVARIANT: `get_fs_type()` took a reference to the module.
        NonNull::new(found).map(Self).ok_or_else(|| {
            pr_err!("the nfsd filesystem is not there; is the nfsd module installed?\n");
            ENODEV
        })
    }

    pub(super) fn module(&self) -> *const bindings::module {
        // SAFETY: By the type invariants the type is registered.
        unsafe { (*self.0.as_ptr()).owner }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::file_system_type {
        self.0.as_ptr()
    }
}

impl Drop for NfsdType {
    fn drop(&mut self) {
        // SAFETY: By the type invariants a reference is held. `put_filesystem()`, which does the
        // same, is not exported.
        unsafe { bindings::module_put((*self.0.as_ptr()).owner) };
    }
}

/// A reference of this module to itself: it cannot be unloaded.
pub(crate) struct ThisModule(());

impl ThisModule {
    /// Takes a reference, unless the module is already on its way out.
    pub(crate) fn try_get() -> Option<Self> {
        // SAFETY: The module is there: it is calling.
        unsafe { bindings::try_module_get(this_module()) }.then(|| Self(()))
    }

    /// Takes a reference. The caller runs on behalf of an open control file, which holds another.
    pub(crate) fn get() -> Self {
        // SAFETY: The reference of the open file keeps the module from going meanwhile.
        unsafe { bindings::__module_get(this_module()) };
        Self(())
    }

    /// Keeps the reference beyond the value, until [`ThisModule::put_kept`].
    pub(super) fn keep(self) {
        core::mem::forget(self);
    }

    /// Gives a kept reference back.
    ///
    /// # Safety
    ///
    /// Must be called once for each [`ThisModule::keep`].
    pub(super) unsafe fn put_kept() {
        drop(Self(()));
    }
}

impl Drop for ThisModule {
    fn drop(&mut self) {
        // SAFETY: A reference was taken in `get` or `try_get`. Whoever drops the last one is a
        // control file, the expiry timer or a hook's handler, and module exit waits for all three.
        unsafe { bindings::module_put(this_module()) };
    }
}
