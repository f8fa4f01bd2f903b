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
        manifest::{
            fileid::FileId,
            text::{
                Range,
                Share,
                MAX_OFFSET, //
            }, //
        },
        nlm,
        verdict::{
            Op,
            Request,
            What, //
        }, //
    },
    sys::{
        address,
        net::Net,
        symbol::Symbol, //
    },
};
use core::slice;

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
    ) -> Option<Request<'a>> {
        let (op, handle, dev, what) = match (self.service, self.rqst.rq_prog) {
            (Service::Lockd, nlm::PROGRAM) => {
                let (op, handle, what) = self.nlm()?;
                let handle = HandleFsid::decode(handle);
                (op, handle, handle.as_ref().and_then(dev_of), what)
            }
            (Service::Nfsd, NFS_PROGRAM) if self.rqst.rq_vers == 4 => {
                let (op, handle, dev) = self.nfs4()?;
                (op, handle, dev, What::Other)
            }
            _ => return None,
        };
        Some(Request {
            op,
            handle,
            dev,
            server: address::of(&self.rqst.rq_daddr),
            client: address::of(&self.rqst.rq_addr),
            what,
        })
    }

    /// What an NLM request asks for, the handle of the file, and what of the file.
    fn nlm(&self) -> Option<(Op, &'a [u8], What<'a>)> {
        use nlm::Args;

        let args = Args::of(self.rqst.rq_proc)?;
        let argp = self.rqst.rq_argp;
        let (vers, proc) = (self.rqst.rq_vers, args);
        // SAFETY: By the type invariants `argp` holds the decoded arguments of the procedure, for
        // as long as the request lives. The wrappers of lockd have the XDR type first (asserted in
        // `svcproc.c`, `svc4proc.c`).
        let (reclaim, handle, what) = unsafe {
            match (vers, proc) {
                (4, Args::Cancel) => {
                    let args = &*argp.cast::<bindings::nlm4_cancargs>();
                    cancelled(lock4(false, args.exclusive, &args.alock))
                }
                (4, Args::Test) => {
                    let args = &*argp.cast::<bindings::nlm4_testargs>();
                    lock4(false, args.exclusive, &args.alock)
                }
                (4, Args::Lock) => {
                    let args = &*argp.cast::<bindings::nlm4_lockargs>();
                    lock4(args.reclaim, args.exclusive, &args.alock)
                }
                (4, Args::Unlock) => {
                    let args = &*argp.cast::<bindings::nlm4_unlockargs>();
                    lock4(false, true, &args.alock)
                }
                (4, Args::Share | Args::Unshare) => {
                    let args = &*argp.cast::<bindings::nlm4_shareargs>();
                    let share = &args.share;
                    let (access, mode) = (share.access, share.mode);
                    self::share(args.reclaim, &share.fh, &share.oh, access, mode)
                }
                (1 | 3, Args::Cancel) => {
                    let args = &*argp.cast::<bindings::nlm_cancargs>();
                    cancelled(lock3(false, args.exclusive, &args.alock))
                }
                (1 | 3, Args::Test) => {
                    let args = &*argp.cast::<bindings::nlm_testargs>();
                    lock3(false, args.exclusive, &args.alock)
                }
                (1 | 3, Args::Lock) => {
                    let args = &*argp.cast::<bindings::nlm_lockargs>();
                    lock3(args.reclaim, args.exclusive, &args.alock)
                }
                (1 | 3, Args::Unlock) => {
                    let args = &*argp.cast::<bindings::nlm_unlockargs>();
                    lock3(false, true, &args.alock)
                }
                (1 | 3, Args::Share | Args::Unshare) => {
                    let args = &*argp.cast::<bindings::nlm_shareargs>();
                    let share = &args.share;
                    let (access, mode) = (share.access, share.mode);
                    self::share(args.reclaim, &share.fh, &share.oh, access, mode)
                }
                _ => return None,
            }
        };
        Some((args.op(reclaim), handle, what))
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

/// Whether a lock is reclaimed, the handle of its file, and what is locked.
type Parts<'a> = (bool, &'a [u8], What<'a>);

/// A lock of version 4.
///
/// # Safety
///
/// It must be part of a decoded request that lives for `'a`.
unsafe fn lock4<'a>(reclaim: bool, exclusive: bool, lock: &'a bindings::nlm4_lock) -> Parts<'a> {
    let range = range4(lock.svid as u32, exclusive, lock.l_offset, lock.l_len);
    // SAFETY: By the safety requirements.
    let handle = unsafe { netobj(&lock.fh) };
    (reclaim, handle, what(handle, range))
}

/// A lock of version 1 or 3.
///
/// # Safety
///
/// It must be part of a decoded request that lives for `'a`.
unsafe fn lock3<'a>(reclaim: bool, exclusive: bool, lock: &'a bindings::nlm_lock) -> Parts<'a> {
    let range = range3(lock.uppid as u32, exclusive, lock.l_offset, lock.l_len);
    // SAFETY: By the safety requirements.
    let handle = unsafe { netobj(&lock.fh) };
    (reclaim, handle, what(handle, range))
}

/// The request for a lock, given up.
fn cancelled((reclaim, handle, what): Parts<'_>) -> Parts<'_> {
    let what = match what {
        What::Range(id, range) => What::Cancel(id, range),
        what => what,
    };
    (reclaim, handle, what)
}

/// A range of a file; one that cannot be is refused by lockd itself.
fn what(handle: &[u8], range: Option<Range>) -> What<'_> {
    range.map_or(What::Other, |range| What::Range(FileId::of(handle), range))
}

/// A share.
///
/// # Safety
///
/// Handle and owner must be part of a decoded request that lives for `'a`.
unsafe fn share<'a>(
    reclaim: bool,
    handle: &'a bindings::netobj,
    owner: &'a bindings::netobj,
    access: u32,
    mode: u32,
) -> Parts<'a> {
    // SAFETY: By the safety requirements.
    let (handle, owner) = unsafe { (netobj(handle), netobj(owner)) };
    let share = Share {
        owner,
        access,
        mode,
    };
    (reclaim, handle, What::Share(FileId::of(handle), share))
}

/// The bytes of a decoded `netobj`.
///
/// # Safety
///
/// The object must be part of a request that lives for `'a`.
unsafe fn netobj<'a>(object: &bindings::netobj) -> &'a [u8] {
    if object.data.is_null() {
        return &[];
    }
    // SAFETY: A decoded `netobj` points to `len` bytes of the request.
    unsafe { slice::from_raw_parts(object.data, object.len as usize) }
}

/// As `lockd_set_file_lock_range4()`; [`None`] for what is beyond the largest offset.
fn range4(svid: u32, exclusive: bool, start: u64, len: u64) -> Option<Range> {
    let end = match len {
        0 => MAX_OFFSET,
        len => start.checked_add(len - 1)?,
    };
    (end <= MAX_OFFSET)
        .then_some(Range {
            svid,
            exclusive,
            start,
            end,
        })
        .filter(|range| range.start <= range.end)
}

/// As `lockd_set_file_lock_range3()`.
fn range3(svid: u32, exclusive: bool, start: u32, len: u32) -> Option<Range> {
    let end = start.wrapping_add(len).wrapping_sub(1) as i32;
    Some(Range {
        svid,
        exclusive,
        start: start.into(),
        end: if len == 0 || end < 0 {
            MAX_OFFSET
        } else {
            end as u64
        },
    })
    .filter(|range| range.start <= range.end)
}
