// SPDX-License-Identifier: GPL-2.0-only

//! The hooks: each borrows what it is called with, asks the policy and applies the answer.

mod grace;
mod lookup;
mod monitor;
mod mount;
mod observe;
mod release;
mod traverse;

pub(crate) use mount::FillSuper;

use crate::{
    policy::verdict::{
        Request,
        Verdict, //
    },
    sys::{
        fprobe::Probe,
        net::Net,
        request::Current, //
    },
    unit::{
        self,
        device,
        Active,
        Unit, //
    }, //
};
use core::ptr;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        rcu, //
    }, //
};

/// What the units of its namespace make of the request that the current thread is serving.
struct Judged<'a> {
    request: Request<'a>,
    verdict: Verdict,
    unit: Option<&'a Unit>,
}

/// Calls `f` with the current request, if there is one and a unit that could be concerned.
fn asked<R>(f: impl FnOnce(Net, &Active<'_>, Request<'_>) -> R) -> Option<R> {
    let guard = rcu::read_lock();
    if !unit::any(&guard) {
        return None;
    }
    Current::with(|current| {
        let net = current.net();
        let active = unit::active(net, &guard)?;
        let request = current.describe(|handle| {
            active
                .names_devices()
                .then(|| device::find(net, handle))
                .flatten()
        })?;
        Some(f(net, &active, request))
    })
    .flatten()
}

/// Has the current request judged, if there is one and a unit that could be concerned.
fn judged<R>(f: impl FnOnce(&Judged<'_>) -> R) -> Option<R> {
    asked(|_, active, request| {
        let (verdict, unit) = active.judge(&request);
        f(&Judged {
            request,
            verdict,
            unit,
        })
    })
}

/// The hooks in place, for counting what they missed. Control files are removed before it goes.
static PLACED: Atomic<*const Hooks> = Atomic::new(ptr::null());

/// All hooks that judge requests and releases.
#[pin_data(PinnedDrop)]
pub(crate) struct Hooks {
    #[pin]
    locks_in_grace: Probe<grace::LocksInGrace>,
    #[pin]
    opens_in_grace: Probe<grace::OpensInGrace>,
    #[pin]
    lookup_file: Probe<lookup::LookupFile>,
    #[pin]
    lock: Probe<observe::Lock>,
    #[pin]
    unlock: Probe<observe::Unlock>,
    #[pin]
    match_sb: Probe<traverse::MatchSb>,
    #[pin]
    always_match: Probe<traverse::AlwaysMatch>,
    #[pin]
    match_ip: Probe<traverse::MatchIp>,
    #[pin]
    monitor: Probe<monitor::NsmMonitor>,
    #[pin]
    unmonitor: Probe<monitor::NsmUnmonitor>,
    #[pin]
    write_unlock_ip: Probe<release::WriteUnlockIp>,
    #[pin]
    pton: Probe<release::RpcPton>,
    #[pin]
    write_unlock_fs: Probe<release::WriteUnlockFs>,
    #[pin]
    netlink_unlock_ip: Probe<release::NetlinkUnlockIp>,
    #[pin]
    netlink_unlock_fs: Probe<release::NetlinkUnlockFs>,
}

impl Hooks {
    /// Places all hooks, or none.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            locks_in_grace <- Probe::new(),
            opens_in_grace <- Probe::new(),
            lookup_file <- Probe::new(),
            lock <- Probe::new(),
            unlock <- Probe::new(),
            match_sb <- Probe::new(),
            always_match <- Probe::new(),
            match_ip <- Probe::new(),
            monitor <- Probe::new(),
            unmonitor <- Probe::new(),
            write_unlock_ip <- Probe::new(),
            pton <- Probe::new(),
            write_unlock_fs <- Probe::new(),
            netlink_unlock_ip <- Probe::new(),
            netlink_unlock_fs <- Probe::new(),
        }? Error)
    }

    /// Makes the hooks known, after checking that the kernel calls them.
    pub(crate) fn check(self: Pin<&Self>) -> Result {
        if !live() {
            pr_err!("hooks are not called; is kernel.ftrace_enabled 0?\n");
            return Err(ENODEV);
        }
        PLACED.store(ptr::from_ref(self.get_ref()), Release);
        Ok(())
    }

    fn missed(&self) -> usize {
        self.locks_in_grace.missed()
            + self.opens_in_grace.missed()
            + self.lookup_file.missed()
            + self.lock.missed()
            + self.unlock.missed()
            + self.match_sb.missed()
            + self.always_match.missed()
            + self.match_ip.missed()
            + self.monitor.missed()
            + self.unmonitor.missed()
            + self.write_unlock_ip.missed()
            + self.pton.missed()
            + self.write_unlock_fs.missed()
            + self.netlink_unlock_ip.missed()
            + self.netlink_unlock_fs.missed()
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
/// (`kernel.ftrace_enabled`, or ftrace giving up on itself).
pub(crate) fn live() -> bool {
    grace::live()
}
