// SPDX-License-Identifier: GPL-2.0-only

//! Whether clients of an address can be told. They reclaim on all filesystems behind it, and what they
//! reclaim where nothing recovers is lost.

use crate::mark::Mark;

/// What is known of one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// Clients can reclaim there.
    pub recovers: bool,
    /// It was released here.
    pub is_released: bool,
    /// What the last takeover has left of it.
    pub mark: Option<Mark>,
    /// It is exported.
    pub is_exported: bool,
}

/// What is missing on one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It does not recover.
    Recovery,
    /// It is not exported.
    Export,
}

impl Filesystem {
    /// Nothing that clients lost there is missing: the kernel knew who had something. They are through, or
    /// their time was over; and nobody else can have lost anything.
    fn is_through(&self) -> bool {
        !self.is_released && self.mark.as_ref().is_some_and(|mark| mark.is_listed)
    }

    fn command(&self) -> Option<&str> {
        self.mark.as_ref().map(|mark| mark.command.as_str())
    }
}

/// Those of which the recovery is over, but not because everybody is through: what clients have not
/// reclaimed there by now is lost.
pub fn over(all: &[Filesystem]) -> impl Iterator<Item = usize> + use<'_> {
    let is_over = |one: &Filesystem| !one.recovers && !one.is_through();
    (0..all.len()).filter(move |at| is_over(&all[*at]))
}

/// Which of them keeps clients from being told, and why. `floats` is whether the address is in
/// `floating_ips`.
///
/// One whose recovery began with that of another is no reason, although it is over: whoever is through has
/// nothing to lose, others have lost it, and those of the other one would lose all. Whether something is
/// exported is looked at where filesystems can come one after the other.
pub fn lack(all: &[Filesystem], floats: bool) -> Option<(usize, Lack)> {
    let has_recovered = |one: &Filesystem| {
        let began_with = |other: &Filesystem| other.recovers && other.command() == one.command();
        floats && !one.is_released && one.mark.is_some() && all.iter().any(began_with)
    };
    let idle = |one: &Filesystem| !one.recovers && !has_recovered(one);
    if let Some(at) = all.iter().position(idle) {
        return Some((at, Lack::Recovery));
    }
    let hidden = |one: &Filesystem| !one.is_exported && all.len() > 1;
    Some((all.iter().position(hidden)?, Lack::Export))
}
