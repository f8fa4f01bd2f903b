// SPDX-License-Identifier: GPL-2.0-only

//! The decoded arguments of an NLM request: what it asks for, of which file.
//!
//! Lifetimes: they are part of the request (`rq_argp`), which belongs to its thread and does not
//! change while a procedure runs.
//!
//! C header: [`include/linux/sunrpc/xdrgen/nlm4.h`](srctree/include/linux/sunrpc/xdrgen/nlm4.h)

use crate::{
    bindings,
    policy::{
        nlm::{
            range3,
            range4,
            Args, //
        },
        state::{
            fileid::FileId,
            range::Range,
            share::Share, //
        },
        verdict::{
            Op,
            What, //
        },
    },
};
use core::slice;

/// What an NLM request asks for, the handle of the file, what of the file, and the client's name.
pub(in crate::sys) type Asked<'a> = (Op, &'a [u8], What<'a>, &'a [u8]);

/// What `rqst` asks for; [`None`] if that touches no lock of a client.
///
/// # Safety
///
/// It must be a request of NLM whose procedure is running.
pub(in crate::sys) unsafe fn asked(rqst: &bindings::svc_rqst) -> Option<Asked<'_>> {
    let args = Args::of(rqst.rq_proc)?;
    let argp = rqst.rq_argp;
    let (vers, proc) = (rqst.rq_vers, args);
    // SAFETY: By the safety requirements `argp` holds the decoded arguments of the procedure, for
    // as long as the request lives. The wrappers of lockd have the XDR type first (asserted in
    // `svcproc.c`, `svc4proc.c`).
    let (reclaim, handle, what, name) = unsafe {
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
                let it = &args.share;
                let of = (&it.caller_name, &it.fh, &it.oh);
                share(args.reclaim, of, it.access, it.mode)
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
                let it = &args.share;
                let of = (&it.caller_name, &it.fh, &it.oh);
                share(args.reclaim, of, it.access, it.mode)
            }
            _ => return None,
        }
    };
    Some((args.op(reclaim), handle, what, name))
}

/// Whether a lock is reclaimed, the handle of its file, what is locked, and what the client calls
/// itself.
type Parts<'a> = (bool, &'a [u8], What<'a>, &'a [u8]);

/// A lock of version 4.
///
/// # Safety
///
/// It must be part of a decoded request that lives for `'a`.
unsafe fn lock4<'a>(reclaim: bool, exclusive: bool, lock: &'a bindings::nlm4_lock) -> Parts<'a> {
    let range = range4(lock.svid as u32, exclusive, lock.l_offset, lock.l_len);
    // SAFETY: By the safety requirements.
    let (handle, name) = unsafe { (netobj(&lock.fh), string(&lock.caller_name)) };
    (reclaim, handle, what(handle, range), name)
}

/// A lock of version 1 or 3.
///
/// # Safety
///
/// It must be part of a decoded request that lives for `'a`.
unsafe fn lock3<'a>(reclaim: bool, exclusive: bool, lock: &'a bindings::nlm_lock) -> Parts<'a> {
    let range = range3(lock.uppid as u32, exclusive, lock.l_offset, lock.l_len);
    // SAFETY: By the safety requirements.
    let (handle, name) = unsafe { (netobj(&lock.fh), string(&lock.caller_name)) };
    (reclaim, handle, what(handle, range), name)
}

/// The request for a lock, given up.
fn cancelled((reclaim, handle, what, name): Parts<'_>) -> Parts<'_> {
    let what = match what {
        What::Range(id, range) => What::Cancel(id, range),
        what => what,
    };
    (reclaim, handle, what, name)
}

/// A range of a file.
fn what(handle: &[u8], range: Option<Range>) -> What<'_> {
    range.map_or(What::Unclear, |range| {
        What::Range(FileId::of(handle), range)
    })
}

/// A share of a client of that name, of a file, by an owner.
///
/// # Safety
///
/// All three must be part of a decoded request that lives for `'a`.
unsafe fn share<'a>(
    reclaim: bool,
    (name, handle, owner): (
        &'a bindings::string,
        &'a bindings::netobj,
        &'a bindings::netobj,
    ),
    access: u32,
    mode: u32,
) -> Parts<'a> {
    // SAFETY: By the safety requirements.
    let (name, handle, owner) = unsafe { (string(name), netobj(handle), netobj(owner)) };
    let share = Share {
        owner,
        access,
        mode,
    };
    (
        reclaim,
        handle,
        What::Share(FileId::of(handle), share),
        name,
    )
}

/// The bytes of a decoded `string`.
///
/// # Safety
///
/// It must be part of a request that lives for `'a`.
unsafe fn string<'a>(string: &bindings::string) -> &'a [u8] {
    if string.data.is_null() {
        return &[];
    }
    // SAFETY: A decoded `string` points to `len` bytes of the request.
    unsafe { slice::from_raw_parts(string.data, string.len as usize) }
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
