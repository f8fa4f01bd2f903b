// SPDX-License-Identifier: GPL-2.0-only

//! Which locks are listed, and what of them is outstanding: neither reclaimed nor given up yet.
//!
//! Locks stand in the order of file and first byte, and a tree over them tells the largest
//! outstanding byte of any stretch: what overlaps a range is found in `O(log n)` a lock. A second
//! order, by holder, finds the locks of one holder likewise. A lock that is given back in parts
//! shrinks from its ends; a part from its middle takes one of a fixed number of holes. Without a
//! free hole the part stays outstanding.
//!
//! The memory belongs to the caller: nothing here allocates.

use super::{
    sort,
    text::Range, //
};
use crate::policy::command::Invalid;

/// No hole.
const NONE: u32 = u32::MAX;

/// A lock on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The file, as numbered by the caller.
    pub file: u32,
    /// The client's address, as numbered by the caller.
    pub owner: u32,
    /// The client, for whoever prints the list.
    pub client: u32,
    /// What is locked, by which process.
    pub range: Range,
}

impl Lock {
    fn holder(&self) -> (u32, u32, u32) {
        (self.file, self.owner, self.range.svid)
    }
}

/// What is outstanding of a lock: from `left` to `right`, without its holes.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    left: u64,
    right: u64,
    hole: u32,
}

impl Rest {
    /// Before [`Index::reset`].
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
    /// Before [`Index::reset`].
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

/// Elements that each tree over `locks` locks takes.
pub fn tree_len(locks: usize) -> usize {
    2 * locks.next_power_of_two()
}

/// Sorts locks into the order an [`Index`] wants and returns how many are left: what one holder
/// has twice, through two addresses of a server, is listed once.
///
/// Returns [`Invalid`] if that cannot be: only shared locks can be had twice.
pub fn arrange(locks: &mut [Lock]) -> Result<usize, Invalid> {
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
    Ok(kept)
}

/// Sorts the numbers of locks by holder.
pub fn order_by_holder(locks: &[Lock], order: &mut [u32]) {
    sort::by_key(order, |at| {
        let lock = &locks[*at as usize];
        (lock.holder(), lock.range.start)
    });
}

/// Whether all of `range` is covered: by what one holder has now, `held`, which is at least as
/// exclusive, and by what it had, where `reach` tells up to which byte from a given one on.
///
/// A client that was granted something new before it was told to reclaim reclaims that, too, and
/// in one piece with what was listed if it is next to that.
pub fn covered(range: &Range, held: &[Range], reach: impl Fn(u64) -> Option<u64>) -> bool {
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
pub struct Index<'a> {
    /// In the order of [`arrange`].
    pub locks: &'a [Lock],
    /// In the order of [`order_by_holder`].
    pub by_holder: &'a [u32],
    /// One for each lock.
    pub rest: &'a mut [Rest],
    /// [`tree_len`] elements: over all locks.
    pub any: &'a mut [u64],
    /// [`tree_len`] elements: over exclusive locks only.
    pub exclusive: &'a mut [u64],
    /// As many as there are.
    pub holes: &'a mut [Hole],
    /// The numbers.
    pub state: &'a mut State,
}

impl<'a> Index<'a> {
    /// Makes everything outstanding.
    pub fn reset(&mut self) {
        let last = self.holes.len();
        for (at, hole) in self.holes.iter_mut().enumerate() {
            hole.next = if at + 1 < last { at as u32 + 1 } else { NONE };
        }
        *self.state = State {
            outstanding: self.locks.len() as u32,
            free: if last > 0 { 0 } else { NONE },
        };
        self.any.fill(0);
        self.exclusive.fill(0);
        let leaves = self.any.len() / 2;
        for (at, lock) in self.locks.iter().enumerate() {
            self.rest[at] = Rest {
                left: lock.range.start,
                right: lock.range.end,
                hole: NONE,
            };
            self.any[leaves + at] = lock.range.end + 1;
            if lock.range.exclusive {
                self.exclusive[leaves + at] = lock.range.end + 1;
            }
        }
        for node in (1..leaves).rev() {
            self.any[node] = self.any[2 * node].max(self.any[2 * node + 1]);
            self.exclusive[node] = self.exclusive[2 * node].max(self.exclusive[2 * node + 1]);
        }
    }

    /// Whether a lock for `range` conflicts with anything outstanding of another holder.
    pub fn conflicts(&self, file: u32, owner: Option<u32>, range: &Range) -> bool {
        let first = self.locks.partition_point(|lock| lock.file < file);
        let behind = self
            .locks
            .partition_point(|lock| (lock.file, lock.range.start) <= (file, range.end));
        let tree = if range.exclusive {
            &*self.any
        } else {
            &*self.exclusive
        };
        let mut from = first;
        while let Some(at) = next(tree, from, behind, range.start + 1) {
            let lock = &self.locks[at];
            let own = Some(lock.owner) == owner && lock.range.svid == range.svid;
            if !own && self.outstanding_in(at, range) {
                return true;
            }
            from = at + 1;
        }
        false
    }

    /// Whether anything of any lock on `file` is outstanding.
    pub fn outstanding_on(&self, file: u32) -> bool {
        let first = self.locks.partition_point(|lock| lock.file < file);
        let behind = self.locks.partition_point(|lock| lock.file <= file);
        next(self.any, first, behind, 1).is_some()
    }

    /// Up to which byte, from its first on, the holder had `range`, at least as exclusively as
    /// that; [`None`] if it did not have the first.
    pub fn reach(&self, file: u32, owner: u32, range: &Range) -> Option<u64> {
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
    pub fn lists(&self, file: u32, owner: u32, range: &Range) -> bool {
        self.reach(file, owner, range)
            .is_some_and(|last| last >= range.end)
    }

    /// Takes `range` from what is outstanding of the holder.
    pub fn settle(&mut self, file: u32, owner: u32, range: &Range) {
        for at in self.of_holder(file, owner, range) {
            if self.locks[at].range.start > range.end {
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
        for at in self.of_holder(file, owner, range) {
            if self.locks[at].range == *range && self.part(at, 0) == Some(*range) {
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
            ..self.locks[at].range
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

    /// The locks of the holder that do not end before `range`, in order. As they do not overlap,
    /// their ends are in order, too.
    fn of_holder(
        &self,
        file: u32,
        owner: u32,
        range: &Range,
    ) -> impl Iterator<Item = usize> + use<'a> {
        let holder = (file, owner, range.svid);
        let locks = self.locks;
        let first = self.by_holder.partition_point(|at| {
            let lock = &locks[*at as usize];
            (lock.holder(), lock.range.end) < (holder, range.start)
        });
        let rest = self.by_holder[first..].iter().map(|at| *at as usize);
        rest.take_while(move |at| locks[*at].holder() == holder)
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
        update(self.any, at, value);
        if self.locks[at].range.exclusive {
            update(self.exclusive, at, value);
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

/// The first leaf from `from` on, before `behind`, whose value is at least `least`.
fn next(tree: &[u64], from: usize, behind: usize, least: u64) -> Option<usize> {
    let leaves = tree.len() / 2;
    if from >= behind {
        return None;
    }
    let mut node = leaves + from;
    while tree[node] < least {
        // To the stretch right of this one: up until there is one, then over.
        while node & 1 == 1 {
            node >>= 1;
        }
        if node == 0 {
            return None;
        }
        node += 1;
    }
    while node < leaves {
        node *= 2;
        if tree[node] < least {
            node += 1;
        }
    }
    (node - leaves < behind).then_some(node - leaves)
}

fn update(tree: &mut [u64], at: usize, value: u64) {
    let mut node = tree.len() / 2 + at;
    tree[node] = value;
    while node > 1 {
        node /= 2;
        tree[node] = tree[2 * node].max(tree[2 * node + 1]);
    }
}

#[cfg(test)]
mod tests;
