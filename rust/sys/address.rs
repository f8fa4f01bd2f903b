// SPDX-License-Identifier: GPL-2.0-only

//! Addresses of peers and servers.
//!
//! C header: [`include/linux/socket.h`](srctree/include/linux/socket.h)

use crate::{
    bindings,
    policy::address, //
};
use core::net::IpAddr;

/// The address in a `struct sockaddr_storage`, [`None`] if it holds none of the internet.
pub(super) fn of(storage: &bindings::__kernel_sockaddr_storage) -> Option<IpAddr> {
    let storage = &raw const *storage;
    // SAFETY: A `sockaddr_storage` is large and aligned enough for every family, and the family
    // tells which one it holds.
    unsafe {
        match u32::from((*storage.cast::<bindings::sockaddr>()).sa_family) {
            bindings::AF_INET => {
                let v4 = &*storage.cast::<bindings::sockaddr_in>();
                Some(IpAddr::from(v4.sin_addr.s_addr.to_ne_bytes()))
            }
            bindings::AF_INET6 => {
                let v6 = &*storage.cast::<bindings::sockaddr_in6>();
                Some(address::from_v6(v6.sin6_addr.in6_u.u6_addr8))
            }
            _ => None,
        }
    }
}
