// SPDX-License-Identifier: GPL-2.0-only

//! What is delegated with an OPEN, where nfsd by itself would delegate too much, or too little.
//!
//! A Linux client that reclaims an OPEN, and claims a delegation that would cover it, takes the old one for
//! valid if it is given none: it tells the server of no lock that it has under it, now or later
//! (`update_open_stateid()` and `nfs4_lock_reclaim()`, fs/nfs/nfs4proc.c). So what is claimed is given, and
//! asked back at once where it should not be there; and if nfsd gives none, the client is told to come back,
//! and at last that this state is lost, which it notices.

use super::Course;

/// For what a delegation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reading.
    Read,
    /// Writing.
    Write,
}

/// An OPEN that could come with a delegation.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Whether it is reclaimed.
    pub reclaims: bool,
    /// What is claimed with it.
    pub claims: Option<Kind>,
    /// Whether it is for writing.
    pub writes: bool,
    /// Whether somebody would do what the delegation should keep away: another client has the file open that
    /// is opened for writing, or this one has it open for writing and opens it for reading.
    pub shared: bool,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gift {
    /// What nfsd gives.
    AsStock,
    /// Nothing is given.
    Nothing,
    /// What nfsd gives has to be given back at once.
    Recalled,
}

impl Opening {
    /// Whether the client would do without asking what it is opened for, given what it claims.
    pub fn relies(&self) -> bool {
        self.reclaims
            && match self.claims {
                None => false,
                Some(Kind::Read) => !self.writes,
                Some(Kind::Write) => true,
            }
    }

    /// What is done about it, `recovers` telling whether its filesystem does.
    pub fn gift(&self, recovers: bool) -> Gift {
        match (self.relies(), self.reclaims) {
            // nfsd looks at what is opened, not at what is claimed.
            (true, _) => match self.shared || self.claims == Some(Kind::Write) && !self.writes {
                true => Gift::Recalled,
                false => Gift::AsStock,
            },
            (false, true) if recovers => Gift::Nothing,
            (false, _) if self.shared => Gift::Nothing,
            (false, _) => Gift::AsStock,
        }
    }

    /// What becomes of it where it came without a delegation. It was granted `times` times by now.
    pub fn without(&self, times: u32) -> Option<Course> {
        match self.relies() {
            false => None,
            true if times < PATIENCE => Some(Course::Later),
            true => Some(Course::Lost),
        }
    }
}

/// How often a reclaim is granted before it is clear that no delegation comes with it. A Linux client repeats
/// it after 0.1 s, 0.2 s and so on: 6 s in all. By then nfsd has closed what an NFSv3 client wrote to
/// (`NFSD_LAUNDRETTE_DELAY`).
pub const PATIENCE: u32 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Opening> {
        let flags = [false, true];
        let claims = [None, Some(Kind::Read), Some(Kind::Write)];
        flags.into_iter().flat_map(move |reclaims| {
            claims.into_iter().flat_map(move |claims| {
                flags.into_iter().flat_map(move |writes| {
                    flags.into_iter().map(move |shared| Opening {
                        reclaims,
                        claims,
                        writes,
                        shared,
                    })
                })
            })
        })
    }

    #[test]
    fn a_client_is_never_left_with_a_delegation_that_it_only_believes_in() {
        for opening in all() {
            for recovers in [false, true] {
                let covered = opening.reclaims
                    && match opening.claims {
                        Some(Kind::Write) => true,
                        Some(Kind::Read) => !opening.writes,
                        None => false,
                    };
                assert_eq!(opening.without(1).is_some(), covered, "{opening:?}");
                if covered {
                    assert_ne!(opening.gift(recovers), Gift::Nothing, "{opening:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_kept_that_should_not_be_there() {
        for opening in all() {
            if opening.shared {
                assert_ne!(opening.gift(false), Gift::AsStock, "{opening:?}");
            }
            // Nobody has claimed it, or so much.
            let more = match opening.claims {
                None => true,
                Some(Kind::Read) => opening.writes,
                Some(Kind::Write) => false,
            };
            if opening.reclaims && more {
                assert_eq!(opening.gift(true), Gift::Nothing, "{opening:?}");
            }
            if opening.reclaims && opening.claims == Some(Kind::Write) && !opening.writes {
                assert_eq!(opening.gift(true), Gift::Recalled, "{opening:?}");
            }
        }
    }

    #[test]
    fn it_comes_back_for_a_while_and_is_lost_then() {
        let opening = Opening {
            reclaims: true,
            claims: Some(Kind::Write),
            writes: true,
            shared: false,
        };
        for times in 1..PATIENCE {
            assert_eq!(opening.without(times), Some(Course::Later));
        }
        assert_eq!(opening.without(PATIENCE), Some(Course::Lost));
        assert_eq!(opening.without(u32::MAX), Some(Course::Lost));
    }
}
