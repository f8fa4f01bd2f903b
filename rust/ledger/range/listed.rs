// SPDX-License-Identifier: GPL-2.0-only

//! Which locks are listed. This does not change.
//!
//! Locks stand in the order of file and first byte. A second order, by file and holder, finds the
//! locks of one holder by binary search.

use crate::{
    ledger::sort,
    policy::{
        state::range::Range,
        words::Invalid, //
    },
};
use kernel::prelude::*;

/// A lock on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    /// The file, as numbered by the caller.
    pub(crate) file: u32,
    /// The host, as numbered by the caller: its address number.
    pub(crate) owner: u32,
    /// The client, for whoever prints the list.
    pub(crate) client: u32,
    /// What is locked, by which process.
    pub(crate) range: Range,
}

impl Lock {
    fn holder(&self) -> (u32, u32, u32) {
        (self.file, self.owner, self.range.svid)
    }
}

/// Sorts locks into the order of a [`Listed`] and returns how many are left: what one holder
/// has twice, here and as outstanding from elsewhere, is listed once.
///
/// Returns [`Invalid`] if that cannot be: only shared locks can be had twice, by one holder or by
/// several.
fn arrange(locks: &mut [Lock]) -> Result<usize, Invalid> {
    sort::by_key(locks, |lock| {
        (lock.holder(), lock.range.start, lock.range.end)
    });
    let mut kept = 0;
    for at in 0..locks.len() {
        let mut lock = locks[at];
        if let Some(before) = locks[..kept]
            .last()
            .filter(|old| old.holder() == lock.holder())
        {
            if before.range.end >= lock.range.start {
                if before.range.exclusive || lock.range.exclusive {
                    return Err(Invalid);
                }
                if before.range.end >= lock.range.end {
                    continue;
                }
                lock.range.start = before.range.end + 1;
            }
        }
        locks[kept] = lock;
        kept += 1;
    }
    sort::by_key(&mut locks[..kept], |lock| {
        (lock.file, lock.range.start, lock.range.end)
    });
    match consistent(&locks[..kept]) {
        true => Ok(kept),
        false => Err(Invalid),
    }
}

/// Whether all of these can be held at once. They are in the order of file and first byte, and what
/// one holder has does not overlap.
fn consistent(locks: &[Lock]) -> bool {
    let mut file = None;
    // Behind the last byte of any lock so far, and of any exclusive one.
    let (mut any, mut exclusive) = (0, 0);
    for lock in locks {
        if file.replace(lock.file) != Some(lock.file) {
            (any, exclusive) = (0, 0);
        }
        let before = if lock.range.exclusive { any } else { exclusive };
        if lock.range.start < before {
            return false;
        }
        any = any.max(lock.range.end + 1);
        if lock.range.exclusive {
            exclusive = exclusive.max(lock.range.end + 1);
        }
    }
    true
}

/// Fills in where the locks of each file start, in the order of [`arrange`], and last where those
/// of the last file end.
fn start_files(locks: &[Lock], starts: &mut [u32]) {
    let mut at = 0;
    for (file, start) in starts.iter_mut().enumerate() {
        let before = |lock: &Lock| (lock.file as usize) < file;
        while locks.get(at).is_some_and(before) {
            at += 1;
        }
        *start = at as u32;
    }
}

/// Whether every byte of `range` is either in `held`, what the holder has now, or listed for it.
/// `reach(byte)` is the last listed byte without a gap from there. All of `held` must be at least as
/// exclusive as `range`.
///
/// A client that was granted something new before it was told to reclaim reclaims that, too, and
/// in one piece with what was listed if it is next to that.
pub(crate) fn covered(range: &Range, held: &[Range], reach: impl Fn(u64) -> Option<u64>) -> bool {
    let mut want = range.start;
    // Each step gets beyond one that is held, or to one, or to the end.
    for _ in 0..=2 * held.len() {
        let here = held
            .iter()
            .filter(|held| held.start <= want && want <= held.end)
            .map(|held| held.end);
        match here.max().max(reach(want)) {
            Some(last) if last >= range.end => return true,
            Some(last) => want = last + 1,
            None => return false,
        }
    }
    false
}

/// The list.
pub(crate) struct Listed {
    /// In the order of [`arrange`].
    locks: KVVec<Lock>,
    /// As from [`start_files`]: one for each file, and one more.
    starts: KVVec<u32>,
    /// Numbers of the locks, by file and holder.
    by_holder: KVVec<u32>,
}

impl Listed {
    /// Makes a list of locks of that many files. May sleep.
    ///
    /// Returns `EINVAL` if they cannot all be held at once.
    pub(crate) fn new(mut locks: KVVec<Lock>, files: usize) -> Result<Self> {
        let kept = arrange(&mut locks).map_err(|_| EINVAL)?;
        locks.truncate(kept);
        let mut starts = KVVec::from_elem(0, files + 1, GFP_KERNEL)?;
        start_files(&locks, &mut starts);
        let mut by_holder = KVVec::with_capacity(kept, GFP_KERNEL)?;
        for at in 0..kept {
            by_holder.push(at as u32, GFP_KERNEL)?;
        }
        sort::by_key(&mut by_holder, |at| {
            let lock = &locks[*at as usize];
            (lock.holder(), lock.range.start)
        });
        Ok(Self {
            locks,
            starts,
            by_holder,
        })
    }

    /// The locks, in the order of file and first byte.
    pub(crate) fn locks(&self) -> &[Lock] {
        &self.locks
    }

    /// Up to which byte, from its first on, the holder had `range`, at least as exclusively as
    /// that; [`None`] if it did not have the first.
    pub(crate) fn reach(&self, file: u32, owner: u32, range: &Range) -> Option<u64> {
        let mut reached = None;
        for at in self.of_holder(file, owner, range) {
            let listed = &self.locks[at].range;
            let want = reached.map_or(range.start, |last| last + 1);
            if listed.start > want || (range.exclusive && !listed.exclusive) {
                break;
            }
            reached = Some(listed.end);
            if listed.end >= range.end {
                break;
            }
        }
        reached
    }

    /// Whether the holder had all of `range`, at least as exclusively as that.
    pub(crate) fn lists(&self, file: u32, owner: u32, range: &Range) -> bool {
        self.reach(file, owner, range)
            .is_some_and(|last| last >= range.end)
    }

    /// Of `all`, which has one element for each lock, those of `file`, and where they start.
    pub(super) fn of_file<'a, T>(&self, file: u32, all: &'a [T]) -> Option<(usize, &'a [T])> {
        let at = file as usize;
        let [first, behind] = *self.starts.get(at..)?.first_chunk()?;
        let first = first as usize;
        Some((first, all.get(first..behind as usize)?))
    }

    /// The locks of the holder that do not end before `range`, in order. As they do not overlap,
    /// their ends are in order, too.
    pub(super) fn of_holder(
        &self,
        file: u32,
        owner: u32,
        range: &Range,
    ) -> impl Iterator<Item = usize> + use<'_> {
        let holder = (owner, range.svid);
        let locks = &self.locks;
        let (_, on_file) = self.of_file(file, &self.by_holder).unwrap_or_default();
        let first = on_file.partition_point(|at| {
            let lock = &locks[*at as usize];
            (lock.owner, lock.range.svid, lock.range.end) < (owner, range.svid, range.start)
        });
        let rest = on_file[first..].iter().map(|at| *at as usize);
        rest.take_while(move |at| (locks[*at].owner, locks[*at].range.svid) == holder)
    }
}

#[cfg(test)]
mod tests;
