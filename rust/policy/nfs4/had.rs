// SPDX-License-Identifier: GPL-2.0-only

//! What a client of NFSv4 had on a file, and what that means for a request of another client, or for a
//! reclaim of its own.
//!
//! It is told by client and not by owner: what its processes may do to each other a client knows, and
//! reclaims all of it before it lets any of them go on.

use crate::policy::{
    state::range::{
        kind_and_bytes,
        MAX_OFFSET, //
    },
    words::{
        value,
        Invalid,
        Words, //
    },
};
use core::fmt;

/// Reading, writing, both or neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes(u8);

impl Modes {
    /// Neither.
    pub const NONE: Self = Self(0);
    /// Reading (`OPEN4_SHARE_ACCESS_READ`, `OPEN4_SHARE_DENY_READ`).
    pub const READ: Self = Self(1);
    /// Writing (`OPEN4_SHARE_ACCESS_WRITE`, `OPEN4_SHARE_DENY_WRITE`).
    pub const WRITE: Self = Self(2);
    /// Both.
    pub const BOTH: Self = Self(3);

    /// Of the numbers of the protocol. What else stands there is a wish.
    pub fn of(number: u32) -> Self {
        Self(number as u8 & Self::BOTH.0)
    }

    /// What either of two has.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn is_part_of(self, whole: Self) -> bool {
        self.0 & !whole.0 == 0
    }

    fn parse(word: &[u8]) -> Result<Self, Invalid> {
        match word {
            b"-" => Ok(Self::NONE),
            b"r" => Ok(Self::READ),
            b"w" => Ok(Self::WRITE),
            b"rw" => Ok(Self::BOTH),
            _ => Err(Invalid),
        }
    }
}

impl fmt::Display for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["-", "r", "w", "rw"][usize::from(self.0)])
    }
}

/// What a client had of a whole file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// For what its opens were.
    pub access: Modes,
    /// What they denied to others.
    pub deny: Modes,
    /// What was delegated to it: what it then does with the file, nobody else knows.
    pub delegated: Modes,
}

impl Whole {
    /// All there can be: where it is not known what it was.
    pub const ANYTHING: Self = Self {
        access: Modes::BOTH,
        deny: Modes::BOTH,
        delegated: Modes::BOTH,
    };

    /// What it had altogether.
    pub fn and(self, more: Self) -> Self {
        Self {
            access: self.access.and(more.access),
            deny: self.deny.and(more.deny),
            delegated: self.delegated.and(more.delegated),
        }
    }

    /// What its delegation, if it had one, let it do without asking. Who has a file open for writing, too,
    /// locks exclusively under a delegation for reading.
    fn unasked(self) -> Modes {
        match self.delegated {
            Modes::NONE => Modes::NONE,
            delegated => delegated.and(self.access),
        }
    }

    pub(super) fn parse(words: &mut Words<'_>) -> Result<Self, Invalid> {
        Ok(Self {
            access: Modes::parse(value(words, b"open=")?)?,
            deny: Modes::parse(value(words, b"deny=")?)?,
            delegated: Modes::parse(value(words, b"delegation=")?)?,
        })
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            access,
            deny,
            delegated,
        } = self;
        write!(f, "open={access} deny={deny} delegation={delegated}")
    }
}

/// Bytes of a file, from the first to the last, which is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first.
    pub start: u64,
    /// The last, at most `OFFSET_MAX`.
    pub end: u64,
}

impl Span {
    /// Of a lock as the protocol has it: a length of all ones reaches to the end of the file, whatever that
    /// will be. [`None`] if there is no such lock.
    pub fn of(start: u64, length: u64) -> Option<Self> {
        let end = match length {
            0 => return None,
            u64::MAX => MAX_OFFSET,
            _ => (start.checked_add(length)? - 1).min(MAX_OFFSET),
        };
        (start <= end).then_some(Self { start, end })
    }

    fn meets(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    fn is_part_of(self, whole: Self) -> bool {
        whole.start <= self.start && self.end <= whole.end
    }
}

/// A byte-range lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// For writing.
    pub exclusive: bool,
    /// Of which bytes.
    pub span: Span,
}

impl Lock {
    pub(super) fn parse(words: &mut Words<'_>) -> Result<Self, Invalid> {
        let (exclusive, start, end) = kind_and_bytes(words)?;
        Ok(Self {
            exclusive,
            span: Span { start, end },
        })
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.exclusive { "write" } else { "read" };
        let Span { start, end } = self.span;
        write!(f, "type={kind} start={start} end={end}")
    }
}

/// What is asked of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To open it.
    Open {
        /// For what.
        access: Modes,
        /// What others may not do meanwhile.
        deny: Modes,
    },
    /// To lock bytes of it.
    Lock(Lock),
    /// Anything else, such as to write without having it open, or to take its name away.
    Other,
}

/// What a client had on a file.
#[derive(Clone, Copy, Debug)]
pub struct Had<'a> {
    /// Of the whole file.
    pub whole: Whole,
    /// Its shared locks: no two overlap, and the first bytes come first.
    pub shared: &'a [Span],
    /// Its exclusive locks, likewise.
    pub exclusive: &'a [Span],
}

impl Had<'_> {
    /// Whether another client cannot have what it asks for beside that.
    pub fn conflicts(&self, ask: Ask) -> bool {
        let Self {
            whole,
            shared,
            exclusive,
        } = self;
        let unasked = whole.unasked();
        match ask {
            Ask::Open { access, deny } => {
                // A delegation for writing keeps everybody else away, one for reading those that write
                // or do not let others read.
                let recalls = match unasked.meets(Modes::WRITE) {
                    true => true,
                    false => {
                        unasked.meets(Modes::READ)
                            && (access.meets(Modes::WRITE) || deny.meets(Modes::READ))
                    }
                };
                recalls || whole.deny.meets(access) || whole.access.meets(deny)
            }
            Ask::Lock(lock) => {
                let unasked = match lock.exclusive {
                    true => unasked != Modes::NONE,
                    false => unasked.meets(Modes::WRITE),
                };
                unasked
                    || first_from(exclusive, lock.span).is_some_and(|span| span.meets(lock.span))
                    || lock.exclusive
                        && first_from(shared, lock.span).is_some_and(|span| span.meets(lock.span))
            }
            Ask::Other => true,
        }
    }

    /// Whether what it reclaims is, or is a part of, that.
    pub fn covers(&self, ask: Ask) -> bool {
        let Self {
            whole,
            shared,
            exclusive,
        } = self;
        if whole.delegated != Modes::NONE {
            return true;
        }
        match ask {
            Ask::Open { access, deny } => {
                access.is_part_of(whole.access) && deny.is_part_of(whole.deny)
            }
            Ask::Lock(Lock {
                exclusive: wanted,
                span,
            }) => {
                let within = |spans: &[Span]| {
                    first_from(spans, span).is_some_and(|whole| span.is_part_of(whole))
                };
                within(exclusive) || !wanted && within(shared)
            }
            Ask::Other => true,
        }
    }
}

/// The first that does not end before that begins.
fn first_from(spans: &[Span], wanted: Span) -> Option<Span> {
    let at = spans.partition_point(|span| span.end < wanted.start);
    spans.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Had<'_> = Had {
        whole: Whole {
            access: Modes::NONE,
            deny: Modes::NONE,
            delegated: Modes::NONE,
        },
        shared: &[],
        exclusive: &[],
    };

    fn whole(access: Modes, deny: Modes, delegated: Modes) -> Had<'static> {
        let whole = Whole {
            access,
            deny,
            delegated,
        };
        Had { whole, ..NOTHING }
    }

    fn open(access: Modes, deny: Modes) -> Ask {
        Ask::Open { access, deny }
    }

    fn lock(exclusive: bool, start: u64, end: u64) -> Ask {
        let span = Span { start, end };
        Ask::Lock(Lock { exclusive, span })
    }

    const ALL: [Modes; 4] = [Modes::NONE, Modes::READ, Modes::WRITE, Modes::BOTH];

    /// As `nfs4_file_check_deny()` and `nfsd_open_break_lease()` of nfsd have it, in other words: over all.
    #[test]
    fn opens() {
        let has = |modes: Modes, mode: Modes| [mode, Modes::BOTH].contains(&modes);
        for (access, deny) in ALL.iter().flat_map(|a| ALL.map(|d| (*a, d))) {
            for (other, denied) in ALL.iter().flat_map(|a| ALL.map(|d| (*a, d))) {
                let shut = [Modes::READ, Modes::WRITE].into_iter().any(|mode| {
                    has(other, mode) && has(deny, mode) || has(denied, mode) && has(access, mode)
                });
                let had = whole(access, deny, Modes::NONE);
                assert_eq!(had.conflicts(open(other, denied)), shut);
                let had = whole(access, deny, Modes::READ);
                let recalled = has(other, Modes::WRITE)
                    || has(denied, Modes::READ)
                    || has(access, Modes::WRITE);
                assert_eq!(had.conflicts(open(other, denied)), shut || recalled);
                assert!(whole(access, deny, Modes::BOTH).conflicts(open(other, denied)));
            }
        }
    }

    #[test]
    fn locks() {
        let span = |start, end| Span { start, end };
        let had = Had {
            shared: &[span(0, 9), span(20, 29)],
            exclusive: &[span(40, 49), span(60, MAX_OFFSET)],
            ..whole(Modes::BOTH, Modes::NONE, Modes::NONE)
        };
        for (exclusive, start, end, conflicts, covers) in [
            (false, 0, 9, false, true),
            (true, 0, 9, true, false),
            (true, 9, 9, true, false),
            (true, 10, 19, false, false),
            (true, 10, 20, true, false),
            (false, 5, 25, false, false),
            (false, 5, 8, false, true),
            (false, 30, 39, false, false),
            (false, 30, 40, true, false),
            (false, 41, 42, true, true),
            (true, 40, 49, true, true),
            (true, 40, 50, true, false),
            (true, 50, 59, false, false),
            (true, 50, MAX_OFFSET, true, false),
            (true, 60, MAX_OFFSET, true, true),
            (true, MAX_OFFSET, MAX_OFFSET, true, true),
        ] {
            let ask = lock(exclusive, start, end);
            assert_eq!(had.conflicts(ask), conflicts, "{ask:?}");
            assert_eq!(had.covers(ask), covers, "{ask:?}");
        }
        assert!(!NOTHING.conflicts(lock(true, 0, MAX_OFFSET)));
        assert!(!NOTHING.covers(lock(false, 0, 0)));
    }

    #[test]
    fn what_is_done_under_a_delegation_nobody_is_asked_for() {
        for (access, delegated, exclusive, conflicts) in [
            (Modes::NONE, Modes::READ, false, false),
            (Modes::NONE, Modes::READ, true, true),
            (Modes::READ, Modes::READ, false, false),
            (Modes::WRITE, Modes::READ, false, true),
            (Modes::NONE, Modes::BOTH, false, true),
            (Modes::NONE, Modes::BOTH, true, true),
            (Modes::BOTH, Modes::NONE, true, false),
        ] {
            let had = whole(access, Modes::NONE, delegated);
            let ask = lock(exclusive, 3, 4);
            assert_eq!(had.conflicts(ask), conflicts, "{had:?} {exclusive}");
            assert_eq!(had.covers(ask), delegated != Modes::NONE);
        }
        assert!(whole(Modes::NONE, Modes::NONE, Modes::READ).covers(open(Modes::BOTH, Modes::NONE)));
    }

    #[test]
    fn opens_that_are_reclaimed() {
        for (access, deny, covers) in [
            (Modes::READ, Modes::NONE, true),
            (Modes::WRITE, Modes::NONE, true),
            (Modes::BOTH, Modes::WRITE, true),
            (Modes::BOTH, Modes::READ, false),
        ] {
            let had = whole(Modes::BOTH, Modes::WRITE, Modes::NONE);
            assert_eq!(had.covers(open(access, deny)), covers);
        }
        let had = whole(Modes::READ, Modes::NONE, Modes::NONE);
        assert!(!had.covers(open(Modes::BOTH, Modes::NONE)));
    }

    #[test]
    fn everything_conflicts_with_anything_else_and_with_what_is_not_known() {
        assert!(NOTHING.conflicts(Ask::Other));
        let had = Had {
            whole: Whole::ANYTHING,
            ..NOTHING
        };
        for ask in [
            open(Modes::READ, Modes::NONE),
            lock(false, 0, 0),
            Ask::Other,
        ] {
            assert!(had.conflicts(ask) && had.covers(ask));
        }
    }

    #[test]
    fn a_lock_of_the_protocol() {
        let all = Some(Span {
            start: 0,
            end: MAX_OFFSET,
        });
        assert_eq!(Span::of(0, u64::MAX), all);
        assert_eq!(Span::of(0, MAX_OFFSET + 1), all);
        assert_eq!(Span::of(5, 5), Some(Span { start: 5, end: 9 }));
        for (start, length) in [
            (0, 0),
            (2, u64::MAX - 1),
            (MAX_OFFSET + 1, 1),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(Span::of(start, length), None, "{start} {length}");
        }
    }
}
