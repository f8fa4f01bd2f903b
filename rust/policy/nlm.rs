// SPDX-License-Identifier: GPL-2.0-only

//! The procedures of the Network Lock Manager protocol.
//!
//! Source: X/Open XNFS (C702), chapters 10 and 14; `include/linux/sunrpc/xdrgen/nlm4.h`.

use super::{
    state::range::{
        Range,
        MAX_OFFSET, //
    },
    verdict::Op, //
};

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

/// Whether a client gives up all it had by procedure `procedure`: all of its address, because it has
/// rebooted, or all of the host that asks. [`None`] if it does not.
pub const fn gives_up_all(procedure: u32) -> Option<bool> {
    match procedure {
        // SM_NOTIFY, which statd calls (NLMPROC_NSM_NOTIFY).
        16 => Some(true),
        // FREE_ALL
        23 => Some(false),
        _ => None,
    }
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

/// As `lockd_set_file_lock_range4()`; [`None`] for what is beyond the largest offset.
pub fn range4(svid: u32, exclusive: bool, start: u64, len: u64) -> Option<Range> {
    let end = match len {
        0 => MAX_OFFSET,
        len => start.checked_add(len - 1)?,
    };
    (end <= MAX_OFFSET)
        .then_some(Range {
            svid,
            exclusive,
            start,
            end,
        })
        .filter(|range| range.start <= range.end)
}

/// As `lockd_set_file_lock_range3()`.
pub fn range3(svid: u32, exclusive: bool, start: u32, len: u32) -> Option<Range> {
    let end = start.wrapping_add(len).wrapping_sub(1) as i32;
    Some(Range {
        svid,
        exclusive,
        start: start.into(),
        end: if len == 0 || end < 0 {
            MAX_OFFSET
        } else {
            end as u64
        },
    })
    .filter(|range| range.start <= range.end)
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
    fn all_is_given_up_by_two_procedures() {
        for procedure in 0..30 {
            let expected = match procedure {
                16 => Some(true),
                23 => Some(false),
                _ => None,
            };
            assert_eq!(gives_up_all(procedure), expected, "procedure {procedure}");
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

    fn bytes(range: Option<Range>) -> Option<(u64, u64)> {
        range.map(|range| {
            assert_eq!((range.svid, range.exclusive), (7, true));
            (range.start, range.end)
        })
    }

    #[test]
    fn ranges_of_version_4_end_at_the_largest_offset() {
        const MAX: u64 = MAX_OFFSET;
        let cases = [
            (0, 0, Some((0, MAX))),
            (0, 1, Some((0, 0))),
            (5, 10, Some((5, 14))),
            (0, MAX, Some((0, MAX - 1))),
            (0, MAX + 1, Some((0, MAX))),
            (0, MAX + 2, None),
            (0, u64::MAX, None),
            (MAX, 0, Some((MAX, MAX))),
            (MAX, 1, Some((MAX, MAX))),
            (MAX, 2, None),
            (MAX + 1, 0, None),
            (MAX + 1, 1, None),
            (1, u64::MAX, None),
            // The last byte is beyond 64 bits.
            (2, u64::MAX, None),
            (u64::MAX, 0, None),
            (u64::MAX, 1, None),
            (u64::MAX, u64::MAX, None),
        ];
        for (start, len, expected) in cases {
            assert_eq!(
                bytes(range4(7, true, start, len)),
                expected,
                "{start} {len}"
            );
        }
    }

    #[test]
    fn ranges_of_version_3_wrap_around() {
        const LAST: u32 = i32::MAX as u32;
        let cases = [
            (0, 0, Some((0, MAX_OFFSET))),
            (0, 1, Some((0, 0))),
            (5, 10, Some((5, 14))),
            (0, LAST, Some((0, u64::from(LAST) - 1))),
            (0, LAST + 1, Some((0, u64::from(LAST)))),
            // What ends beyond 31 bits ends with the file.
            (0, LAST + 2, Some((0, MAX_OFFSET))),
            (0, u32::MAX, Some((0, MAX_OFFSET))),
            (LAST, 1, Some((LAST.into(), LAST.into()))),
            (LAST, 2, Some((LAST.into(), MAX_OFFSET))),
            (LAST + 1, 1, Some((u64::from(LAST) + 1, MAX_OFFSET))),
            (u32::MAX, 0, Some((u32::MAX.into(), MAX_OFFSET))),
            (u32::MAX, 1, Some((u32::MAX.into(), MAX_OFFSET))),
            // What ends before it begins is no range.
            (u32::MAX, 2, None),
            (5, u32::MAX, None),
        ];
        for (start, len, expected) in cases {
            assert_eq!(
                bytes(range3(7, true, start, len)),
                expected,
                "{start} {len}"
            );
        }
    }
}
