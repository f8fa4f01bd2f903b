// SPDX-License-Identifier: GPL-2.0-only

//! What nfsd is made to answer an operation of NFSv4 that asks for the grace period.
//!
//! A client takes some answers to a reclaim for the end of more than that: `NFS4ERR_NO_GRACE` ends its
//! whole recovery, `NFS4ERR_GRACE` loses the state for good. `NFS4ERR_RECLAIM_BAD` costs the one state
//! only, and after `NFS4ERR_DELAY` it comes back (RFC 8881, section 15.1). So nfsd's answer to a reclaim
//! that is turned away is replaced when the operation has ended. It is turned away in a way that grants
//! nothing even if that cannot be done.

pub mod awaited;
pub mod delegation;
pub mod had;
pub mod list;
pub mod name;

use super::{
    outcome::{
        self,
        Count,
        Outcome, //
    },
    verdict::{
        Op,
        Reason,
        Verdict, //
    }, //
};

/// An operation that asks for the grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// OPEN.
    Open,
    /// LOCK.
    Lock,
    /// Any other: LOCKT, REMOVE, RENAME, ...
    Other,
}

/// What becomes of a reclaim where it asks for the grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It goes on as it is.
    AsIs,
    /// It goes on as a new request, which it cannot be told from by whether the client has completed
    /// its reclaims here.
    AsNew,
    /// It ends, and the client is told that this state is lost.
    Lost,
    /// It ends, and the client is told to come back.
    Later,
}

/// `NFS4ERR_DELAY`.
const DELAY: u32 = 10008;
/// `NFS4ERR_NOTSUPP`.
const NOTSUPP: u32 = 10004;
/// `NFS4ERR_STALE_CLIENTID`.
const STALE_CLIENTID: u32 = 10022;
/// `NFS4ERR_EXPIRED`.
const EXPIRED: u32 = 10011;
/// `NFS4ERR_GRACE`.
const GRACE: u32 = 10013;
/// `NFS4ERR_NO_GRACE`.
const NO_GRACE: u32 = 10033;
/// `NFS4ERR_DIRDELEG_UNAVAIL`.
pub const DIRDELEG_UNAVAIL: u32 = 10084;
/// `NFS4ERR_RECLAIM_BAD`.
const RECLAIM_BAD: u32 = 10034;
/// The first status that no client gets to see: nfsd has some for itself, such as `NFSERR_REPLAY_ME` for
/// a request of NFSv4.0 that it has answered before. RFC 8276 has the last of all.
const INTERNAL: u32 = 10097;
/// `NFS4_OK`.
pub const OK: u32 = 0;

impl Course {
    /// The status that the client gets; [`None`] if it is nfsd's.
    pub fn status(self) -> Option<u32> {
        match self {
            Self::AsIs | Self::AsNew => None,
            Self::Lost => Some(RECLAIM_BAD),
            Self::Later => Some(DELAY),
        }
    }
}

/// Whether a request asks for the grace period once, so that it can be counted there: OPEN and LOCK ask
/// twice, and are counted when they have ended. [`None`] is a request of NLM.
pub fn asks_once(operation: Option<Operation>) -> bool {
    match operation {
        Some(Operation::Open | Operation::Lock) => false,
        Some(Operation::Other) | None => true,
    }
}

/// What a request that got `verdict` is told of the grace period, and what becomes of it. `others`
/// tells whether a stock grace period is in force.
pub fn course(operation: Operation, op: Op, verdict: Verdict, others: bool) -> (bool, Course) {
    let stock = verdict.in_grace(op, others);
    match (operation, op, verdict) {
        (Operation::Lock, Op::Reclaim, Verdict::Pass) => (false, Course::AsNew),
        (Operation::Open | Operation::Lock, Op::Reclaim, Verdict::Refuse(reason)) => {
            (false, turned_away(reason))
        }
        (Operation::Open, Op::Reclaim, Verdict::Pass | Verdict::Stock | Verdict::Wait)
        | (Operation::Lock, Op::Reclaim, Verdict::Stock | Verdict::Wait)
        | (Operation::Other, Op::Reclaim, _)
        | (_, Op::New | Op::Release | Op::Return, _) => (stock, Course::AsIs),
    }
}

fn turned_away(reason: Reason) -> Course {
    match reason {
        // The filesystem, or its address, may be back in a moment.
        Reason::Released => Course::Later,
        Reason::Address | Reason::Unlisted => Course::Lost,
    }
}

/// What a client is told of a reclaim that took `course`, where nfsd says `status`; [`None`] if that.
pub fn told(operation: Operation, course: Course, status: u32) -> Option<u32> {
    // nfsd may have had a reason of its own, before or after. An OPEN that was granted may have come without
    // the delegation that is claimed with it.
    let ours = match status {
        NO_GRACE | NOTSUPP => true,
        OK => operation == Operation::Open,
        _ => false,
    };
    ours.then(|| course.status()).flatten()
}

/// Whether OPEN is asked for once more because it could come with a delegation: of locks, and not of opens.
///
/// None is given while somebody has something to get back, as it would only have to be recalled.
pub fn wants_delegation(operation: Option<Operation>, op: Op, of_opens: bool) -> bool {
    operation == Some(Operation::Open) && op == Op::New && !of_opens
}

/// What an OPEN that has found its file is told; [`None`] if nothing keeps it from that.
///
/// It was judged before, without the file. Or the unit is newer than that: what is opened on a filesystem
/// that has left would be on no list.
pub fn opening(op: Op, verdict: Verdict) -> Option<u32> {
    match (op, verdict) {
        (Op::New, Verdict::Wait) => Some(GRACE),
        (Op::Reclaim, Verdict::Refuse(Reason::Released)) => Some(DELAY),
        (Op::New | Op::Reclaim | Op::Release | Op::Return, _) => None,
    }
}

/// Whether a directory may be delegated, which nobody has to have.
pub fn delegates(verdict: Verdict) -> bool {
    verdict != Verdict::Wait
}

/// Whether a file keeps its name for now, where an operation would take it away, or give it another one.
pub fn unnaming(operation: Operation, op: Op, verdict: Verdict) -> bool {
    (operation, op, verdict) == (Operation::Other, Op::New, Verdict::Wait)
}

/// What a request that got `verdict` counts for, when it has ended with `status`.
pub fn count(op: Op, verdict: Verdict, status: u32) -> Option<Count> {
    match (op, verdict, status) {
        (Op::New, Verdict::Wait, GRACE) => Some(Count::Wait),
        // It comes back, with a client id that is known if that is what was wrong, or is answered what
        // it was answered before.
        (Op::Reclaim, Verdict::Stock | Verdict::Pass | Verdict::Wait, DELAY | STALE_CLIENTID) => {
            None
        }
        (Op::Reclaim, _, INTERNAL..) => None,
        (Op::Reclaim, _, OK) => outcome::count(op, verdict, Outcome::Granted),
        (Op::Reclaim, ..) => outcome::count(op, verdict, Outcome::Refused),
        (Op::New | Op::Release | Op::Return, ..) => None,
    }
}

/// What `nfs4_check_open_reclaim()` is made to return for a reclaimed OPEN: it would refuse a client that
/// has completed its reclaims here, or is not on this node's record. [`None`] if nothing.
pub fn open_reclaim(verdict: Verdict) -> Option<u32> {
    match verdict {
        Verdict::Pass => Some(OK),
        Verdict::Refuse(reason) => turned_away(reason).status(),
        Verdict::Stock | Verdict::Wait => None,
    }
}

/// What `set_client()` is made to return where it would return `status`, `moves` being whether
/// something that clients use by that address comes or goes.
///
/// An NFSv4.0 client whose lease is over does not reclaim, on no node. That is said to it where a release
/// has had it expired and the address is still up; and, as its short-hand name carries the second in
/// which nfsd was started, on a node that was started in the same second as the other.
pub fn client_status(status: u32, moves: impl FnOnce() -> bool) -> Option<u32> {
    (status == EXPIRED && moves()).then_some(STALE_CLIENTID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::verdict::tests::{
        OPS,
        VERDICTS, //
    };

    const OPERATIONS: [Operation; 3] = [Operation::Open, Operation::Lock, Operation::Other];

    /// Over the whole product of its inputs.
    #[test]
    fn table() {
        for operation in OPERATIONS {
            for op in OPS {
                for verdict in VERDICTS {
                    for others in [false, true] {
                        let expected = match (operation, op, verdict) {
                            (Operation::Other, ..) => None,
                            (_, Op::Reclaim, Verdict::Refuse(Reason::Released)) => {
                                Some(Course::Later)
                            }
                            (_, Op::Reclaim, Verdict::Refuse(_)) => Some(Course::Lost),
                            (Operation::Lock, Op::Reclaim, Verdict::Pass) => Some(Course::AsNew),
                            _ => None,
                        };
                        let expected = expected.map_or(
                            (verdict.in_grace(op, others), Course::AsIs),
                            // nfsd grants what it is asked in no grace period only as new.
                            |course| (false, course),
                        );
                        let case = (operation, op, verdict, others);
                        assert_eq!(course(operation, op, verdict, others), expected, "{case:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_lock_that_was_granted_is_never_told_to_be_lost() {
        for course in [Course::AsIs, Course::AsNew, Course::Lost, Course::Later] {
            assert_eq!(told(Operation::Lock, course, OK), None);
            assert_eq!(told(Operation::Open, course, OK), course.status());
            for operation in OPERATIONS {
                assert_eq!(told(operation, course, NO_GRACE), course.status());
                assert_eq!(told(operation, course, EXPIRED), None);
            }
        }
    }

    #[test]
    fn no_reclaim_is_told_of_the_grace_period() {
        for status in VERDICTS.into_iter().filter_map(open_reclaim) {
            assert!([OK, DELAY, RECLAIM_BAD].contains(&status));
        }
        for course in [Course::AsIs, Course::AsNew, Course::Lost, Course::Later] {
            assert_ne!(course.status(), Some(GRACE));
        }
    }

    #[test]
    fn what_comes_back_is_not_refused() {
        for (status, expected) in [
            (OK, Some(Count::Reclaimed)),
            (DELAY, None),
            (STALE_CLIENTID, None),
            (INTERNAL, None),
            (EXPIRED, Some(Count::Refused)),
            (RECLAIM_BAD, Some(Count::Refused)),
            (NO_GRACE, Some(Count::Refused)),
        ] {
            assert_eq!(
                count(Op::Reclaim, Verdict::Pass, status),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn an_open_that_has_found_its_file_is_held_up_if_it_has_to_wait() {
        for op in OPS {
            for verdict in VERDICTS {
                let expected = match (op, verdict) {
                    (Op::New, Verdict::Wait) => Some(GRACE),
                    (Op::Reclaim, Verdict::Refuse(Reason::Released)) => Some(DELAY),
                    _ => None,
                };
                assert_eq!(opening(op, verdict), expected, "{op:?} {verdict:?}");
            }
        }
    }

    #[test]
    fn a_file_keeps_its_name_if_what_would_take_it_has_to_wait() {
        for operation in OPERATIONS {
            for op in OPS {
                for verdict in VERDICTS {
                    let expected =
                        operation == Operation::Other && op == Op::New && verdict == Verdict::Wait;
                    assert_eq!(unnaming(operation, op, verdict), expected);
                }
            }
        }
    }

    #[test]
    fn only_the_expired_are_looked_at() {
        for status in [OK, STALE_CLIENTID, GRACE] {
            assert_eq!(client_status(status, || panic!("asked")), None);
        }
        assert_eq!(client_status(EXPIRED, || false), None);
        assert_eq!(client_status(EXPIRED, || true), Some(STALE_CLIENTID));
    }
}
