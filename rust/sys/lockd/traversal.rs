// SPDX-License-Identifier: GPL-2.0-only

//! Going through what lockd holds for clients, to release it or only to look.
//!
//! `nlm_traverse_files()` is private to lockd, but its predicates can be hooked, and the exported
//! `nlmsvc_unlock_all_by_sb()` is a way in: given an odd pointer, which no superblock has, its
//! predicate matches nothing by itself. Our hook of the predicate recognises the pointer as a
//! [`Traversal`] and decides in its place. If the hook is missed nothing is released.
//!
//! Lifetimes and locks, from `fs/lockd/svcsubs.c`: `nlmsvc_match_sb()` runs under
//! `nlm_file_mutex` with the file pinned by `f_count` until it has been gone through.
//! `nlmsvc_always_match()` runs under the lock that guards what it judges: `f_mutex` and
//! `nlm_blocked_lock` for blocked requests, then `flc_lock` for locks. So whatever holds a lock by
//! then is seen, and dropped. Both run in the task that called [`Traversal::run`], whose stack
//! holds the traversal.
//!
//! C header: `fs/lockd/lockd.h`

mod blocks;

use crate::{
    bindings,
    policy::state::{
        Full,
        Tally, //
    },
    sys::{
        lockd::{
            file::File,
            found::{
                Doubt,
                Found,
                Skipped, //
            },
            grant_call::Running,
            host::Host,
            recorder::{
                Nothing,
                Recorder, //
            },
        },
        net::Net,
        symbol::{
            TRAVERSE_BLOCKS,
            TRAVERSE_LOCKS,
            TRAVERSE_SHARES, //
        },
    },
};
use core::{
    cell::Cell,
    ptr, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// What a predicate is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lock,
    Blocked,
    Share,
}

impl Kind {
    /// By the caller of the predicate, if that is known. It tells what is locked, too.
    fn of(caller: usize) -> Option<Self> {
        if TRAVERSE_LOCKS.has(caller) {
            Some(Self::Lock)
        } else if TRAVERSE_BLOCKS.has(caller) {
            Some(Self::Blocked)
        } else if TRAVERSE_SHARES.has(caller) {
            Some(Self::Share)
        } else {
            None
        }
    }
}

/// What becomes of the file at hand.
#[derive(Clone, Copy)]
struct AtHand {
    file: *const bindings::nlm_file,
    /// It is among the files that were counted.
    counted: bool,
    /// Its blocked requests have been looked at, and whether they are dropped.
    blocked: Option<bool>,
    /// How many of its locks have been taken down and not been dropped since, at most.
    locks: Option<u64>,
    /// The number of the block that lockd asks about next: it begins anew after one is dropped.
    block: usize,
    /// The number and the host of the block that is to be dropped next.
    waiting: Option<(usize, usize)>,
}

/// What is done with what a traversal meets.
#[derive(Clone, Copy)]
enum Aim<'a> {
    /// Locks are recorded, nothing is released.
    Look,
    /// Requests that wait are recorded and dropped.
    Blocked {
        /// Those of files on which lockd is granting one are left.
        patient: bool,
    },
    /// Requests that wait are dropped. Those that lockd is granting are left, and what is granted is.
    Waiting,
    /// Locks and shares are recorded and dropped, unless a request that waits is met.
    Held {
        /// If so, that is no reason.
        regardless: bool,
    },
    /// All is dropped and nothing recorded.
    All,
    EndCalls(&'a Running),
}

/// A walk of ours through lockd's files.
pub(crate) struct Traversal<'a> {
    net: Net,
    takes: &'a dyn Fn(&File<'_>) -> bool,
    recorder: &'a dyn Recorder,
    aim: Aim<'a>,
    dropped: Cell<Tally>,
    skipped: Cell<Option<Skipped>>,
    blocks: Cell<bool>,
    calling: Cell<bool>,
    at_hand: Cell<AtHand>,
}

impl<'a> Traversal<'a> {
    /// Drops the requests of clients in `net` that wait for locks on those files that `takes`, which
    /// must not sleep. Where lockd may be granting one they are left, if the traversal is `patient`
    /// or lockd's thread is at it. What cannot be recorded is not dropped. May sleep.
    ///
    /// A file that has none is hardly looked at, so this is cheap where nobody waits.
    pub(crate) fn drop_blocked(
        net: Net,
        takes: &'a dyn Fn(&File<'_>) -> bool,
        recorder: &'a dyn Recorder,
        patient: bool,
    ) -> Result<Found> {
        Self::run(net, takes, recorder, Aim::Blocked { patient })
    }

    /// Drops the requests of clients in `net` that wait for locks on those files that `takes`, which
    /// must not sleep, and nothing that lockd has granted or may be granting. May sleep.
    pub(crate) fn drop_waiting(net: Net, takes: &'a dyn Fn(&File<'_>) -> bool) -> Result<Found> {
        Self::run(net, takes, &Nothing, Aim::Waiting)
    }

    /// Drops the locks and shares that clients in `net` have on those files that `takes`, which
    /// must not sleep. Nothing may wait for any of them, on whatever handle of the same file: a
    /// request that waits ends the traversal, unless that is to go on `regardless`. What cannot be
    /// recorded is not dropped. May sleep.
    ///
    /// Returns `EIO` if the filesystem refused to unlock.
    pub(crate) fn drop_held(
        net: Net,
        takes: &'a dyn Fn(&File<'_>) -> bool,
        recorder: &'a dyn Recorder,
        regardless: bool,
    ) -> Result<Found> {
        Self::run(net, takes, recorder, Aim::Held { regardless })
    }

    /// Drops all locks, blocked requests and shares that clients in `net` have on those files that
    /// `takes`, which must not sleep, and records nothing: what is granted to who waits meanwhile
    /// may be left. May sleep.
    ///
    /// Returns `EIO` if the filesystem refused to unlock.
    pub(crate) fn drop_all(net: Net, takes: &'a dyn Fn(&File<'_>) -> bool) -> Result<Found> {
        Self::run(net, takes, &Nothing, Aim::All)
    }

    /// Looks at the locks that clients in `net` have on those files that `takes`, and releases
    /// nothing. May sleep.
    pub(crate) fn look(
        net: Net,
        takes: &'a dyn Fn(&File<'_>) -> bool,
        recorder: &'a dyn Recorder,
    ) -> Result<Found> {
        Self::run(net, takes, recorder, Aim::Look)
    }

    /// Shows `see`, which must not sleep, each of lockd's files, and drops nothing. May sleep.
    pub(crate) fn see_all(see: &dyn Fn(&File<'_>)) -> Result {
        let none = |file: &File<'_>| {
            see(file);
            false
        };
        // No file is taken, so it is not asked whose it is.
        Traversal::run(Net::initial(), &none, &Nothing, Aim::Look).map(drop)
    }

    /// Ends the calls by which clients are told that they have been granted a lock on those files
    /// that `takes`, and returns whether there were any. They are gone some time after. May sleep.
    pub(crate) fn end_calls(
        lockd: &'a Running,
        takes: &'a dyn Fn(&File<'_>) -> bool,
    ) -> Result<bool> {
        let found = Self::run(lockd.net(), takes, &Nothing, Aim::EndCalls(lockd))?;
        Ok(found.calling)
    }

    fn run(
        net: Net,
        takes: &'a dyn Fn(&File<'_>) -> bool,
        recorder: &'a dyn Recorder,
        aim: Aim<'a>,
    ) -> Result<Found> {
        let traversal = Traversal {
            net,
            takes,
            recorder,
            aim,
            dropped: Cell::new(Tally::default()),
            skipped: Cell::new(None),
            blocks: Cell::new(false),
            calling: Cell::new(false),
            at_hand: Cell::new(AtHand {
                file: ptr::null(),
                counted: false,
                blocked: None,
                locks: None,
                block: 0,
                waiting: None,
            }),
        };
        const { assert!(align_of::<Traversal<'_>>() > 1) };
        let tagged = (&raw const traversal).expose_provenance() | 1;
        // SAFETY: `nlmsvc_match_sb()` only compares the pointer, and the hooks that recognise it
        // use it before this call returns.
        to_result(unsafe {
            bindings::nlmsvc_unlock_all_by_sb(ptr::with_exposed_provenance_mut(tagged))
        })?;
        Ok(Found {
            dropped: traversal.dropped.get(),
            skipped: traversal.skipped.get(),
            blocks: traversal.blocks.get(),
            calling: traversal.calling.get(),
        })
    }

    /// Recognises the pointer that [`Traversal::run`] passes for a superblock.
    ///
    /// # Safety
    ///
    /// `argument` must be what one of lockd's predicates got for the data of the traversal.
    pub(super) unsafe fn from_argument<'b>(argument: usize) -> Option<&'b Self> {
        if argument & 1 == 0 {
            return None;
        }
        // SAFETY: No superblock has an odd address, so it comes from `run`, which has not
        // returned: the predicate runs in the same task.
        unsafe { ptr::with_exposed_provenance::<Self>(argument & !1).as_ref() }
    }

    /// Whether locks of this file are released.
    pub(crate) fn takes_file(&self, file: &File<'_>) -> bool {
        if self.is_over() || !(self.takes)(file) {
            return false;
        }
        // What asked for the verdict before the fence has been on the list since before that, and
        // nobody gets onto it any more.
        let blocked = matches!(self.aim, Aim::Blocked { .. } | Aim::Waiting);
        if blocked && !file.may_have_blocks() {
            return false;
        }
        self.at_hand.set(AtHand {
            file: file.as_ptr(),
            // It will be, when what is held is dropped.
            counted: matches!(self.aim, Aim::Blocked { .. }) && file.holds(self.net),
            blocked: None,
            locks: None,
            block: 0,
            waiting: None,
        });
        if self.recorder.file(file.raw_handle()).is_err() {
            self.skipped.set(Some(Skipped::Full(0)));
            return false;
        }
        let look = matches!(self.aim, Aim::Look);
        if look {
            match file.locks(|locks| self.recorder.locks(self.net, locks)) {
                Ok(met) => self.count(|dropped| {
                    dropped.locks += met;
                    dropped.files += u64::from(met > 0);
                }),
                Err(Full) => {
                    let short = file.locks(|locks| locks.count());
                    self.skipped.set(Some(Skipped::Full(short)));
                }
            }
        }
        !look
    }

    /// Whether the rest of the files is left as it is. While requests that wait are dropped, one
    /// file on which lockd is granting does not keep the others.
    fn is_over(&self) -> bool {
        match (self.skipped.get(), self.aim) {
            (None, _) | (Some(Skipped::Granting), Aim::Blocked { .. } | Aim::Waiting) => false,
            (Some(_), _) => true,
        }
    }

    /// Whether what belongs to `host` is released. `caller` is the predicate's caller.
    pub(crate) fn takes_host(&self, host: &Host<'_>, caller: usize) -> bool {
        if matches!(self.aim, Aim::Waiting) {
            return self.takes_waiting(host, caller);
        }
        if host.net() != self.net || self.is_over() {
            return false;
        }
        let mut at_hand = self.at_hand.get();
        // SAFETY: The file at hand is pinned until the traversal goes on to the next.
        let Some(file) = (unsafe { File::from_argument(at_hand.file.expose_provenance()) }) else {
            return false;
        };
        let before = self.dropped.get();
        let Some(kind) = Kind::of(caller) else {
            self.skipped
                .set(Some(Skipped::Doubt(Doubt::Caller(caller))));
            return false;
        };
        self.blocks.set(self.blocks.get() || kind == Kind::Blocked);
        let takes = match (self.aim, kind) {
            (Aim::Look | Aim::Waiting, _) | (Aim::Blocked { .. }, Kind::Lock | Kind::Share) => {
                return false
            }
            (Aim::EndCalls(lockd), Kind::Blocked) => {
                if at_hand.blocked.is_none() {
                    // SAFETY: `nlmsvc_traverse_blocks()` asks with both locks held.
                    let any = unsafe { lockd.end_calls(&file) };
                    self.calling.set(self.calling.get() || any);
                    at_hand.blocked = Some(false);
                }
                false
            }
            (Aim::EndCalls(_), _) => return false,
            (Aim::Blocked { patient }, Kind::Blocked) => {
                let takes = at_hand
                    .blocked
                    .unwrap_or_else(|| self.take_blocked(&file, patient));
                at_hand.blocked = Some(takes);
                takes
            }
            (Aim::Held { regardless }, Kind::Blocked) => {
                // Once a file: lockd holds both locks until it has asked about all of them.
                if !regardless
                    && at_hand.blocked.is_none()
                    // SAFETY: `nlmsvc_traverse_blocks()` asks with both locks held.
                    && unsafe { file.grants(self.net).any() }
                {
                    self.skipped.set(Some(Skipped::Granting));
                }
                at_hand.blocked = Some(false);
                false
            }
            (Aim::All, Kind::Blocked) => {
                if at_hand.blocked.is_none() {
                    // SAFETY: As above.
                    unsafe { file.each_blocked(|host, _| self.meet_blocked(&host)) };
                    at_hand.blocked = Some(true);
                }
                true
            }
            (Aim::Held { .. } | Aim::All, Kind::Lock) => {
                let first = at_hand.locks.is_none();
                let locks = at_hand.locks.or_else(|| self.take_locks(&file));
                at_hand.locks = locks.map(|locks| locks.saturating_sub(1));
                // With a yes lockd drops at least one lock, and nobody else may have got one.
                match (locks, self.aim) {
                    (Some(0), Aim::Held { regardless: false }) if !first => {
                        // The next pass takes it down.
                        self.skipped.set(Some(Skipped::Granting));
                        false
                    }
                    (Some(0), aim) if first || matches!(aim, Aim::Held { .. }) => {
                        self.skipped.set(Some(Skipped::Doubt(Doubt::Unmet)));
                        false
                    }
                    (locks, _) => locks.is_some(),
                }
            }
            (Aim::Held { .. } | Aim::All, Kind::Share) => self.take_share(&file),
        };
        if self.dropped.get() != before && !at_hand.counted {
            at_hand.counted = true;
            self.count(|dropped| dropped.files += 1);
        }
        self.at_hand.set(at_hand);
        takes
    }

    /// Takes the locks of the file down, and returns how many there are; [`None`] without room.
    fn take_locks(&self, file: &File<'_>) -> Option<u64> {
        self.recorder.mark();
        // SAFETY: `nlm_traverse_locks()` asks with `flc_lock` held.
        match unsafe { file.locks_locked(|locks| self.recorder.locks(self.net, locks)) } {
            Ok(met) => {
                self.count(|dropped| dropped.locks += met);
                Some(met)
            }
            Err(Full) => {
                // SAFETY: As above.
                let short = unsafe { file.locks_locked(|locks| locks.count()) };
                self.skipped.set(Some(Skipped::Full(short)));
                self.recorder.forget();
                None
            }
        }
    }

    fn take_share(&self, file: &File<'_>) -> bool {
        // SAFETY: `nlmsvc_traverse_shares()` asks about the first of that namespace: those before
        // it have been dropped.
        let room = match unsafe { file.first_share(self.net) } {
            Some((host, share)) => self.recorder.share(&host, share).is_ok(),
            None => true,
        };
        if !room {
            self.skipped.set(Some(Skipped::Full(0)));
        }
        self.count(|dropped| dropped.shares += u64::from(room));
        room
    }

    fn count(&self, f: impl FnOnce(&mut Tally)) {
        let mut dropped = self.dropped.get();
        f(&mut dropped);
        self.dropped.set(dropped);
    }
}
