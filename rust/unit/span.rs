// SPDX-License-Identifier: GPL-2.0-only

//! When the phase of a unit ends, which reclaims put off and the last client brings forward.

use crate::{
    policy::prolong,
    sys::timer, //
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// The rest of a phase.
pub(super) struct Span {
    /// The deadline, or later while clients reclaim; [`prolong::CLOSED`] if somebody found it over.
    end: Atomic<i64>,
    /// Its latest end.
    limit: i64,
}

impl Span {
    /// A phase that ends at `deadline`, and at `limit` at the latest.
    pub(super) fn new(deadline: i64, limit: i64) -> Self {
        Self {
            end: Atomic::new(deadline),
            limit,
        }
    }

    /// When it ends; [`prolong::CLOSED`] if somebody found that it has.
    pub(super) fn end(&self) -> i64 {
        self.end.load(Relaxed)
    }

    /// Something was reclaimed: whoever did so is given the time to go on.
    pub(super) fn put_off(&self) {
        self.change(|end| prolong::put_off(end, self.limit, timer::now()));
    }

    /// Whether the first half of its time is not over, if it had until `deadline`.
    pub(super) fn in_first_half(&self, deadline: i64, now: i64) -> bool {
        prolong::in_first_half(deadline, self.limit, now)
    }

    /// It ends no later than that.
    pub(super) fn bring_forward(&self, time: i64) {
        self.change(|end| (time < end).then_some(time));
    }

    /// Whether it is over. Then it stays so: a reclaim that has read the clock before does not put it
    /// off any more.
    pub(super) fn is_over(&self, now: i64) -> bool {
        let close = |end| (end <= now && end != prolong::CLOSED).then_some(prolong::CLOSED);
        self.change(close);
        self.end() <= now
    }

    fn change(&self, to: impl Fn(i64) -> Option<i64>) {
        let mut end = self.end();
        while let Some(other) = to(end) {
            match self.end.cmpxchg(end, other, Relaxed) {
                Ok(_) => return,
                Err(now) => end = now,
            }
        }
    }
}
