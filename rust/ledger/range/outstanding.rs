// SPDX-License-Identifier: GPL-2.0-only

//! What of the locks on the list is outstanding: neither reclaimed nor given up yet.
//!
//! A tree over the locks tells the largest outstanding byte of any stretch of them: what overlaps a
//! range is found in `O(log n)` a lock. A lock that is given back in parts shrinks from its ends; a
//! part from its middle takes one of a fixed number of holes. Without a free hole the part stays
//! outstanding.

use super::{
    listed::{
        Listed,
        Lock, //
    },
    tree, //
};
use crate::policy::state::range::Range;
use kernel::prelude::*;

/// Maximum number of locks that are settled at once, where nothing sleeps meanwhile.
const MAX_STEPS: usize = 1 << 16;

/// No hole.
const NONE: u32 = u32::MAX;

/// What is outstanding of a lock: from `first` to `last`, without its holes.
#[derive(Clone, Copy)]
struct Rest {
    first: u64,
    last: u64,
    hole: u32,
}

impl Rest {
    /// Whether nothing is outstanding.
    fn settled(&self) -> bool {
        self.first > self.last
    }
}

/// A part of a lock that is not outstanding any more although parts on both sides are.
#[derive(Clone, Copy)]
struct Hole {
    start: u64,
    end: u64,
    next: u32,
}

/// What of a list is outstanding. Its methods are given that very list.
pub(crate) struct Outstanding {
    /// One for each lock.
    rest: KVVec<Rest>,
    /// A tree over all locks.
    any: KVVec<u64>,
    /// A tree over exclusive locks only.
    exclusive: KVVec<u64>,
    holes: KVVec<Hole>,
    /// First free hole.
    free: u32,
    /// Locks of which anything is outstanding.
    left: u32,
}

impl Outstanding {
    /// All of a list. May sleep.
    pub(crate) fn new(listed: &Listed) -> Result<Self> {
        Self::with_holes(listed, listed.locks().len() / 16 + 64)
    }

    fn with_holes(listed: &Listed, holes: usize) -> Result<Self> {
        let locks = listed.locks();
        let mut rest = KVVec::with_capacity(locks.len(), GFP_KERNEL)?;
        for lock in locks {
            let all = Rest {
                first: lock.range.start,
                last: lock.range.end,
                hole: NONE,
            };
            rest.push(all, GFP_KERNEL)?;
        }
        let mut free = KVVec::with_capacity(holes, GFP_KERNEL)?;
        for at in 0..holes {
            let hole = Hole {
                start: 0,
                end: 0,
                next: if at + 1 < holes { at as u32 + 1 } else { NONE },
            };
            free.push(hole, GFP_KERNEL)?;
        }
        let tree = |counts: fn(&Lock) -> bool| -> Result<_> {
            let mut tree = KVVec::from_elem(0, tree::len(locks.len()), GFP_KERNEL)?;
            let value = |lock: &Lock| if counts(lock) { lock.range.end + 1 } else { 0 };
            tree::build(&mut tree, locks.iter().map(value));
            Ok(tree)
        };
        Ok(Self {
            rest,
            any: tree(|_| true)?,
            exclusive: tree(|lock| lock.range.exclusive)?,
            holes: free,
            free: if holes > 0 { 0 } else { NONE },
            left: locks.len() as u32,
        })
    }

    /// Of how many locks anything is outstanding.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// Whether a lock for `range` conflicts with anything outstanding of another holder.
    pub(crate) fn conflicts(
        &self,
        listed: &Listed,
        file: u32,
        owner: Option<u32>,
        range: &Range,
    ) -> bool {
        let Some((first, on_file)) = listed.of_file(file, listed.locks()) else {
            return false;
        };
        let behind = first + on_file.partition_point(|lock| lock.range.start <= range.end);
        let places = if range.exclusive {
            &*self.any
        } else {
            &*self.exclusive
        };
        let mut from = first;
        while let Some(at) = tree::first_at_least(places, from, behind, range.start + 1) {
            let lock = &listed.locks()[at];
            let own = Some(lock.owner) == owner && lock.range.svid == range.svid;
            if !own && self.outstanding_in(lock, at, range) {
                return true;
            }
            from = at + 1;
        }
        false
    }

    /// Takes `range` from what is outstanding of the holder, of no more than [`MAX_STEPS`] locks:
    /// what is behind these stays outstanding.
    pub(crate) fn settle(&mut self, listed: &Listed, file: u32, owner: u32, range: &Range) {
        for at in listed.of_holder(file, owner, range).take(MAX_STEPS) {
            let lock = &listed.locks()[at];
            if lock.range.start > range.end {
                break;
            }
            self.take(lock, at, range.start, range.end);
        }
    }

    /// Takes what is outstanding of the holder if it is `range`, of that type, and nothing else.
    ///
    /// A blocked request may have been granted just before the release, with the client not told
    /// yet. If the client cancels it then, it has no lock. Of anything more than was asked for it
    /// may know, and have it still.
    pub(crate) fn settle_cancelled(
        &mut self,
        listed: &Listed,
        file: u32,
        owner: u32,
        range: &Range,
    ) {
        for at in listed.of_holder(file, owner, range) {
            let lock = &listed.locks()[at];
            if lock.range == *range && self.part(listed, at, 0) == Some(*range) {
                self.take(lock, at, range.start, range.end);
            }
        }
    }

    /// Takes all that is outstanding of lock number `at`.
    pub(crate) fn settle_lock(&mut self, listed: &Listed, at: usize) {
        if let Some(lock) = listed.locks().get(at) {
            self.take(lock, at, lock.range.start, lock.range.end);
        }
    }

    /// The next outstanding part of lock number `at`, without what is before byte `from`.
    ///
    /// Who goes through a lock part by part asks for what is behind the last one: by number, one that
    /// goes meanwhile would have another skipped.
    pub(crate) fn part(&self, listed: &Listed, at: usize, from: u64) -> Option<Range> {
        let mut found = None;
        self.parts(listed.locks().get(at)?, at, |part| {
            if part.end >= from {
                found = found.or(Some(Range {
                    start: part.start.max(from),
                    ..part
                }));
            }
        });
        found
    }

    fn parts(&self, lock: &Lock, at: usize, mut f: impl FnMut(Range)) {
        let rest = &self.rest[at];
        if rest.settled() {
            return;
        }
        let part = |start, end| Range {
            start,
            end,
            ..lock.range
        };
        let mut start = rest.first;
        let mut next = rest.hole;
        while let Some(hole) = self.holes.get(next as usize) {
            f(part(start, hole.start - 1));
            start = hole.end + 1;
            next = hole.next;
        }
        f(part(start, rest.last));
    }

    fn outstanding_in(&self, lock: &Lock, at: usize, range: &Range) -> bool {
        let mut found = false;
        self.parts(lock, at, |part| {
            found |= part.start <= range.end && range.start <= part.end;
        });
        found
    }

    fn take(&mut self, lock: &Lock, at: usize, start: u64, end: u64) {
        let mut rest = self.rest[at];
        if rest.settled() || start > rest.last || end < rest.first {
            return;
        }
        if start > rest.first && end < rest.last {
            self.take_middle(at, start, end);
            return;
        }
        if start <= rest.first {
            rest.first = end + 1;
        } else {
            rest.last = start - 1;
        }
        self.rest[at] = rest;
        self.trim(at);
        let rest = self.rest[at];
        let value = if rest.settled() { 0 } else { rest.last + 1 };
        if value == 0 {
            self.left -= 1;
        }
        tree::update(&mut self.any, at, value);
        if lock.range.exclusive {
            tree::update(&mut self.exclusive, at, value);
        }
    }

    /// Takes a hole for a part with something outstanding, or another hole, on both sides.
    fn take_middle(&mut self, at: usize, mut start: u64, mut end: u64) {
        // Holes that touch the new one become part of it.
        let mut link = None;
        let mut next = self.rest[at].hole;
        while let Some(&hole) = self.holes.get(next as usize) {
            if hole.start > end.saturating_add(1) {
                break;
            }
            if hole.end.saturating_add(1) < start {
                link = Some(next);
                next = hole.next;
                continue;
            }
            start = start.min(hole.start);
            end = end.max(hole.end);
            self.relink(at, link, hole.next);
            self.holes[next as usize].next = self.free;
            self.free = next;
            next = hole.next;
        }
        let new = self.free;
        let Some(hole) = self.holes.get_mut(new as usize) else {
            return;
        };
        self.free = hole.next;
        *hole = Hole { start, end, next };
        self.relink(at, link, new);
    }

    fn relink(&mut self, at: usize, link: Option<u32>, to: u32) {
        match link {
            Some(before) => self.holes[before as usize].next = to,
            None => self.rest[at].hole = to,
        }
    }

    /// Gives back holes that are not between outstanding parts any more.
    fn trim(&mut self, at: usize) {
        let mut link = None;
        let mut next = self.rest[at].hole;
        while let Some(&hole) = self.holes.get(next as usize) {
            let rest = &mut self.rest[at];
            let gone = if rest.settled() || hole.end < rest.first {
                true
            } else if hole.start <= rest.first {
                rest.first = hole.end + 1;
                true
            } else if hole.start > rest.last {
                true
            } else if hole.end >= rest.last {
                rest.last = hole.start - 1;
                true
            } else {
                false
            };
            if gone {
                self.relink(at, link, hole.next);
                self.holes[next as usize].next = self.free;
                self.free = next;
            } else {
                link = Some(next);
            }
            next = hole.next;
        }
    }
}

#[cfg(test)]
mod tests;
