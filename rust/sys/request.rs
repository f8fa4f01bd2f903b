// SPDX-License-Identifier: GPL-2.0-only

//! The request the current thread is serving.
//!
//! Threads of lockd and nfsd are created with their `struct svc_rqst` as data
//! (`svc_new_thread()`, `net/sunrpc/svc.c`), so a handler that runs in one finds the request it
//! works on. The request, its decoded arguments and its result belong to the thread and are
//! stable while it runs one procedure; so is the namespace, which the transport pins.
//! Everybody else who asks for a grace period (workqueues, callback threads, control files) is no
//! request and gets the stock answer.
//!
//! C header: [`include/linux/sunrpc/svc.h`](srctree/include/linux/sunrpc/svc.h)

use crate::{
    bindings,
    policy::{
        fsid::{
            Dev,
            HandleFsid, //
        },
        nfs4::{
            Course,
            Operation, //
        },
        nlm,
        verdict::{
            Request,
            What, //
        },
    },
    sys::{
        address,
        lockd::{
            args,
            host, //
        },
        net::Net,
        nfsd::compound,
        symbol::{
            LOCKD,
            NFSD, //
        },
    },
};
use core::net::IpAddr;

/// ONC RPC program number of NFS.
const NFS_PROGRAM: u32 = 100_003;

/// The service a thread works for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Lockd,
    Nfsd,
}

/// The request of the current thread.
///
/// # Invariants
///
/// The reference is to the request of the current thread, which is running one of the service's
/// procedures: arguments and result are those of `rq_prog`, `rq_vers` and `rq_proc`.
pub(crate) struct Current<'a> {
    rqst: &'a bindings::svc_rqst,
    service: Service,
}

/// Whether the current thread is lockd's, and serves a client: it is not stopping.
///
/// Only hooks of functions that lockd calls may use this.
pub(crate) fn lockd_serves() -> bool {
    let serves = Current::with(|current| {
        // SAFETY: The request lives as long as the thread; nothing else of it is looked at.
        let stops = unsafe { bindings::rust_helper_svc_is_stopping(current.rqst) };
        current.service == Service::Lockd && !stops
    });
    serves.unwrap_or(false)
}

/// The namespace in which the request of the current thread came, and the server address that the client
/// used. They are known before its procedure is, and whether the client may ask anything.
///
/// Only hooks of functions that service threads call while they process a request may use this.
pub(crate) fn arrival() -> Option<(Net, Option<IpAddr>)> {
    Current::with(|current| (current.net(), current.server()))
}

impl<'a> Current<'a> {
    /// Calls `f` with the request that the current thread is serving, if it is serving one.
    ///
    /// Only hooks of functions that service procedures call may use this.
    pub(crate) fn with<R>(f: impl FnOnce(&Current<'_>) -> R) -> Option<R> {
        // SAFETY: The current task is alive; `kthread_func()` copes with tasks that are no
        // kernel thread.
        let function = unsafe { bindings::kthread_func(bindings::get_current()) } as usize;
        let service = if LOCKD.is(function) {
            Service::Lockd
        } else if NFSD.is(function) {
            Service::Nfsd
        } else {
            return None;
        };
        // SAFETY: The thread functions of lockd and nfsd get their request as data. It lives as
        // long as the thread, and `f` cannot keep the reference.
        let rqst = unsafe {
            bindings::kthread_data(bindings::get_current())
                .cast::<bindings::svc_rqst>()
                .as_ref()
        }?;
        // INVARIANT: The caller runs inside a procedure of this thread.
        Some(f(&Current { rqst, service }))
    }

    /// The network namespace the request came in.
    pub(crate) fn net(&self) -> Net {
        // SAFETY: By the type invariants the request is valid.
        Net::from_raw(unsafe { bindings::rust_helper_svc_net(self.rqst) })
    }

    /// Whether the client gives up all it had: by its address, or by this host only. [`None`] if it
    /// does not.
    pub(crate) fn gives_up_all(&self) -> Option<bool> {
        match (self.service, self.rqst.rq_prog) {
            (Service::Lockd, nlm::PROGRAM) => nlm::gives_up_all(self.rqst.rq_proc),
            _ => None,
        }
    }

    /// The server address that the client used.
    pub(crate) fn server(&self) -> Option<IpAddr> {
        address::of(&self.rqst.rq_daddr)
    }

    /// NFSv4 has no other procedure that runs into a hook.
    fn is_compound(&self) -> bool {
        self.service == Service::Nfsd && self.rqst.rq_prog == NFS_PROGRAM && self.rqst.rq_vers == 4
    }

    /// The operation of NFSv4 that it is at, if it is of NFSv4.
    pub(crate) fn operation(&self) -> Option<Operation> {
        if !self.is_compound() {
            return None;
        }
        // SAFETY: By the type invariants it is running.
        Some(unsafe { compound::operation(self.rqst) })
    }

    /// What becomes of the OPEN or LOCK that it is at, which is a reclaim.
    pub(crate) fn set_course(&self, course: Course) {
        if self.is_compound() {
            // SAFETY: By the type invariants it is running.
            unsafe { compound::set_course(self.rqst, course) };
        }
    }

    /// What became of it.
    pub(crate) fn course(&self) -> Course {
        match self.is_compound() {
            // SAFETY: By the type invariants it is running.
            true => unsafe { compound::course(self.rqst) },
            false => Course::AsIs,
        }
    }

    /// What the policy needs to know; [`None`] if the policy does not care.
    ///
    /// `dev_of` maps the filesystem part of a file handle to its device, where that is known.
    pub(crate) fn describe(
        &self,
        dev_of: impl FnOnce(&HandleFsid) -> Option<Dev>,
    ) -> Option<Request<'a>> {
        let (op, handle, dev, what, name) = match (self.service, self.rqst.rq_prog) {
            (Service::Lockd, nlm::PROGRAM) => {
                // SAFETY: By the type invariants one of its procedures is running.
                let (op, handle, what, name) = unsafe { args::asked(self.rqst) }?;
                let handle = HandleFsid::decode(handle);
                (op, handle, handle.as_ref().and_then(dev_of), what, name)
            }
            _ if self.is_compound() => {
                // SAFETY: As above.
                let asked = unsafe { compound::asked(self.rqst) }?;
                let (handle, dev) = asked.filesystem;
                let what = What::Nfs4(asked.target, asked.file);
                (asked.op, handle, Some(dev), what, asked.client)
            }
            _ => return None,
        };
        Some(Request {
            op,
            handle,
            dev,
            server: self.server(),
            client: address::of(&self.rqst.rq_addr),
            transport: host::transport(self.rqst.rq_prot, self.rqst.rq_vers),
            name,
            what,
        })
    }
}
