// SPDX-License-Identifier: GPL-2.0-only

//! Whether clients of a unit may believe in something there that is on no list.
//!
//! What they hold was dropped, or nobody knows what they held before the unit came, and they have
//! had no time to reclaim it since. A list of what they hold by then would lack that.

/// How a recovery has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A client came to it, or all of its manifest was settled.
    Served,
    /// Nobody came, an administrator has ended it, and nothing is known that would be outstanding.
    Dismissed,
    /// Nobody could come, for all that is known, to what is outstanding or not listed.
    Unvisited,
}

/// What clients of a unit are owed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debt {
    /// The time to reclaim what was dropped, or what nobody came to reclaim.
    owed: bool,
    /// Nobody came to the last recovery.
    unvisited: bool,
    /// How often locks had been taken away in the namespace when clients began to have the time to
    /// reclaim, or all that they held was on a list.
    taken_away: u64,
}

impl Debt {
    /// Something that clients held was dropped.
    pub fn dropped(&mut self) {
        self.owed = true;
    }

    /// A recovery has ended. If nobody came, one lock that is taken later does not change that. When
    /// it began, locks had been taken away so often; who lost some in the middle of it need not have
    /// been told since.
    pub fn recovered(&mut self, how: Ended, taken_away: u64) {
        self.unvisited = how != Ended::Served;
        match how {
            Ended::Served => {
                self.owed = false;
                self.taken_away = self.taken_away.max(taken_away);
            }
            Ended::Dismissed => {}
            Ended::Unvisited => self.owed = true,
        }
    }

    /// A newer list was believed: what was dropped before is on it or reclaimed.
    pub fn believed(&mut self, taken_away: u64) {
        *self = Self {
            owed: false,
            unvisited: false,
            taken_away,
        };
    }

    /// Whether clients may still believe in locks that are not there; `nothing` is. Where nobody came
    /// to a recovery, that nothing is there is no evidence, whoever has ended it.
    pub fn is_owed(&self, nothing: bool) -> bool {
        self.owed || nothing && self.unvisited
    }

    /// Whether locks were taken away since, of which clients have had no time to reclaim them.
    pub fn lacks(&self, taken_away: u64) -> bool {
        self.taken_away != taken_away
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_owed_anything_at_first() {
        assert!(!Debt::default().is_owed(false) && !Debt::default().lacks(0));
    }

    #[test]
    fn what_was_dropped_is_owed_until_clients_come_to_a_recovery() {
        let mut debt = Debt::default();
        debt.dropped();
        assert!(debt.is_owed(false));
        debt.recovered(Ended::Unvisited, 0);
        assert!(debt.is_owed(false));
        debt.recovered(Ended::Served, 0);
        assert!(!debt.is_owed(false));
    }

    /// The list was believed, so nothing was owed; but nobody came for what is on it.
    #[test]
    fn a_recovery_to_which_nobody_came_is_owed() {
        let mut debt = Debt::default();
        debt.believed(0);
        assert!(!debt.is_owed(false));
        debt.recovered(Ended::Unvisited, 0);
        assert!(debt.is_owed(false));
        // The next list is what the next node made of it.
        debt.believed(0);
        assert!(!debt.is_owed(false));
    }

    #[test]
    fn who_ends_a_recovery_by_hand_knows_that_nobody_is_to_come() {
        let mut debt = Debt::default();
        debt.recovered(Ended::Dismissed, 0);
        assert!(!debt.is_owed(false) && debt.is_owed(true));
        // But not that nothing was dropped before.
        debt.dropped();
        debt.recovered(Ended::Dismissed, 0);
        assert!(debt.is_owed(false));
        debt.recovered(Ended::Served, 0);
        assert!(!debt.is_owed(true));
    }

    #[test]
    fn what_was_taken_away_in_the_middle_of_a_recovery_is_lacking() {
        let mut debt = Debt::default();
        assert!(debt.lacks(1));
        debt.recovered(Ended::Served, 1);
        assert!(!debt.lacks(1) && debt.lacks(2));
        debt.recovered(Ended::Unvisited, 2);
        assert!(debt.lacks(2));
        debt.believed(2);
        assert!(!debt.lacks(2));
    }
}
