// SPDX-License-Identifier: GPL-2.0-only

//! lockd's hosts: the clients it serves, and the servers it is a client of.
//!
//! Lifetimes, from `fs/lockd/host.c`: a host is pinned by `h_count`, which whoever lends it to us
//! has raised. Its names and addresses never change.
//!
//! C header: `fs/lockd/lockd.h`

use crate::{
    bindings,
    policy::state::client::{
        self,
        Transport, //
    },
    sys::{
        address,
        net::Net, //
    },
};
use core::{
    net::{
        IpAddr,
        Ipv4Addr, //
    },
    ptr, //
};
use kernel::prelude::*;

/// A client, as lockd knows it: by its address, the server's and more.
#[derive(Clone, Copy)]
pub(crate) struct Host<'a>(pub(super) &'a bindings::nlm_host);

impl<'a> Host<'a> {
    /// Borrows a `struct nlm_host *` argument.
    ///
    /// # Safety
    ///
    /// `argument` must point to a `struct nlm_host` that is pinned for `'a`.
    pub(super) unsafe fn from_argument(argument: usize) -> Self {
        // SAFETY: By the safety requirements.
        Self(unsafe { &*ptr::with_exposed_provenance::<bindings::nlm_host>(argument) })
    }

    /// Its network namespace.
    pub(crate) fn net(&self) -> Net {
        Net::from_raw(self.0.net)
    }

    /// Whether it is a client of ours; if not, it is a server that we are a client of.
    pub(crate) fn is_client(&self) -> bool {
        self.0.h_server() != 0
    }

    pub(super) fn as_ptr(&self) -> *const bindings::nlm_host {
        self.0
    }

    /// What tells hosts apart while they are pinned.
    pub(crate) fn id(&self) -> usize {
        ptr::from_ref(self.0).addr()
    }

    /// The address of the client.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        address::of(&self.0.h_addr)
    }

    /// The address of the server that the client used.
    pub(crate) fn server(&self) -> Option<IpAddr> {
        address::of(&self.0.h_srcaddr)
    }

    /// What tells it from all other hosts.
    pub(crate) fn identity(&self) -> client::Host {
        client::Host {
            // lockd serves nothing but the two families of the internet.
            client: self.client().unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            transport: transport(self.0.h_proto.into(), self.0.h_version),
            server: self.server(),
        }
    }

    /// What the client calls itself.
    pub(crate) fn name(&self) -> &'a [u8] {
        if self.0.h_name.is_null() {
            return &[];
        }
        // SAFETY: `h_name` is a C string that lives as long as the host.
        unsafe { CStr::from_char_ptr(self.0.h_name) }.to_bytes()
    }
}

/// From a protocol of IP and a version of NLM.
pub(in crate::sys) fn transport(protocol: u32, version: u32) -> Transport {
    Transport {
        udp: protocol == bindings::NFS_FAILOVER_IPPROTO_UDP,
        version: version as u8,
    }
}
