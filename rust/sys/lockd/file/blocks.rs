// SPDX-License-Identifier: GPL-2.0-only

//! What waits for locks of a file, and how far lockd is with granting it.
//!
//! Lifetimes and locks, from `fs/lockd/svclock.c`: a block is on its file's list `f_blocks` from
//! `nlmsvc_create_block()` to `nlmsvc_free_block()`, which change that list under `f_mutex`. The other
//! list it may be on, lockd's own `nlm_blocked`, and when it is tried, change under `nlm_blocked_lock`.
//! A block pins its host.
//!
//! C header: `fs/lockd/lockd.h`

use super::{
    range,
    File, //
};
use crate::{
    bindings,
    policy::state::range::Range,
    sys::{
        lockd::host::Host,
        net::Net, //
    },
};
use kernel::prelude::*;

/// When lockd tries again to grant a request that waits: only if it is woken.
const NLM_NEVER: c_ulong = c_ulong::MAX;

/// What becomes of requests that wait for a lock.
#[derive(Clone, Copy, Default)]
pub(in crate::sys::lockd) struct Grants {
    /// lockd's thread is trying to get the lock for one.
    pub(in crate::sys::lockd) trying: bool,
    /// It will for one as soon as it gets there.
    pub(in crate::sys::lockd) woken: bool,
    /// One just waits.
    pub(in crate::sys::lockd) waiting: bool,
}

impl Grants {
    /// Whether there is any such request.
    pub(in crate::sys::lockd) fn any(self) -> bool {
        self.trying || self.woken || self.waiting
    }
}

impl File<'_> {
    /// Calls `f` with each request that waits for a lock on the file.
    ///
    /// # Safety
    ///
    /// `f_mutex` of the file and `nlm_blocked_lock` must be held.
    pub(in crate::sys::lockd) unsafe fn each_blocked(&self, mut f: impl FnMut(Host<'_>, Range)) {
        // SAFETY: By the safety requirements. A block has a call with the lock that is asked for,
        // and pins its host.
        unsafe {
            self.each_block(|block| {
                // One that is not on lockd's own list is being granted or given up.
                if is_on_list(block) {
                    let lock = &(*block.b_call).a_args.lock;
                    f(Host(&*block.b_host), range(&lock.fl, lock.svid));
                }
            });
        }
    }

    /// Whether a request may wait for a lock on the file, or be told that it got one. Nothing has to
    /// be held for that, so who comes or goes meanwhile may be missed.
    pub(in crate::sys::lockd) fn may_have_blocks(&self) -> bool {
        let head = &raw const self.0.f_blocks;
        // SAFETY: The head is part of the file, and its pointer is only compared.
        unsafe { (&raw const (*head).next).read_volatile().cast_const() != head }
    }

    /// The first request of a client in `net` that waits for others: its number among all blocks of
    /// the file, and the address of its host. Also whether lockd is granting another.
    ///
    /// # Safety
    ///
    /// `f_mutex` of the file and `nlm_blocked_lock` must be held.
    pub(in crate::sys::lockd) unsafe fn first_waiting(
        &self,
        net: Net,
    ) -> (Option<(usize, usize)>, bool) {
        let (mut number, mut first, mut woken) = (0, None, false);
        // SAFETY: By the safety requirements. A block pins its host.
        unsafe {
            self.each_block(|block| {
                let host = Host(&*block.b_host);
                if host.net() == net {
                    match Waiter::of(block) {
                        Waiter::Waiting => first = first.or(Some((number, host.id()))),
                        Waiter::Woken => woken = true,
                        Waiter::Granted => {}
                    }
                }
                number += 1;
            });
        }
        (first, woken)
    }

    /// How far lockd is with granting what clients in `net` wait for on the file.
    ///
    /// # Safety
    ///
    /// `f_mutex` of the file and `nlm_blocked_lock` must be held.
    pub(in crate::sys::lockd) unsafe fn grants(&self, net: Net) -> Grants {
        let mut grants = Grants::default();
        // SAFETY: By the safety requirements. A block pins its host.
        unsafe {
            self.each_block(|block| {
                let ours = Host(&*block.b_host).net() == net;
                // What the filesystem is asked for is up to that.
                let decides = ours && block.b_flags & bindings::B_QUEUED == 0;
                // What is granted is a lock. lockd may be about to tell the client again.
                if decides && block.b_granted != 0 {
                    grants.woken |= is_on_list(block) && is_due(block.b_when);
                } else if decides {
                    match is_on_list(block) {
                        // `nlmsvc_grant_blocked()` takes the block off lockd's own list.
                        false => grants.trying = true,
                        true if block.b_when != NLM_NEVER => grants.woken = true,
                        true => grants.waiting = true,
                    }
                }
            });
        }
        grants
    }

    /// Calls `f` with each block of the file: what waits, and what clients are told they got.
    ///
    /// # Safety
    ///
    /// `f_mutex` of the file and `nlm_blocked_lock` must be held.
    pub(in crate::sys::lockd) unsafe fn each_block(&self, mut f: impl FnMut(&bindings::nlm_block)) {
        // SAFETY: By the safety requirements the list of `struct nlm_block`, linked by `b_flist`,
        // does not change.
        unsafe {
            let head = &raw const self.0.f_blocks;
            let mut at = (*head).next.cast_const();
            while at != head {
                f(&*kernel::container_of!(at, bindings::nlm_block, b_flist));
                at = (*at).next;
            }
        }
    }
}

/// How far lockd is with a request that waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiter {
    /// It is a lock, and the client is being told.
    Granted,
    /// lockd is granting it, or will as soon as it gets there.
    Woken,
    /// It waits for others.
    Waiting,
}

impl Waiter {
    fn of(block: &bindings::nlm_block) -> Self {
        // What the filesystem is asked for is up to that.
        let queued = block.b_flags & bindings::B_QUEUED != 0;
        // `nlmsvc_grant_blocked()` takes the block off lockd's own list. A lock that is not on it again
        // may have been granted just before its request was dropped.
        if !is_on_list(block) {
            Self::Woken
        } else if block.b_granted != 0 {
            Self::Granted
        } else if !queued && block.b_when != NLM_NEVER {
            Self::Woken
        } else {
            Self::Waiting
        }
    }
}

/// Whether a block is on lockd's own list, `nlm_blocked`.
fn is_on_list(block: &bindings::nlm_block) -> bool {
    block.b_list.next.cast_const() != &raw const block.b_list
}

/// Whether lockd's thread tries a block as soon as it gets there (`time_after_eq()`).
fn is_due(when: c_ulong) -> bool {
    // SAFETY: The clock is only read.
    let now = unsafe { (&raw const bindings::jiffies).read_volatile() };
    when != NLM_NEVER && now.wrapping_sub(when) as c_long >= 0
}
