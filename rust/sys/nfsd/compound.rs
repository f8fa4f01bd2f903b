// SPDX-License-Identifier: GPL-2.0-only

//! The operation that an NFSv4 COMPOUND is at.
//!
//! Lifetimes: arguments and result are part of the request, which belongs to its thread; the current
//! file handle pins its dentry and so the superblock and the inode; the client, and with it its name, is
//! pinned by the session, or of NFSv4.0 until the COMPOUND is over. Locks: whether a client holds a
//! delegation is looked up under the inode's `flc_lock`, a spinlock under which nothing else is taken.
//!
//! C header: `fs/nfsd/xdr4.h`

use crate::{
    bindings,
    policy::{
        fsid::{
            Dev,
            HandleFsid, //
        },
        nfs4::{
            awaited::Target,
            had::{
                Ask,
                Lock,
                Modes,
                Span, //
            },
            Course,
            Operation, //
        },
        state::fileid::FileId,
        verdict::Op,
    },
    sys::symbol::LEASE_OPERATIONS,
};
use core::{
    ptr,
    slice, //
};

/// A filesystem, as a handle names it, and its device.
type Filesystem = (Option<HandleFsid>, Dev);

/// What an operation asks for.
pub(in crate::sys) struct Asked<'a> {
    pub(in crate::sys) op: Op,
    /// Where it works.
    pub(in crate::sys) filesystem: Filesystem,
    /// On what.
    pub(in crate::sys) target: Target,
    /// The file, if that is one.
    pub(in crate::sys) file: Option<FileId<'a>>,
    /// The name of the client, empty while that is not known.
    pub(in crate::sys) client: &'a [u8],
}

/// The operation that `rqst` is at, and what it is to a grace period.
///
/// # Safety
///
/// It must be a COMPOUND that is running.
unsafe fn current(rqst: &bindings::svc_rqst) -> (Operation, Op) {
    let delegations = ptr::without_provenance(LEASE_OPERATIONS.address());
    let mut claim = bindings::nfs_failover_claim_NFS_FAILOVER_NEW;
    // SAFETY: By the safety requirements; `delegations` is only compared.
    let number =
        unsafe { bindings::rust_helper_nfsd4_current_op(rqst, delegations, &raw mut claim) };
    let operation = match number {
        bindings::nfs_opnum4_OP_OPEN => Operation::Open,
        bindings::nfs_opnum4_OP_LOCK => Operation::Lock,
        _ => Operation::Other,
    };
    // There is no operation by which a client gives up something in a grace period.
    let op = match claim {
        bindings::nfs_failover_claim_NFS_FAILOVER_RECLAIM => Op::Reclaim,
        bindings::nfs_failover_claim_NFS_FAILOVER_RETURN => Op::Return,
        _ => Op::New,
    };
    (operation, op)
}

/// What the operation that `rqst` is at asks for; [`None`] while it has no file.
///
/// # Safety
///
/// It must be a COMPOUND that is running.
pub(in crate::sys) unsafe fn asked(rqst: &bindings::svc_rqst) -> Option<Asked<'_>> {
    // SAFETY: By the safety requirements argument and result are those of a COMPOUND. A current
    // file handle that has a dentry pins it, and that its superblock.
    unsafe {
        let fh = bindings::rust_helper_nfsd4_current_fh(rqst).as_ref()?;
        let target = target(rqst);
        Some(Asked {
            op: current(rqst).1,
            filesystem: filesystem(fh),
            target,
            file: matches!(target, Target::File(..)).then(|| FileId::of(raw(fh))),
            client: client(rqst),
        })
    }
}

/// The bytes of a file handle.
pub(in crate::sys) fn raw(fh: &bindings::svc_fh) -> &[u8] {
    let raw = &fh.fh_handle;
    let len = (raw.fh_size as usize).min(raw.fh_raw.len());
    &raw.fh_raw[..len]
}

/// The filesystem of a file handle.
///
/// # Safety
///
/// It must have a dentry, which it pins, and that its superblock.
pub(in crate::sys) unsafe fn filesystem(fh: &bindings::svc_fh) -> Filesystem {
    // SAFETY: By the safety requirements.
    let dev = unsafe { (*(*fh.fh_dentry).d_sb).s_dev };
    let handle = HandleFsid::decode(raw(fh));
    (handle, Dev::from_kernel(dev))
}

/// What the operation that `rqst` is at is about.
///
/// # Safety
///
/// It must be a COMPOUND that is running.
unsafe fn target(rqst: &bindings::svc_rqst) -> Target {
    let mut asked = bindings::nfs_failover_asked::default();
    // SAFETY: By the safety requirements. That the current file has an inode it looks for itself.
    match unsafe { bindings::rust_helper_nfsd4_target(rqst, &raw mut asked) } {
        bindings::nfs_failover_target_NFS_FAILOVER_FILE => Target::File(asked.inode, ask(&asked)),
        bindings::nfs_failover_target_NFS_FAILOVER_SOUGHT => Target::Sought,
        _ => Target::Any,
    }
}

/// What an OPEN asks of its file.
///
/// # Safety
///
/// `open` must be that of a request of this thread.
pub(super) unsafe fn opens(open: *const bindings::nfsd4_open) -> Ask {
    let mut asked = bindings::nfs_failover_asked::default();
    // SAFETY: By the safety requirements.
    unsafe { bindings::rust_helper_nfsd4_opens(open, &raw mut asked) };
    ask(&asked)
}

/// What is asked of a file. Of a lock that there cannot be it is not said, and nfsd has to.
fn ask(asked: &bindings::nfs_failover_asked) -> Ask {
    let lock = || {
        let span = Span::of(asked.start, asked.length)?;
        let exclusive = asked.exclusive;
        Some(Ask::Lock(Lock { exclusive, span }))
    };
    match asked.ask {
        bindings::nfs_failover_ask_NFS_FAILOVER_OPENS => Ask::Open {
            access: Modes::of(asked.access),
            deny: Modes::of(asked.deny),
        },
        bindings::nfs_failover_ask_NFS_FAILOVER_LOCKS => lock().unwrap_or(Ask::Other),
        _ => Ask::Other,
    }
}

/// The name of the client that sent `rqst`, empty while that is not known.
///
/// # Safety
///
/// It must be a COMPOUND that is running.
unsafe fn client(rqst: &bindings::svc_rqst) -> &[u8] {
    let mut len = 0;
    // SAFETY: By the safety requirements; the COMPOUND pins its client. A name of no bytes may have no
    // address.
    unsafe {
        let client = bindings::rust_helper_nfsd4_client(rqst);
        if client.is_null() {
            return &[];
        }
        let start = bindings::rust_helper_nfsd4_name(client, &raw mut len);
        match start.is_null() {
            true => &[],
            false => slice::from_raw_parts(start, len as usize),
        }
    }
}

/// The operation that `rqst` is at.
///
/// # Safety
///
/// It must be a COMPOUND that is running.
pub(in crate::sys) unsafe fn operation(rqst: &bindings::svc_rqst) -> Operation {
    // SAFETY: By the safety requirements.
    unsafe { current(rqst) }.0
}

/// What becomes of the reclaim that `rqst` is at, an OPEN or a LOCK: it is read by nfsd after it has
/// asked for the grace period.
///
/// # Safety
///
/// It must be a COMPOUND that is running.
pub(in crate::sys) unsafe fn set_course(rqst: &bindings::svc_rqst, course: Course) {
    let course = match course {
        Course::AsIs => return,
        Course::AsNew => bindings::nfs_failover_course_NFS_FAILOVER_AS_NEW,
        Course::Lost => bindings::nfs_failover_course_NFS_FAILOVER_LOST,
        Course::Later => bindings::nfs_failover_course_NFS_FAILOVER_LATER,
    };
    // SAFETY: By the safety requirements, and nobody else looks at the arguments.
    unsafe { bindings::rust_helper_nfsd4_set_course(rqst, course) };
}

/// What became of the reclaim that `rqst` is at.
///
/// # Safety
///
/// It must be a COMPOUND that is running.
pub(in crate::sys) unsafe fn course(rqst: &bindings::svc_rqst) -> Course {
    // SAFETY: By the safety requirements.
    match unsafe { bindings::rust_helper_nfsd4_course(rqst) } {
        bindings::nfs_failover_course_NFS_FAILOVER_AS_NEW => Course::AsNew,
        bindings::nfs_failover_course_NFS_FAILOVER_LOST => Course::Lost,
        bindings::nfs_failover_course_NFS_FAILOVER_LATER => Course::Later,
        _ => Course::AsIs,
    }
}
