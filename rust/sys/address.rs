// SPDX-License-Identifier: GPL-2.0-only

//! Addresses of peers and servers.
//!
//! C header: [`include/linux/socket.h`](srctree/include/linux/socket.h)

use crate::{
    bindings,
    policy, //
};
use core::net::IpAddr;

/// The address in a `struct sockaddr_storage`, [`None`] if it holds none of the internet.
pub(super) fn of(storage: &bindings::__kernel_sockaddr_storage) -> Option<IpAddr> {
    // SAFETY: A `sockaddr_storage` is large and aligned enough for every family.
    unsafe { of_any((&raw const *storage).cast()) }
}

/// The address in a `struct sockaddr`, [`None`] if it holds none of the internet.
///
/// # Safety
///
/// `address` must point to one of the family that it says, and as large as that is.
pub(super) unsafe fn of_any(address: *const bindings::sockaddr) -> Option<IpAddr> {
    // SAFETY: By the safety requirements; the family tells which one it is.
    unsafe {
        match u32::from((*address).sa_family) {
            bindings::AF_INET => {
                let v4 = &*address.cast::<bindings::sockaddr_in>();
                Some(IpAddr::from(v4.sin_addr.s_addr.to_ne_bytes()))
            }
            bindings::AF_INET6 => {
                let v6 = &*address.cast::<bindings::sockaddr_in6>();
                Some(policy::address::from_v6(v6.sin6_addr.in6_u.u6_addr8))
            }
            _ => None,
        }
    }
}
