// SPDX-License-Identifier: GPL-2.0-only

//! Network namespaces, as identities.
//!
//! A [`Net`] holds no reference: it may be compared at any time, also when the namespace is gone.
//! That no stale one is ever acted upon is ensured by [`Exits`], which tells when a namespace
//! ends, while its memory still is its own.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use crate::bindings;
use core::{
    fmt,
    marker::PhantomData,
    net::IpAddr,
    ptr, //
};
use kernel::{
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// Identity of a network namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Net(*mut bindings::net);

// SAFETY: An identity is plain data; whoever follows the pointer argues for itself.
unsafe impl Send for Net {}
// SAFETY: As above.
unsafe impl Sync for Net {}

impl Net {
    pub(super) fn from_raw(net: *mut bindings::net) -> Self {
        Self(net)
    }

    pub(super) fn as_ptr(self) -> *mut bindings::net {
        self.0
    }

    /// From a register of a function that takes a `struct net *`.
    pub(super) fn from_argument(argument: usize) -> Self {
        Self(ptr::with_exposed_provenance_mut(argument))
    }

    /// The initial network namespace.
    pub(crate) fn initial() -> Self {
        Self(&raw mut bindings::init_net)
    }

    /// Whether that is an address of this node. Does not sleep.
    ///
    /// Only for requests that came in the namespace, which their transport pins.
    pub(crate) fn has(self, address: IpAddr) -> bool {
        // SAFETY: The namespace is alive. Both functions look under RCU.
        unsafe {
            match address {
                IpAddr::V4(v4) => {
                    bindings::rust_helper_net_has_ipv4(self.0, u32::from_ne_bytes(v4.octets()))
                }
                IpAddr::V6(v6) => bindings::rust_helper_net_has_ipv6(self.0, v6.octets().as_ptr()),
            }
        }
    }

    /// The stock question whether the namespace is in a grace period, hooks included.
    pub(crate) fn locks_in_grace(self) -> bool {
        // SAFETY: Whoever asks for another than the initial namespace holds a file of it open.
        unsafe { bindings::locks_in_grace(self.0) }
    }

    /// Has an empty text parsed as an address, hooks included. It is none.
    pub(crate) fn parse_empty_address(self) {
        // SAFETY: Nothing is read of a text of no bytes, nor written to a place of no size.
        unsafe { bindings::rpc_pton(self.0, c"".as_char_ptr(), 0, ptr::null_mut(), 0) };
    }
}

/// What log lines say about the namespace: nothing for the initial one.
impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::initial() {
            return Ok(());
        }
        // SAFETY: Units print their namespace, and `Exits` ends all units of a namespace before
        // its memory goes; and so do writes to a file of its nfsd filesystem, which pins it.
        let inum = unsafe { bindings::rust_helper_net_inum(self.0) };
        write!(f, " in net:[{inum}]")
    }
}

/// Who wants to know when a network namespace ends.
pub(crate) trait OnExit: 'static {
    /// Called when `net` is about to go. May sleep.
    fn on_exit(net: Net);
}

/// A subscription to the ends of network namespaces.
///
/// It is younger than lockd's and the grace list's own, so `T` hears of the end first
/// (`ops_undo_list()` goes through the operations in reverse).
///
/// # Invariants
///
/// `ops` is registered while the value lives; it is unregistered once, in `drop`.
#[pin_data(PinnedDrop)]
pub(crate) struct Exits<T: OnExit> {
    #[pin]
    ops: Opaque<bindings::pernet_operations>,
    _owner: PhantomData<T>,
}

// SAFETY: Nothing of the operations is accessed between registration and `drop`.
unsafe impl<T: OnExit> Send for Exits<T> {}
// SAFETY: As above.
unsafe impl<T: OnExit> Sync for Exits<T> {}

impl<T: OnExit> Exits<T> {
    /// Subscribes.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ops <- Opaque::try_ffi_init(|slot: *mut bindings::pernet_operations| {
                let ops = bindings::pernet_operations {
                    exit: Some(exit::<T>),
                    ..Default::default()
                };
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(ops) };
                // SAFETY: `slot` is initialised and pinned until `drop` unregisters it.
                to_result(unsafe { bindings::register_pernet_subsys(slot) })
            }),
            _owner: PhantomData,
        }? Error)
    }
}

#[pinned_drop]
impl<T: OnExit> PinnedDrop for Exits<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the operations are registered.
        unsafe { bindings::unregister_pernet_subsys(self.ops.get()) };
    }
}

/// # Safety
///
/// Only the network namespace code calls this, with a namespace that is going.
unsafe extern "C" fn exit<T: OnExit>(net: *mut bindings::net) {
    T::on_exit(Net(net));
}
