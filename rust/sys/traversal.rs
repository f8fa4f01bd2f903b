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

use crate::{
    bindings,
    policy::line::Dropped,
    sys::{
        granted::Running,
        host::Host,
        lockd::File,
        net::Net,
        recorder::{
            Full,
            Nothing,
            Recorder, //
        },
        symbol, //
    },
};
use core::{
    cell::Cell,
    iter::zip,
    ptr, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// What a predicate is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lock,
    Blocked,
    Share,
}

/// Return addresses in lockd, which is pinned, that were recognised last: one for each [`Kind`].
static CALLERS: [Atomic<usize>; 3] = [const { Atomic::new(0) }; 3];

impl Kind {
    const ALL: [Self; 3] = [Self::Lock, Self::Blocked, Self::Share];

    /// By the caller of the predicate.
    fn of(caller: usize) -> Self {
        let known = zip(&CALLERS, Self::ALL).find(|(known, _)| known.load(Relaxed) == caller);
        known.map_or_else(|| Self::recognise(caller), |(_, kind)| kind)
    }

    #[cold]
    fn recognise(caller: usize) -> Self {
        let kind = if symbol::within(caller, b"nlmsvc_traverse_blocks") {
            Self::Blocked
        } else if symbol::within(caller, b"nlmsvc_traverse_shares") {
            Self::Share
        } else {
            Self::Lock
        };
        CALLERS[kind as usize].store(caller, Relaxed);
        kind
    }
}

/// What becomes of the file at hand.
#[derive(Clone, Copy)]
struct AtHand {
    file: *const bindings::nlm_file,
    /// It is among the files that were counted.
    counted: bool,
    /// Its blocked requests have been taken down.
    blocked: bool,
    /// Its locks have been taken down, and whether there was room for them.
    locks: Option<bool>,
}

/// Why a traversal left something as it was.
#[derive(Clone, Copy)]
pub(crate) enum Left {
    /// The recorder has no room; how many locks of one file, at least, there has to be room for.
    Full(usize),
    /// lockd is trying to grant a request that waits. If locks were released meanwhile, it would
    /// be granted one of them.
    Granting,
}

/// What is done with what a traversal meets.
#[derive(Clone, Copy)]
enum Aim<'a> {
    Look,
    /// If `patient`, what lockd might grant to somebody else is left.
    Release {
        patient: bool,
    },
    EndCalls(&'a Running),
}

/// A walk of ours through lockd's files.
pub(crate) struct Traversal<'a> {
    net: Net,
    takes: &'a dyn Fn(&File<'_>) -> bool,
    recorder: &'a dyn Recorder,
    aim: Aim<'a>,
    dropped: Cell<Dropped>,
    left: Cell<Option<Left>>,
    blocks: Cell<bool>,
    calling: Cell<bool>,
    at_hand: Cell<AtHand>,
}

/// What a traversal found.
#[derive(Default)]
pub(crate) struct Found {
    /// How much of what; for a look, locks and files only.
    pub(crate) dropped: Dropped,
    /// Something was left, with all that would have come after it. The traversal is to be repeated.
    pub(crate) left: Option<Left>,
    /// Files had blocks: requests that wait, or of which the client is being told that it was
    /// granted a lock.
    pub(crate) blocks: bool,
    /// There were calls to end.
    calling: bool,
}

impl Found {
    /// Adds what a later traversal found.
    pub(crate) fn add(&mut self, later: Self) {
        self.dropped.add(&later.dropped);
        self.left = later.left;
        self.blocks |= later.blocks;
        self.calling = later.calling;
    }
}

impl<'a> Traversal<'a> {
    /// Releases all locks, blocked requests and shares that clients in `net` have on those files
    /// that `takes`, which must not sleep. What cannot be taken down is not released; if it is
    /// `patient`, neither is what lockd might grant to somebody else by that. May sleep.
    ///
    /// Returns `EIO` if the filesystem refused to unlock.
    pub(crate) fn release(
        net: Net,
        takes: &'a dyn Fn(&File<'_>) -> bool,
        recorder: &'a dyn Recorder,
        patient: bool,
    ) -> Result<Found> {
        Self::run(net, takes, recorder, Aim::Release { patient })
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
            dropped: Cell::new(Dropped::default()),
            left: Cell::new(None),
            blocks: Cell::new(false),
            calling: Cell::new(false),
            at_hand: Cell::new(AtHand {
                file: ptr::null(),
                counted: false,
                blocked: false,
                locks: None,
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
            left: traversal.left.get(),
            blocks: traversal.blocks.get(),
            calling: traversal.calling.get(),
        })
    }

    /// Recognises the pointer that [`Traversal::run`] passes for a superblock.
    ///
    /// # Safety
    ///
    /// `argument` must be what one of lockd's predicates got for the data of the traversal.
    pub(crate) unsafe fn from_argument(argument: usize) -> Option<&'static Self> {
        if argument & 1 == 0 {
            return None;
        }
        // SAFETY: No superblock has an odd address, so it comes from `run`, which has not
        // returned: the predicate runs in the same task.
        unsafe { ptr::with_exposed_provenance::<Self>(argument & !1).as_ref() }
    }

    /// Whether locks of this file are released.
    pub(crate) fn takes_file(&self, file: &File<'_>) -> bool {
        if self.left.get().is_some() || !(self.takes)(file) {
            return false;
        }
        self.at_hand.set(AtHand {
            file: file.as_ptr(),
            counted: false,
            blocked: false,
            locks: None,
        });
        if self.recorder.file(file.raw_handle()).is_err() {
            self.left.set(Some(Left::Full(0)));
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
                    self.left.set(Some(Left::Full(short)));
                }
            }
        }
        !look
    }

    /// Whether what belongs to `host` is released. `caller` is the predicate's caller.
    pub(crate) fn takes_host(&self, host: &Host<'_>, caller: usize) -> bool {
        // Of a file of which something was left, all is: a request that still waits would be
        // granted what is released.
        if host.net() != self.net || self.left.get().is_some() {
            return false;
        }
        let mut at_hand = self.at_hand.get();
        // SAFETY: The file at hand is pinned until the traversal goes on to the next.
        let Some(file) = (unsafe { File::from_argument(at_hand.file.expose_provenance()) }) else {
            return false;
        };
        let before = self.dropped.get();
        let kind = Kind::of(caller);
        self.blocks.set(self.blocks.get() || kind == Kind::Blocked);
        let patient = match self.aim {
            Aim::Look => return false,
            Aim::EndCalls(lockd) => {
                if kind == Kind::Blocked && !at_hand.blocked {
                    // SAFETY: `nlmsvc_traverse_blocks()` asks with both locks held.
                    let any = unsafe { lockd.end_calls(&file) };
                    self.calling.set(self.calling.get() || any);
                    at_hand.blocked = true;
                    self.at_hand.set(at_hand);
                }
                return false;
            }
            Aim::Release { patient } => patient,
        };
        let takes = match kind {
            Kind::Lock => {
                let takes = at_hand.locks.unwrap_or_else(|| self.take_locks(&file));
                at_hand.locks = Some(takes);
                takes
            }
            Kind::Blocked => {
                let takes = at_hand.blocked || self.take_blocked(&file, patient);
                at_hand.blocked = takes;
                takes
            }
            Kind::Share => self.take_share(&file),
        };
        if self.dropped.get() != before && !at_hand.counted {
            at_hand.counted = true;
            self.count(|dropped| dropped.files += 1);
        }
        self.at_hand.set(at_hand);
        takes
    }

    fn take_locks(&self, file: &File<'_>) -> bool {
        self.recorder.mark();
        // SAFETY: `nlm_traverse_locks()` asks with `flc_lock` held.
        match unsafe { file.locks_locked(|locks| self.recorder.locks(self.net, locks)) } {
            Ok(met) => {
                self.count(|dropped| dropped.locks += met);
                true
            }
            Err(Full) => {
                // SAFETY: As above.
                let short = unsafe { file.locks_locked(|locks| locks.count()) };
                self.left.set(Some(Left::Full(short)));
                self.recorder.forget();
                false
            }
        }
    }

    fn take_blocked(&self, file: &File<'_>, patient: bool) -> bool {
        // SAFETY: `nlmsvc_traverse_blocks()` asks with both locks held.
        if patient && unsafe { file.is_granting() } {
            self.left.set(Some(Left::Granting));
            return false;
        }
        let mut met = 0;
        let mut room = true;
        self.recorder.mark();
        // SAFETY: `nlmsvc_traverse_blocks()` asks with both locks held.
        unsafe {
            file.each_blocked(|host, range| {
                if host.net() == self.net && room {
                    met += 1;
                    room = self.recorder.blocked(&host, range).is_ok();
                }
            });
        }
        if room {
            self.count(|dropped| dropped.blocked += met);
        } else {
            self.left.set(Some(Left::Full(0)));
            self.recorder.forget();
        }
        room
    }

    fn take_share(&self, file: &File<'_>) -> bool {
        // SAFETY: `nlmsvc_traverse_shares()` asks about the first of that namespace: those before
        // it have been dropped.
        let room = match unsafe { file.first_share(self.net) } {
            Some((host, share)) => self.recorder.share(&host, share).is_ok(),
            None => true,
        };
        if !room {
            self.left.set(Some(Left::Full(0)));
        }
        self.count(|dropped| dropped.shares += u64::from(room));
        room
    }

    fn count(&self, f: impl FnOnce(&mut Dropped)) {
        let mut dropped = self.dropped.get();
        f(&mut dropped);
        self.dropped.set(dropped);
    }
}
