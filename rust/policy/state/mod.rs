// SPDX-License-Identifier: GPL-2.0-only

//! What clients hold: the words for it that everything else uses.

pub mod client;
pub mod fileid;
pub mod range;
pub mod share;

use super::words::{
    number,
    value,
    Invalid,
    Words, //
};
use core::fmt;

/// There is no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// How much of each kind of state: on a list, or dropped by a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files that were held for clients; a list does not count them.
    pub files: u64,
    /// Byte-range locks.
    pub locks: u64,
    /// Blocked lock requests.
    pub blocked: u64,
    /// DOS share reservations.
    pub shares: u64,
}

impl Tally {
    /// Adds what another pass met.
    pub fn add(&mut self, more: &Self) {
        self.files += more.files;
        self.locks += more.locks;
        self.blocked += more.blocked;
        self.shares += more.shares;
    }

    /// Parses the words of the last line of a manifest.
    pub(in crate::policy) fn parse(words: &mut Words<'_>) -> Result<Self, Invalid> {
        Ok(Self {
            files: 0,
            locks: number(value(words, b"locks=")?)?,
            blocked: number(value(words, b"blocked=")?)?,
            shares: number(value(words, b"shares=")?)?,
        })
    }
}

/// Without the files.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "locks={} blocked={} shares={}",
            self.locks, self.blocked, self.shares
        )
    }
}
