// SPDX-License-Identifier: GPL-2.0-only

//! What became of a lock, and what its unit counts for that.

use super::verdict::{
    Op,
    Reason,
    Verdict, //
};

/// How `nlmsvc_lock()` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client has the lock.
    Granted,
    /// It waits for it.
    Blocked,
    /// Anything else.
    Refused,
}

/// What a unit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// A reclaim that was granted.
    Reclaimed,
    /// A reclaim that lockd refused although the unit let it through.
    Refused,
    /// A reclaim that the unit refused.
    RefusedFor(Reason),
    /// A request that was told to wait.
    Wait,
}

impl Count {
    /// What the unit made of a request that counts like this.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Reclaimed | Self::Refused => Verdict::Pass,
            Self::RefusedFor(reason) => Verdict::Refuse(reason),
            Self::Wait => Verdict::Wait,
        }
    }
}

/// What a request that got `verdict` counts for, when it has ended like that.
pub fn count(op: Op, verdict: Verdict, outcome: Outcome) -> Option<Count> {
    match (op, outcome) {
        (Op::Reclaim, Outcome::Granted) => Some(Count::Reclaimed),
        (Op::Reclaim, Outcome::Blocked | Outcome::Refused) => Some(match verdict {
            Verdict::Refuse(reason) => Count::RefusedFor(reason),
            Verdict::Stock | Verdict::Pass | Verdict::Wait => Count::Refused,
        }),
        // It was counted when it was told to wait, if it was.
        (Op::New | Op::Release | Op::Return, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::verdict::tests::{
        OPS,
        VERDICTS, //
    };

    #[test]
    fn reclaims_are_counted_once_each() {
        for op in OPS {
            for verdict in VERDICTS {
                for outcome in [Outcome::Granted, Outcome::Blocked, Outcome::Refused] {
                    let expected = if op != Op::Reclaim {
                        None
                    } else if outcome == Outcome::Granted {
                        // Also one that was to be refused: the client has it.
                        Some(Count::Reclaimed)
                    } else if let Verdict::Refuse(reason) = verdict {
                        Some(Count::RefusedFor(reason))
                    } else {
                        Some(Count::Refused)
                    };
                    let case = (op, verdict, outcome);
                    assert_eq!(count(op, verdict, outcome), expected, "{case:?}");
                }
            }
        }
    }
}
