// SPDX-License-Identifier: GPL-2.0-only

//! Whether clients of an address can be told. They reclaim on all filesystems behind it, and what they
//! reclaim where nothing recovers is lost.

/// What is known of one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filesystem {
    /// Clients can reclaim there.
    pub recovers: bool,
    /// It was released here.
    pub is_released: bool,
    /// The command that has taken it over last, see [`crate::mark`].
    pub command: Option<String>,
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

/// Which of them keeps clients from being told, and why. `floats` is whether the address is in
/// `floating_ips`.
///
/// One whose recovery began with that of another is no reason, although it is over: all NFSv4 clients that
/// had something there are through, and nobody else had anything. Those of the other one would lose all.
/// Whether something is exported is looked at where filesystems can come one after the other.
pub fn lack(all: &[Filesystem], floats: bool) -> Option<(usize, Lack)> {
    let is_through = |one: &Filesystem| {
        let began_with = |other: &Filesystem| other.recovers && other.command == one.command;
        floats && !one.is_released && one.command.is_some() && all.iter().any(began_with)
    };
    let idle = |one: &Filesystem| !one.recovers && !is_through(one);
    if let Some(at) = all.iter().position(idle) {
        return Some((at, Lack::Recovery));
    }
    let hidden = |one: &Filesystem| !one.is_exported && all.len() > 1;
    Some((all.iter().position(hidden)?, Lack::Export))
}
