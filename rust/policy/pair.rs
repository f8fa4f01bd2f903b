// SPDX-License-Identifier: GPL-2.0-only

//! A client that locks through a floating address, and what statd has been told of the two.
//!
//! lockd knows a client by several hosts, one for each transport and protocol version. The client
//! is to be monitored before the first of them gets a lock, and until it has given up the locks of
//! the last of them. A client whose locks the server has taken away believes that it has them: it
//! stays on record, so that it is told to reclaim.

/// Maximum number of hosts that are told apart: two transports with three protocol versions.
const HOSTS: usize = 6;

/// What is known of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    hosts: [Option<usize>; HOSTS],
    /// There were more, so nobody knows which is the last.
    crowded: bool,
    /// statd has been told.
    monitored: bool,
    /// The client's record is known to be durable.
    recorded: bool,
    /// When the client came, in releases that were made before.
    since: u64,
}

/// What the pair loses with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the host was never monitored for it.
    Nothing,
    /// Nothing yet: other hosts need it.
    Host,
    /// It was the last host: statd need not monitor the client any more.
    Pair,
}

impl Pair {
    /// A client that came after that many releases.
    pub fn since(releases: u64) -> Self {
        Self {
            since: releases,
            ..Self::default()
        }
    }

    /// Whether `host` may get locks without statd being asked. If the address wants records to be
    /// confirmed (`confirm`), that must have happened.
    pub fn admits(&mut self, host: usize, confirm: bool) -> bool {
        let admits = self.monitored && (self.recorded || !confirm);
        if admits {
            self.add(host);
        }
        admits
    }

    /// statd was told of the pair for `host`; returns whether the host may get locks.
    pub fn monitored(&mut self, host: usize, confirm: bool) -> bool {
        self.monitored = true;
        self.add(host);
        self.admits(host, confirm)
    }

    /// The client's record is durable.
    pub fn record(&mut self) {
        self.recorded = true;
    }

    /// The client has no record any more.
    pub fn lose_record(&mut self) {
        self.recorded = false;
    }

    /// Whether the client's record is durable.
    pub fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// Whether statd has been told.
    pub fn is_monitored(&self) -> bool {
        self.monitored
    }

    /// A host goes.
    pub fn leave(&mut self, host: usize) -> Loss {
        let Some(slot) = self.hosts.iter_mut().find(|slot| **slot == Some(host)) else {
            return match self.crowded {
                true => Loss::Host,
                false => Loss::Nothing,
            };
        };
        *slot = None;
        match self.crowded || self.hosts.iter().any(Option::is_some) {
            true => Loss::Host,
            false => Loss::Pair,
        }
    }

    /// Whether a client without hosts may believe that it has locks, because they were taken away:
    /// lockd was stopped, or there was a release, of which `release` is the last, since it came.
    pub fn may_believe(&self, stopped: bool, release: u64) -> bool {
        stopped || self.since < release
    }

    /// statd does not monitor the client any more. If it comes again, statd is told again.
    pub fn unmonitored(&mut self) {
        self.monitored = false;
    }

    fn add(&mut self, host: usize) {
        if self.hosts.contains(&Some(host)) {
            return;
        }
        match self.hosts.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(host),
            None => self.crowded = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statd_is_asked_once() {
        let mut pair = Pair::default();
        assert!(!pair.admits(1, false));
        assert!(pair.monitored(1, false));
        assert!(pair.admits(1, false));
        // Another transport of the same client needs no question of its own.
        assert!(pair.admits(2, false));
    }

    #[test]
    fn nothing_is_granted_without_a_record_where_one_is_wanted() {
        let mut pair = Pair::default();
        assert!(!pair.monitored(1, true));
        assert!(!pair.admits(1, true));
        assert!(pair.admits(1, false));
        pair.record();
        assert!(pair.admits(1, true));
        // The record may be there before statd has been asked, which is still to be done.
        let mut pair = Pair::default();
        pair.record();
        assert!(!pair.admits(1, true));
        assert!(pair.monitored(1, true));
    }

    #[test]
    fn the_last_host_takes_the_pair_along() {
        let mut pair = Pair::default();
        assert!(pair.monitored(1, false));
        assert!(pair.admits(2, false));
        assert_eq!(pair.leave(3), Loss::Nothing);
        assert_eq!(pair.leave(1), Loss::Host);
        assert_eq!(pair.leave(1), Loss::Nothing);
        assert_eq!(pair.leave(2), Loss::Pair);
    }

    #[test]
    fn a_host_that_was_refused_is_one_too() {
        let mut pair = Pair::default();
        assert!(!pair.monitored(1, true));
        assert_eq!(pair.leave(1), Loss::Pair);
    }

    #[test]
    fn nobody_is_last_in_a_crowd() {
        let mut pair = Pair::default();
        for host in 0..=HOSTS {
            assert!(pair.monitored(host, false));
        }
        for host in 0..=HOSTS {
            assert_eq!(pair.leave(host), Loss::Host);
        }
    }

    #[test]
    fn whose_locks_were_taken_away_may_believe_to_have_them() {
        let pair = Pair::since(4);
        assert!(pair.may_believe(true, 0) && pair.may_believe(false, 5));
        // Who came after the last release had nothing to lose.
        assert!(!pair.may_believe(false, 4) && !pair.may_believe(false, 0));
    }

    #[test]
    fn who_comes_again_is_told_of_again() {
        let mut pair = Pair::default();
        pair.record();
        assert!(pair.monitored(1, true));
        assert_eq!(pair.leave(1), Loss::Pair);
        pair.unmonitored();
        assert!(pair.is_recorded() && !pair.admits(2, true));
        assert!(pair.monitored(2, true));
    }

    #[test]
    fn a_lost_record_is_none() {
        let mut pair = Pair::default();
        pair.record();
        assert!(pair.monitored(1, true));
        pair.lose_record();
        assert!(!pair.admits(1, true) && pair.admits(1, false));
        pair.record();
        assert!(pair.admits(1, true));
    }
}
