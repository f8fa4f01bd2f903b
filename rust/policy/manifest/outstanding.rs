// SPDX-License-Identifier: GPL-2.0-only

//! What of the locks on the list is outstanding: neither reclaimed nor given up yet.
//!
//! A tree over the locks tells the largest outstanding byte of any stretch of them: what overlaps a
//! range is found in `O(log n)` a lock. A lock that is given back in parts shrinks from its ends; a
//! part from its middle takes one of a fixed number of holes. Without a free hole the part stays
//! outstanding.
//!
//! The memory belongs to the caller: nothing here allocates.

use super::{
    listed::{
        Listed,
        Lock, //
    },
    text::Range,
    tree, //
};

/// No hole.
const NONE: u32 = u32::MAX;

/// What is outstanding of a lock: from `left` to `right`, without its holes.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    left: u64,
    right: u64,
    hole: u32,
}

impl Rest {
    /// Before [`Outstanding::reset`].
    pub const NONE: Self = Self {
        left: 1,
        right: 0,
        hole: NONE,
    };

    /// Whether nothing is outstanding.
    pub fn settled(&self) -> bool {
        self.left > self.right
    }
}

/// A part of a lock that is not outstanding any more although parts on both sides are.
#[derive(Clone, Copy, Debug)]
pub struct Hole {
    start: u64,
    end: u64,
    next: u32,
}

impl Hole {
    /// Before [`Outstanding::reset`].
    pub const NONE: Self = Self {
        start: 0,
        end: 0,
        next: NONE,
    };
}

/// Numbers that change.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    /// Locks of which anything is outstanding.
    pub outstanding: u32,
    /// First free hole.
    free: u32,
}

/// What of the list is outstanding.
pub struct Outstanding<'a> {
    /// The list.
    pub listed: Listed<'a>,
    /// One for each lock.
    pub rest: &'a mut [Rest],
    /// [`tree::len`] elements: over all locks.
    pub any: &'a mut [u64],
    /// [`tree::len`] elements: over exclusive locks only.
    pub exclusive: &'a mut [u64],
    /// As many as there are.
    pub holes: &'a mut [Hole],
    /// The numbers.
    pub state: &'a mut State,
}

impl Outstanding<'_> {
    /// Makes everything outstanding.
    pub fn reset(&mut self) {
        let last = self.holes.len();
        for (at, hole) in self.holes.iter_mut().enumerate() {
            hole.next = if at + 1 < last { at as u32 + 1 } else { NONE };
        }
        *self.state = State {
            outstanding: self.listed.locks.len() as u32,
            free: if last > 0 { 0 } else { NONE },
        };
        for (rest, lock) in self.rest.iter_mut().zip(self.listed.locks) {
            *rest = Rest {
                left: lock.range.start,
                right: lock.range.end,
                hole: NONE,
            };
        }
        let value = |lock: &Lock, counts| if counts { lock.range.end + 1 } else { 0 };
        let locks = self.listed.locks.iter();
        tree::build(self.any, locks.clone().map(|lock| value(lock, true)));
        tree::build(
            self.exclusive,
            locks.map(|lock| value(lock, lock.range.exclusive)),
        );
    }

    /// Whether a lock for `range` conflicts with anything outstanding of another holder.
    pub fn conflicts(&self, file: u32, owner: Option<u32>, range: &Range) -> bool {
        let Some((first, on_file)) = self.listed.of_file(file, self.listed.locks) else {
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
            let lock = &self.listed.locks[at];
            let own = Some(lock.owner) == owner && lock.range.svid == range.svid;
            if !own && self.outstanding_in(at, range) {
                return true;
            }
            from = at + 1;
        }
        false
    }

    /// Takes `range` from what is outstanding of the holder.
    pub fn settle(&mut self, file: u32, owner: u32, range: &Range) {
        for at in self.listed.of_holder(file, owner, range) {
            if self.listed.locks[at].range.start > range.end {
                break;
            }
            self.take(at, range.start, range.end);
        }
    }

    /// Takes what is outstanding of the holder if it is `range`, of that type, and nothing else.
    ///
    /// A blocked request may have been granted just before the release, with the client not told
    /// yet. If the client cancels it then, it has no lock. Of anything more than was asked for it
    /// may know, and have it still.
    pub fn settle_cancelled(&mut self, file: u32, owner: u32, range: &Range) {
        for at in self.listed.of_holder(file, owner, range) {
            if self.listed.locks[at].range == *range && self.part(at, 0) == Some(*range) {
                self.take(at, range.start, range.end);
            }
        }
    }

    /// Outstanding part number `n` of lock number `at`.
    pub fn part(&self, at: usize, n: usize) -> Option<Range> {
        let (mut found, mut left) = (None, n);
        self.parts(at, |part| {
            if left == 0 {
                found = found.or(Some(part));
            } else {
                left -= 1;
            }
        });
        found
    }

    fn parts(&self, at: usize, mut f: impl FnMut(Range)) {
        let rest = &self.rest[at];
        if rest.settled() {
            return;
        }
        let part = |start, end| Range {
            start,
            end,
            ..self.listed.locks[at].range
        };
        let mut start = rest.left;
        let mut next = rest.hole;
        while let Some(hole) = self.holes.get(next as usize) {
            f(part(start, hole.start - 1));
            start = hole.end + 1;
            next = hole.next;
        }
        f(part(start, rest.right));
    }

    fn outstanding_in(&self, at: usize, range: &Range) -> bool {
        let mut found = false;
        self.parts(at, |part| {
            found |= part.start <= range.end && range.start <= part.end;
        });
        found
    }

    fn take(&mut self, at: usize, start: u64, end: u64) {
        let mut rest = self.rest[at];
        if rest.settled() || start > rest.right || end < rest.left {
            return;
        }
        if start > rest.left && end < rest.right {
            self.take_middle(at, start, end);
            return;
        }
        if start <= rest.left {
            rest.left = end + 1;
        } else {
            rest.right = start - 1;
        }
        self.rest[at] = rest;
        self.trim(at);
        let rest = self.rest[at];
        let value = if rest.settled() { 0 } else { rest.right + 1 };
        if value == 0 {
            self.state.outstanding -= 1;
        }
        tree::update(self.any, at, value);
        if self.listed.locks[at].range.exclusive {
            tree::update(self.exclusive, at, value);
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
            self.holes[next as usize].next = self.state.free;
            self.state.free = next;
            next = hole.next;
        }
        let new = self.state.free;
        let Some(hole) = self.holes.get_mut(new as usize) else {
            return;
        };
        self.state.free = hole.next;
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
            let gone = if rest.settled() || hole.end < rest.left {
                true
            } else if hole.start <= rest.left {
                rest.left = hole.end + 1;
                true
            } else if hole.start > rest.right {
                true
            } else if hole.end >= rest.right {
                rest.right = hole.start - 1;
                true
            } else {
                false
            };
            if gone {
                self.relink(at, link, hole.next);
                self.holes[next as usize].next = self.state.free;
                self.state.free = next;
            } else {
                link = Some(next);
            }
            next = hole.next;
        }
    }
}

#[cfg(test)]
mod tests;
