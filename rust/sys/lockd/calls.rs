// SPDX-License-Identifier: GPL-2.0-only

//! The functions of lockd that are hooked: what their arguments and results are.
//!
//! Lifetimes: whoever calls one of them has pinned what it passes until the function has returned.
//! Who declares a function otherwise than the lines below say changes this file, and no other.
//!
//! C header: `fs/lockd/lockd.h`

use crate::{
    policy::outcome::Outcome,
    sys::{
        address,
        fprobe::{
            functions,
            Entry,
            Exit, //
        },
        lockd::{
            file::File,
            host::Host,
            nsm::Taken,
            traversal::Traversal, //
        },
    },
};
use core::{
    marker::PhantomData,
    net::IpAddr,
    ptr, //
};
use kernel::prelude::*;

/// `nlm_granted`.
const GRANTED: u32 = 0;

/// `NLM_LCK_BLOCKED`.
const BLOCKED: u32 = 3u32.to_be();

/// `NLM_LCK_DENIED_GRACE_PERIOD`.
const DENIED_GRACE_PERIOD: u32 = 4u32.to_be();

/// An access mode that `nlm_do_fopen()` has no file for, so that it opens none and fails.
const OPEN_NOTHING: usize = 3;

functions! {
    /// `nlm_lookup_file(rqstp, result, lock, mode)`.
    LookupFile, c"nlm_lookup_file";
    /// `nlmsvc_lock(rqstp, file, host, lock, wait, cookie, reclaim)`.
    Lock, c"nlmsvc_lock";
    /// `nlmsvc_unlock(net, file, lock)`.
    Unlock, c"nlmsvc_unlock";
    /// `nlmsvc_free_host_resources(host)`.
    FreeHostResources, c"nlmsvc_free_host_resources";
    /// `nlmsvc_match_sb(data, file)`.
    MatchSb, c"nlmsvc_match_sb";
    /// `nlmsvc_always_match(host, data)`.
    AlwaysMatch, c"nlmsvc_always_match";
    /// `nlmsvc_match_ip(host, address)`.
    MatchIp, c"nlmsvc_match_ip";
    /// `nsm_monitor(host)`.
    NsmMonitor, c"nsm_monitor";
    /// `nsm_unmonitor(host)`.
    NsmUnmonitor, c"nsm_unmonitor";
}

/// Where a look-up puts the file that it has opened. It does not leave the task, whose call it is of.
#[derive(Clone, Copy)]
pub(crate) struct Slot(usize, PhantomData<*mut ()>);

impl Entry<'_, LookupFile> {
    /// Where the file will be.
    pub(crate) fn slot(&self) -> Slot {
        Slot(self.argument(1), PhantomData)
    }

    /// Has the function open nothing and fail.
    pub(crate) fn open_nothing(&self) {
        self.set_argument(3, OPEN_NOTHING);
    }
}

impl Exit<'_, LookupFile> {
    /// Whether a file was opened.
    pub(crate) fn has_opened(&self) -> bool {
        self.value() as u32 == GRANTED
    }

    /// The file that was opened, if one was, by the slot of the same call.
    pub(crate) fn file(&self, slot: Slot) -> Option<File<'_>> {
        if !self.has_opened() {
            return None;
        }
        // SAFETY: The look-up succeeded, so it put a file there that it pinned for its caller, which
        // has not got it yet.
        unsafe { File::from_result(slot.0) }
    }

    /// Has the client wait, or a reclaim be refused.
    pub(crate) fn deny(&self) {
        self.set_value(DENIED_GRACE_PERIOD as usize);
    }
}

impl Entry<'_, Lock> {
    /// The file of the lock.
    pub(crate) fn file(&self) -> Option<File<'_>> {
        // SAFETY: By the type invariants it is the file that the caller has pinned.
        unsafe { File::from_argument(self.argument(1)) }
    }
}

impl Exit<'_, Lock> {
    /// How it ended.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.value() as u32 {
            GRANTED => Outcome::Granted,
            BLOCKED => Outcome::Blocked,
            _ => Outcome::Refused,
        }
    }

    /// The client has the lock, and is told so.
    pub(crate) fn grant(&self) {
        self.set_value(GRANTED as usize);
    }
}

impl Entry<'_, FreeHostResources> {
    /// The client.
    pub(crate) fn host(&self) -> Host<'_> {
        // SAFETY: By the type invariants it is the host that the caller has pinned.
        unsafe { Host::from_argument(self.argument(0)) }
    }
}

impl Entry<'_, MatchSb> {
    /// The traversal, if it is one of ours.
    pub(crate) fn traversal(&self) -> Option<&Traversal<'_>> {
        // SAFETY: By the type invariants it is the data of a traversal of lockd's.
        unsafe { Traversal::from_argument(self.argument(0)) }
    }

    /// The file that it is about.
    pub(crate) fn file(&self) -> Option<File<'_>> {
        // SAFETY: By the type invariants it is the file that the traversal has pinned.
        unsafe { File::from_argument(self.argument(1)) }
    }

    /// Has the predicate find that the file is on the superblock that is looked for.
    pub(crate) fn match_file(&self, file: &File<'_>) {
        if let Some(superblock) = file.superblock() {
            self.set_argument(0, superblock);
        }
    }
}

impl Entry<'_, AlwaysMatch> {
    /// The host that something belongs to.
    pub(crate) fn host(&self) -> Host<'_> {
        // SAFETY: By the type invariants it is the host of what the traversal is at.
        unsafe { Host::from_argument(self.argument(0)) }
    }

    /// The traversal, if it is one of ours.
    pub(crate) fn traversal(&self) -> Option<&Traversal<'_>> {
        // SAFETY: By the type invariants it is the data of a traversal of lockd's.
        unsafe { Traversal::from_argument(self.argument(1)) }
    }

    /// Who asks: it tells what is asked about.
    pub(crate) fn asked_from(&self) -> usize {
        self.caller()
    }
}

impl Exit<'_, AlwaysMatch> {
    /// Has the answer be no.
    pub(crate) fn deny(&self) {
        self.set_value(0);
    }
}

impl Entry<'_, MatchIp> {
    /// The host that something belongs to.
    pub(crate) fn host(&self) -> Host<'_> {
        // SAFETY: By the type invariants it is the host of what the traversal is at.
        unsafe { Host::from_argument(self.argument(0)) }
    }

    /// The address of the server whose clients are looked for.
    pub(crate) fn server(&self) -> Option<IpAddr> {
        let address = ptr::with_exposed_provenance(self.argument(1));
        // SAFETY: By the type invariants it is the address that a stock release was given, which nfsd
        // has made or checked.
        unsafe { address::of_any(address) }
    }
}

impl Exit<'_, MatchIp> {
    /// Has the answer be no.
    pub(crate) fn deny(&self) {
        self.set_value(0);
    }
}

impl Entry<'_, NsmMonitor> {
    /// The client.
    pub(crate) fn host(&self) -> Host<'_> {
        // SAFETY: By the type invariants it is the host that the caller has pinned.
        unsafe { Host::from_argument(self.argument(0)) }
    }

    /// Gives the function a stand-in instead.
    pub(crate) fn replace_host(&self, taken: &Taken) {
        self.set_argument(0, taken.argument());
    }
}

impl Exit<'_, NsmMonitor> {
    /// Whether the client is monitored.
    pub(crate) fn succeeded(&self) -> bool {
        self.value() as c_int == 0
    }

    /// Has the client get no lock.
    pub(crate) fn fail(&self, error: Error) {
        self.set_value(error.to_errno() as usize);
    }
}

impl Entry<'_, NsmUnmonitor> {
    /// The client.
    pub(crate) fn host(&self) -> Host<'_> {
        // SAFETY: By the type invariants it is the host that the caller is about to free.
        unsafe { Host::from_argument(self.argument(0)) }
    }

    /// Gives the function a stand-in instead.
    pub(crate) fn replace_host(&self, taken: &Taken) {
        self.set_argument(0, taken.argument());
    }
}
