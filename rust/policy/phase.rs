// SPDX-License-Identifier: GPL-2.0-only

//! The phases of a unit, and what each of them means.
//!
//! Whoever has to know whether a phase grants, is swept or recovers asks the table: a further phase
//! is a further row, and does not compile before every column of it is filled in.

/// Phase of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has left this node: its locks were dropped and are reclaimed elsewhere.
    Released,
    /// It has come to this node: its clients reclaim their locks.
    Recovering,
}

/// What a phase means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The unit is not served here: nobody is granted anything, and whoever wants something is best
    /// turned away before a file of it is opened. Its manifest may be given away.
    pub departed: bool,
    /// What slips in is dropped: it is looked for again and again.
    pub swept: bool,
    /// Clients reclaim here, by a manifest if there is one. The phase is over early when nothing of
    /// that is outstanding, and what is asked for is granted when it ends.
    pub recovers: bool,
    /// If the unit is set in the same phase again, its manifest is still true.
    pub keeps_manifest: bool,
    /// What the log calls it.
    pub noun: &'static str,
    /// Its word in the status.
    pub word: &'static str,
    /// The same if there is a manifest of which nothing is outstanding.
    pub settled_word: &'static str,
}

impl Phase {
    /// The table.
    pub const fn means(self) -> Row {
        match self {
            Self::Released => Row {
                departed: true,
                swept: true,
                recovers: false,
                keeps_manifest: true,
                noun: "fence",
                word: "released",
                settled_word: "released",
            },
            Self::Recovering => Row {
                departed: false,
                swept: false,
                recovers: true,
                // The filesystem may have been elsewhere since.
                keeps_manifest: false,
                noun: "recovery",
                word: "recovering",
                settled_word: "recovered",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Locks are dropped behind the fence only, and reclaimed where the unit is served.
    #[test]
    fn rows_do_not_contradict_themselves() {
        for phase in [Phase::Released, Phase::Recovering] {
            let row = phase.means();
            assert!(!row.swept || row.departed, "{phase:?}");
            assert!(row.departed != row.recovers, "{phase:?}");
            assert!(row.recovers || row.word == row.settled_word, "{phase:?}");
        }
    }
}
