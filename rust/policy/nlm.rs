// SPDX-License-Identifier: GPL-2.0-only

//! The procedures of the Network Lock Manager protocol.
//!
//! Source: X/Open XNFS (C702), chapters 10 and 14; `include/linux/sunrpc/xdrgen/nlm4.h`.

use super::verdict::Op;

/// ONC RPC program number of NLM.
pub const PROGRAM: u32 = 100_021;

/// Layout of the decoded arguments that follow from the procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Args {
    /// `nlm_testargs`, `nlm4_testargs`.
    Test,
    /// `nlm_lockargs`, `nlm4_lockargs`.
    Lock,
    /// `nlm_shareargs`, `nlm4_shareargs`.
    Share,
    /// `nlm_unlockargs`, `nlm4_unlockargs`.
    Unlock,
    /// `nlm_shareargs`, `nlm4_shareargs`, to give the share up.
    Unshare,
    /// `nlm_cancargs`, `nlm4_cancargs`, to give a blocked request up.
    Cancel,
}

impl Args {
    /// The arguments of procedure `procedure`, which is numbered alike in versions 1, 3 and 4.
    ///
    /// Returns [`None`] for procedures that touch no lock of a client.
    pub const fn of(procedure: u32) -> Option<Self> {
        Some(match procedure {
            // TEST, TEST_MSG
            1 | 6 => Self::Test,
            // LOCK, LOCK_MSG, NM_LOCK
            2 | 7 | 22 => Self::Lock,
            // SHARE
            20 => Self::Share,
            // CANCEL, CANCEL_MSG
            3 | 8 => Self::Cancel,
            // UNLOCK, UNLOCK_MSG
            4 | 9 => Self::Unlock,
            // UNSHARE
            21 => Self::Unshare,
            _ => return None,
        })
    }

    /// What the request is to the policy.
    pub const fn op(self, reclaim: bool) -> Op {
        match self {
            Self::Unlock | Self::Unshare | Self::Cancel => Op::Release,
            Self::Test => Op::New,
            Self::Lock | Self::Share if reclaim => Op::Reclaim,
            Self::Lock | Self::Share => Op::New,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_procedure_is_classified() {
        let ops: [Option<Op>; 24] =
            core::array::from_fn(|procedure| Args::of(procedure as u32).map(|args| args.op(false)));
        let new = [1, 2, 6, 7, 20, 22];
        let release = [3, 4, 8, 9, 21];
        for (procedure, op) in ops.iter().enumerate() {
            let expected = if new.contains(&procedure) {
                Some(Op::New)
            } else if release.contains(&procedure) {
                Some(Op::Release)
            } else {
                None
            };
            assert_eq!(*op, expected, "procedure {procedure}");
        }
    }

    #[test]
    fn only_locks_and_shares_are_reclaimed() {
        assert_eq!(Args::Lock.op(true), Op::Reclaim);
        assert_eq!(Args::Share.op(true), Op::Reclaim);
        assert_eq!(Args::Test.op(true), Op::New);
        for args in [Args::Unlock, Args::Unshare, Args::Cancel] {
            assert_eq!(args.op(true), Op::Release);
        }
    }
}
