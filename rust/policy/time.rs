// SPDX-License-Identifier: GPL-2.0-only

//! Times, in nanoseconds.

use super::words::{
    number,
    Invalid, //
};
use core::fmt;

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

/// A time of the wall clock, printed as seconds with nine decimal places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Parses what was printed.
    pub(in crate::policy) fn parse(word: &[u8]) -> Result<Self, Invalid> {
        let point = word.iter().position(|byte| *byte == b'.').ok_or(Invalid)?;
        let (seconds, rest) = (&word[..point], &word[point + 1..]);
        if rest.len() != 9 {
            return Err(Invalid);
        }
        number(seconds)?
            .checked_mul(SECOND)
            .and_then(|nanoseconds| nanoseconds.checked_add(number(rest).ok()?))
            .map(Self)
            .ok_or(Invalid)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / SECOND, self.0 % SECOND)
    }
}
