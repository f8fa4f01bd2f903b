// SPDX-License-Identifier: GPL-2.0-only

//! When a recovery ends in which clients still reclaim.
//!
//! A client sends its reclaims one after the other. One that is in the middle of them when the time is
//! over would lose the rest to whoever asks first; nfsd prolongs its own grace period for the same
//! reason (`clients_still_reclaiming()`), to twice its time at most.

use super::time::SECOND;

/// How long a recovery goes on after a reclaim, in nanoseconds.
pub const QUIET: i64 = 10 * SECOND as i64;

/// The end of a recovery that somebody found to be over: what is asked for has been granted since.
pub const CLOSED: i64 = i64::MIN;

/// The latest end of a recovery that begins now and has until `deadline`.
pub fn limit(now: i64, deadline: i64) -> i64 {
    deadline.saturating_add(deadline.saturating_sub(now).max(0))
}

/// The new end of a recovery, if it is put off by something that was reclaimed now.
///
/// One that is over stays over.
pub fn put_off(end: i64, limit: i64, now: i64) -> Option<i64> {
    let later = now.saturating_add(QUIET).min(limit);
    (now < end && end < later).then_some(later)
}

/// Whether no more than half of the time of a phase is over, which had until `deadline`, and `limit` at the
/// latest.
pub fn in_first_half(deadline: i64, limit: i64, now: i64) -> bool {
    now < deadline.saturating_sub(limit.saturating_sub(deadline) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: i64 = 1000 * SECOND as i64;
    const END: i64 = BEGIN + 60 * SECOND as i64;

    #[test]
    fn a_recovery_lasts_twice_its_time_at_most() {
        let limit = limit(BEGIN, END);
        assert_eq!(limit - BEGIN, 2 * (END - BEGIN));
        let (mut end, mut now) = (END, BEGIN);
        while now < end {
            end = put_off(end, limit, now).unwrap_or(end);
            now += SECOND as i64;
        }
        assert_eq!(end, limit);
    }

    #[test]
    fn only_a_reclaim_near_the_end_puts_it_off() {
        let limit = limit(BEGIN, END);
        for (now, expected) in [
            (BEGIN, None),
            (END - QUIET, None),
            (END - QUIET + 1, Some(END + 1)),
            (END - 1, Some(END + QUIET - 1)),
            (END, None),
            (END + 1, None),
        ] {
            assert_eq!(put_off(END, limit, now), expected, "{now}");
        }
        assert_eq!(put_off(limit, limit, limit - 1), None);
        assert_eq!(put_off(CLOSED, limit, BEGIN), None);
    }

    #[test]
    fn half_of_it() {
        let limit = limit(BEGIN, END);
        let half = BEGIN + (END - BEGIN) / 2;
        for (now, first) in [(BEGIN, true), (half - 1, true), (half, false), (END, false)] {
            assert_eq!(in_first_half(END, limit, now), first, "{now}");
        }
    }

    #[test]
    fn times_do_not_overflow() {
        assert_eq!(limit(i64::MIN, i64::MAX), i64::MAX);
        assert_eq!(limit(5, 3), 3);
        assert_eq!(put_off(i64::MAX, i64::MAX, i64::MAX - 1), None);
    }
}
