// SPDX-License-Identifier: GPL-2.0-only

//! Failover of single filesystems and floating addresses between Linux NFS servers.
//!
//! `policy` decides, `sys` is the door to C, `unit` keeps the active units,
//! `ledger` lists what they held,
//! `monitor` the floating addresses, `hook` adjusts what
//! lockd and nfsd do, `control` is the interface. See `Documentation/design.rst`.

// Kbuild names a crate after its file.
#![crate_name = "nfs_failover"]

mod bindings;
mod control;
mod hook;
mod ledger;
mod monitor;
pub mod policy;
mod sys;
mod unit;

use crate::{
    control::mount::FillSuper,
    hook::Hooks,
    monitor::Monitor,
    sys::{
        fprobe::Probe,
        module_ref::NfsdType,
        net::Exits,
        nfsd::fs::Files,
        since::Since,
        symbol,
        watchers::Watchers, //
    },
    unit::expiry::{
        NetExit,
        Registry, //
    },
};
use kernel::prelude::*;

module! {
    type: NfsFailover,
    name: "nfs_failover",
    authors: ["nfs-failover maintainers"],
    description: "Failover of single filesystems between NFS servers, with their locks",
    license: "GPL v2",
}

/// The module. Fields are dropped in the order they are declared: nobody adds control files, they
/// go, the hooks go, then what hooks and control files use.
#[pin_data]
struct NfsFailover {
    #[pin]
    mounts: Probe<FillSuper>,
    files: Files,
    #[pin]
    hooks: Hooks,
    #[pin]
    exits: Exits<NetExit>,
    #[pin]
    address_exits: Exits<monitor::NetExit>,
    monitor: Monitor,
    registry: Registry,
    _watchers: Watchers,
    #[pin]
    since: Since,
    /// Before anything else is hooked, so that nfsd is there.
    _nfsd: NfsdType,
}

impl kernel::InPlaceModule for NfsFailover {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // A field that fails has those before it dropped in reverse.
        try_pin_init!(Self {
            _nfsd: NfsdType::get().and_then(|nfsd| {
                symbol::find_all(&nfsd)?;
                Ok(nfsd)
            })?,
            since <- Since::new(),
            _watchers: Watchers::new()?,
            // SAFETY: Module init runs once.
            registry: unsafe { Registry::new() }?,
            // SAFETY: As above.
            monitor: unsafe { Monitor::new() },
            exits <- Exits::new(),
            address_exits <- Exits::new(),
            hooks <- Hooks::new(),
            _: {
                hooks.as_ref().check()?;
            },
            files: Files::new(NfsdType::get()?, control::FILES),
            mounts <- Probe::new(),
            _: {
                files.create()?;
                pr_info!("loaded\n");
            },
        }? Error)
    }
}
