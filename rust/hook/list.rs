// SPDX-License-Identifier: GPL-2.0-only

//! All hooks, and whether they are called.

use super::{
    export, grace, nfs4, nlm, nsm,
    stock_release::{
        self,
        Stock, //
    },
};
use crate::sys::{
    fprobe::Probe,
    nfsd::{
        calls,
        name_calls,
        nfs4_calls, //
    }, //
};
use core::ptr;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    }, //
};

/// The hooks in place, for counting what they missed. Control files are removed before it goes.
static PLACED: Atomic<*const Hooks> = Atomic::new(ptr::null());

/// Declares [`Hooks`]: each hook is named once.
macro_rules! hooks {
    ($($field:ident: $hook:ty,)*) => {
        /// All hooks that judge requests and releases.
        #[pin_data(PinnedDrop)]
        pub(crate) struct Hooks {
            $(
                #[pin]
                $field: Probe<$hook>,
            )*
        }

        impl Hooks {
            /// Places all hooks, or none.
            pub(crate) fn new() -> impl PinInit<Self, Error> {
                try_pin_init!(Self {
                    $($field <- Probe::new(),)*
                }? Error)
            }

            fn missed(&self) -> usize {
                0 $(+ self.$field.missed())*
            }
        }
    };
}

hooks! {
    locks_in_grace: grace::LocksInGrace,
    opens_in_grace: grace::OpensInGrace,
    lookup_file: nlm::lookup::LookupFile,
    lock: nlm::outcome::Lock,
    unlock: nlm::outcome::Unlock,
    free_host: nlm::freed::FreeHost,
    match_sb: nlm::traverse::MatchSb,
    always_match: nlm::traverse::AlwaysMatch,
    match_ip: nlm::traverse::MatchIp,
    monitor: nsm::NsmMonitor,
    unmonitor: nsm::NsmUnmonitor,
    write_unlock_ip: Stock<calls::WriteUnlockIp>,
    pton: stock_release::RpcPton,
    write_unlock_fs: Stock<calls::WriteUnlockFs>,
    netlink_unlock_ip: Stock<calls::NetlinkUnlockIp>,
    netlink_unlock_fs: Stock<calls::NetlinkUnlockFs>,
    open: nfs4::outcome::Outcome<nfs4_calls::Open>,
    lock4: nfs4::outcome::Outcome<nfs4_calls::Lock>,
    find_export: export::FindExport,
    assign_client: export::AssignClient,
    check_open_reclaim: nfs4::reclaim::CheckOpenReclaim,
    get_vfs_file: nfs4::opening::Opening,
    open_delegation: nfs4::delegation::OpenDelegation,
    acquire_dir: nfs4::directory::Directory,
    unlink: nfs4::unnaming::Unnaming<name_calls::Unlink>,
    rename: nfs4::unnaming::Unnaming<name_calls::Rename>,
    reclaim_complete: nfs4::complete::Complete,
    exchange_id: nfs4::client::Name<nfs4_calls::ExchangeId>,
    setclientid: nfs4::client::Name<nfs4_calls::SetClientId>,
    set_client: nfs4::client::SetClient,
    nfs4_shutdown: nfs4::shutdown::Shutdown,
    revoke_states: nfs4::revoke::Revoke<nfs4_calls::RevokeStates>,
    revoke_export_states: nfs4::revoke::Revoke<nfs4_calls::RevokeExportStates>,
}

impl Hooks {
    /// Makes the hooks known, after checking that the kernel calls them.
    pub(crate) fn check(self: Pin<&Self>) -> Result {
        if !live() {
            pr_err!("hooks are not called; is kernel.ftrace_enabled 0?\n");
            return Err(ENODEV);
        }
        PLACED.store(ptr::from_ref(self.get_ref()), Release);
        Ok(())
    }
}

#[pinned_drop]
impl PinnedDrop for Hooks {
    fn drop(self: Pin<&mut Self>) {
        PLACED.store(ptr::null(), Release);
    }
}

/// Number of calls that could not be judged.
///
/// Only control files may ask.
pub(crate) fn missed() -> usize {
    // SAFETY: Control files exist only while the hooks are in place.
    unsafe { PLACED.load(Acquire).as_ref() }.map_or(0, Hooks::missed)
}

/// Whether hooks are being called: the kernel can stop them all at once
/// (`kernel.ftrace_enabled`, or ftrace giving up on itself). Those that only run when a function is
/// entered are called another way than the others, so one of each kind is tried. May sleep.
pub(crate) fn live() -> bool {
    grace::live() && stock_release::live()
}
