// SPDX-License-Identifier: GPL-2.0-only

//! What lockd tells statd of its clients.
//!
//! `nsm_monitor(host)` and `nsm_unmonitor(host)` (`fs/lockd/mon.c`) read `net` and `nodename` of
//! the host, and everything else from its `h_nsmhandle`, which all hosts of a client share. They
//! write nothing but `sm_monitored` and `sm_mon_name` of the handle. Both are given a stand-in
//! here: a copy of the host that bears the name of an address, with a copy of its handle, so that
//! one client can be monitored once for each address it uses.
//!
//! The host is pinned by the caller of either function, and pins its handle. Those of the
//! handle's fields that are copied are constant, but for `sm_sticky`, of which an old value may
//! be seen. lockd's thread alone monitors clients, and `nlm_host_mutex` is held where they are
//! unmonitored; if that should change, whoever comes second finds the stand-in taken.
//!
//! Either function sleeps until statd has answered, and a stand-in is memory of this module, which
//! unregistering a hook would not keep. So whoever hands one out holds the module until the
//! function has returned.
//!
//! C header: `fs/lockd/lockd.h`

use crate::{
    bindings,
    sys::{
        lockd::host::Host,
        module_ref::ThisModule, //
    },
};
use core::{
    cell::UnsafeCell,
    fmt,
    mem::MaybeUninit,
    net::IpAddr, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
};

/// What a function is given in place of a host.
struct StandIn {
    taken: Atomic<i32>,
    host: UnsafeCell<MaybeUninit<bindings::nlm_host>>,
    handle: UnsafeCell<MaybeUninit<bindings::nsm_handle>>,
}

// SAFETY: What is in the cells is accessed by whoever took the stand-in, and by nobody else.
unsafe impl Sync for StandIn {}

impl StandIn {
    const fn new() -> Self {
        Self {
            taken: Atomic::new(0),
            host: UnsafeCell::new(MaybeUninit::zeroed()),
            handle: UnsafeCell::new(MaybeUninit::zeroed()),
        }
    }

    /// Makes it stand in for `host` under the name of `server`.
    fn take(
        &'static self,
        host: &Host<'_>,
        server: IpAddr,
        monitored: bool,
        module: ThisModule,
    ) -> Result<Taken, ThisModule> {
        if self.taken.cmpxchg(0, 1, Acquire).is_err() {
            return Err(module);
        }
        let (copy, handle) = (self.host.get().cast(), self.handle.get().cast());
        // SAFETY: The host and its handle are pinned, and we are alone with the copies, which are
        // as large. What others change of the originals meanwhile nobody reads in the copies.
        unsafe {
            let host: *const bindings::nlm_host = host.as_ptr();
            host.copy_to_nonoverlapping(copy, 1);
            (*host).h_nsmhandle.copy_to_nonoverlapping(handle, 1);
            Self::rename(&mut *copy, server);
            (*copy).h_nsmhandle = handle;
            (*handle).set_sm_monitored(monitored.into());
            // `nsm_monitor()` sets it, but never saw the original.
            (*handle).sm_mon_name = match BY_NAME.load(Relaxed) {
                0 => (&raw mut (*handle).sm_addrbuf).cast(),
                _ => (*handle).sm_name,
            };
            // It is unmonitored for the last of its hosts only, whatever others there are.
            bindings::refcount_set(&raw mut (*handle).sm_count, 1);
        }
        Ok(self.hand_out(module, true))
    }

    // INVARIANT: The reference to the module is the one that is passed on.
    fn hand_out(&'static self, module: ThisModule, is_copy: bool) -> Taken {
        module.keep();
        Taken {
            stand_in: self,
            is_copy,
        }
    }

    fn rename(host: &mut bindings::nlm_host, server: IpAddr) {
        let mut name = Name {
            bytes: &mut host.nodename,
            len: 0,
        };
        // An address is at most 39 characters long, and there is room for 64.
        let _ = fmt::write(&mut name, format_args!("{server}"));
        let end = name.len;
        host.nodename[end..].fill(0);
    }
}

struct Name<'a> {
    bytes: &'a mut [c_char],
    len: usize,
}

impl fmt::Write for Name<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let free = &mut self.bytes[self.len..];
        if part.len() >= free.len() {
            return Err(fmt::Error);
        }
        for (to, from) in free.iter_mut().zip(part.bytes()) {
            *to = from as c_char;
        }
        self.len += part.len();
        Ok(())
    }
}

/// Not 0 if clients were last monitored by their name (`nsm_use_hostnames`).
static BY_NAME: Atomic<i32> = Atomic::new(0);

static MONITOR: StandIn = StandIn::new();
static UNMONITOR: StandIn = StandIn::new();
/// A host that is monitored, and one that is not, so that nothing is to be done for them.
static MONITORED: StandIn = StandIn::new();
static UNMONITORED: StandIn = StandIn::new();

/// Prepares the stand-ins.
///
/// # Safety
///
/// Must be called once, before anything else of this file.
pub(crate) unsafe fn init() {
    for (stand_in, monitored) in [(&MONITORED, true), (&UNMONITORED, false)] {
        // SAFETY: By the safety requirements nobody uses them yet; all zeroes is a valid value of
        // both structures.
        unsafe {
            let handle = stand_in.handle.get().cast::<bindings::nsm_handle>();
            (*handle).set_sm_monitored(monitored.into());
            let host = stand_in.host.get().cast::<bindings::nlm_host>();
            (*host).h_nsmhandle = handle;
        }
    }
}

/// A stand-in that a function is working on.
///
/// # Invariants
///
/// A reference to this module is held until [`Taken::give_back`]. If it is a copy of a host, it is
/// nobody else's until then.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    stand_in: &'static StandIn,
    is_copy: bool,
}

impl Taken {
    /// For `nsm_monitor()`, to tell statd that `host` uses `server`. If the copy is in use, the
    /// function is to do nothing.
    pub(crate) fn to_monitor(host: &Host<'_>, server: IpAddr, module: ThisModule) -> Self {
        MONITOR
            .take(host, server, false, module)
            .unwrap_or_else(Self::monitored)
    }

    /// For `nsm_unmonitor()`, to tell statd that `host` does not use `server` any more. If the copy
    /// is in use, the function is to do nothing.
    pub(crate) fn to_unmonitor(host: &Host<'_>, server: IpAddr, module: ThisModule) -> Self {
        UNMONITOR
            .take(host, server, true, module)
            .unwrap_or_else(Self::unmonitored)
    }

    /// For `nsm_monitor()`, to do nothing and return 0.
    pub(crate) fn monitored(module: ThisModule) -> Self {
        MONITORED.hand_out(module, false)
    }

    /// For `nsm_unmonitor()`, to do nothing.
    pub(crate) fn unmonitored(module: ThisModule) -> Self {
        UNMONITORED.hand_out(module, false)
    }

    /// Whether the function was to tell statd.
    pub(crate) fn tells(&self) -> bool {
        self.is_copy
    }

    /// What the function gets as its argument.
    pub(super) fn argument(&self) -> usize {
        self.stand_in.host.get().expose_provenance()
    }

    /// Gives the stand-in back; the function has returned.
    pub(crate) fn give_back(self) {
        if self.is_copy {
            // SAFETY: By the type invariants it is ours until the last line.
            let handle = unsafe { &*self.stand_in.handle.get().cast::<bindings::nsm_handle>() };
            let by_name = handle.sm_mon_name == handle.sm_name;
            BY_NAME.store(by_name.into(), Relaxed);
            self.stand_in.taken.store(0, Release);
        }
        // SAFETY: By the type invariants there is one, and nothing uses it after this.
        unsafe { ThisModule::put_kept() };
    }
}
