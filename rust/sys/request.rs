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
        address,
        fsid::{
            Dev,
            HandleFsid, //
        },
        nlm,
        verdict::{
            Op,
            Request, //
        }, //
    },
    sys::{
        net::Net,
        symbol::Symbol, //
    },
};
use core::{
    net::IpAddr,
    slice, //
};

static LOCKD: Symbol = Symbol::new(b"lockd+0x0/", b" [lockd]");
static NFSD: Symbol = Symbol::new(b"nfsd+0x0/", b" [nfsd]");

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

    /// What the policy needs to know; [`None`] if the policy does not care.
    ///
    /// `dev_of` maps the filesystem part of a file handle to its device, where that is known.
    pub(crate) fn describe(
        &self,
        dev_of: impl FnOnce(&HandleFsid) -> Option<Dev>,
    ) -> Option<Request> {
        let (op, handle, dev) = match (self.service, self.rqst.rq_prog) {
            (Service::Lockd, nlm::PROGRAM) => {
                let (op, handle) = self.nlm()?;
                let handle = HandleFsid::decode(handle);
                (op, handle, handle.as_ref().and_then(dev_of))
            }
            (Service::Nfsd, NFS_PROGRAM) if self.rqst.rq_vers == 4 => self.nfs4()?,
            _ => return None,
        };
        Some(Request {
            op,
            handle,
            dev,
            server: self.server(),
        })
    }

    /// The server address the client used.
    fn server(&self) -> Option<IpAddr> {
        let address = &raw const self.rqst.rq_daddr;
        // SAFETY: A `sockaddr_storage` is large and aligned enough for every family, and the
        // family tells which one it holds.
        unsafe {
            match u32::from((*address.cast::<bindings::sockaddr>()).sa_family) {
                bindings::AF_INET => {
                    let v4 = &*address.cast::<bindings::sockaddr_in>();
                    Some(IpAddr::from(v4.sin_addr.s_addr.to_ne_bytes()))
                }
                bindings::AF_INET6 => {
                    let v6 = &*address.cast::<bindings::sockaddr_in6>();
                    Some(address::from_v6(v6.sin6_addr.in6_u.u6_addr8))
                }
                _ => None,
            }
        }
    }

    /// What an NLM request asks for, and the handle of the file.
    fn nlm(&self) -> Option<(Op, &[u8])> {
        let args = nlm::Args::of(self.rqst.rq_proc)?;
        let argp = self.rqst.rq_argp;
        // SAFETY: By the type invariants `argp` holds the decoded arguments of the procedure. The
        // wrappers of lockd have the XDR type first (asserted in `svcproc.c`, `svc4proc.c`).
        let (handle, reclaim) = unsafe {
            match (self.rqst.rq_vers, args) {
                (_, nlm::Args::Release) => return Some((args.op(false), &[])),
                (4, nlm::Args::Test) => {
                    (&(*argp.cast::<bindings::nlm4_testargs>()).alock.fh, false)
                }
                (4, nlm::Args::Lock) => {
                    let args = &*argp.cast::<bindings::nlm4_lockargs>();
                    (&args.alock.fh, args.reclaim)
                }
                (4, nlm::Args::Share) => {
                    let args = &*argp.cast::<bindings::nlm4_shareargs>();
                    (&args.share.fh, args.reclaim)
                }
                (1 | 3, nlm::Args::Test) => {
                    (&(*argp.cast::<bindings::nlm_testargs>()).alock.fh, false)
                }
                (1 | 3, nlm::Args::Lock) => {
                    let args = &*argp.cast::<bindings::nlm_lockargs>();
                    (&args.alock.fh, args.reclaim)
                }
                (1 | 3, nlm::Args::Share) => {
                    let args = &*argp.cast::<bindings::nlm_shareargs>();
                    (&args.share.fh, args.reclaim)
                }
                _ => return None,
            }
        };
        let handle = if handle.data.is_null() {
            &[]
        } else {
            // SAFETY: A decoded `netobj` points to `len` bytes of the request.
            unsafe { slice::from_raw_parts(handle.data, handle.len as usize) }
        };
        Some((args.op(reclaim), handle))
    }

    /// What the operation an NFSv4 COMPOUND is at asks for, and the filesystem it works on.
    fn nfs4(&self) -> Option<(Op, Option<HandleFsid>, Option<Dev>)> {
        let mut reclaim = false;
        // SAFETY: By the type invariants argument and result are those of a COMPOUND. A current
        // file handle that has a dentry was verified and pins its superblock.
        let (handle, dev) = unsafe {
            bindings::rust_helper_nfsd4_current_op(self.rqst, &mut reclaim);
            let fh = bindings::rust_helper_nfsd4_current_fh(self.rqst).as_ref()?;
            let raw = &fh.fh_handle;
            let len = (raw.fh_size as usize).min(raw.fh_raw.len());
            (
                HandleFsid::decode(&raw.fh_raw[..len]),
                (*(*fh.fh_dentry).d_sb).s_dev,
            )
        };
        // There is no operation by which a client gives up something in a grace period.
        let op = if reclaim { Op::Reclaim } else { Op::New };
        Some((op, handle, Some(Dev::from_kernel(dev))))
    }
}
