// SPDX-License-Identifier: GPL-2.0-only

//! DOS share reservations: the modes by which one client keeps others from a whole file.

use crate::policy::words::{
    hex,
    number,
    value,
    Hex,
    Invalid,
    Words, //
};
use core::fmt;

/// A DOS share reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    /// The client's name for the holder.
    pub owner: &'a [u8],
    /// Access mode, as in the protocol.
    pub access: u32,
    /// Deny mode, as in the protocol.
    pub mode: u32,
}

impl<'a> Share<'a> {
    /// Whether `other` is of the same owner and asks for nothing, and denies nothing, that this one
    /// does not. lockd grants it either way (`nlmsvc_share_file()` changes the modes of a share).
    pub fn includes(&self, other: &Self) -> bool {
        self.owner == other.owner
            && other.access & !self.access == 0
            && other.mode & !self.mode == 0
    }

    /// Whether both cannot be had at once (`nlmsvc_share_file()`).
    pub fn conflicts(&self, other: &Self) -> bool {
        self.access & other.mode != 0 || self.mode & other.access != 0
    }

    /// Parses the words that a share is printed as; `buffer` receives the owner.
    pub(in crate::policy) fn parse(
        words: &mut Words<'_>,
        buffer: &'a mut [u8],
    ) -> Result<Self, Invalid> {
        let owner = hex(value(words, b"owner=")?, buffer)?;
        let access = u32::try_from(number(value(words, b"access=")?)?);
        let mode = u32::try_from(number(value(words, b"mode=")?)?);
        Ok(Self {
            owner,
            access: access.map_err(|_| Invalid)?,
            mode: mode.map_err(|_| Invalid)?,
        })
    }
}

impl fmt::Display for Share<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "owner={} access={} mode={}",
            Hex(self.owner),
            self.access,
            self.mode
        )
    }
}

/// Whether all of these shares can be had at once: file, access and deny mode of each, those of a
/// file next to each other.
pub fn consistent(shares: impl Iterator<Item = (u32, u32, u32)>) -> bool {
    let mut file = None;
    let (mut accessed, mut denied) = (0, 0);
    for (of, access, mode) in shares {
        if file.replace(of) != Some(of) {
            (accessed, denied) = (0, 0);
        }
        if access & denied != 0 || mode & accessed != 0 {
            return false;
        }
        accessed |= access;
        denied |= mode;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_that_deny_each_other_are_no_list() {
        type Shares = [(u32, u32, u32)];
        let cases: &[(&Shares, bool)] = &[
            (&[], true),
            (&[(0, 3, 3)], true),
            (&[(0, 1, 0), (0, 1, 2)], true),
            (&[(0, 1, 0), (0, 1, 1)], false),
            (&[(0, 1, 2), (0, 2, 0)], false),
            (&[(0, 1, 2), (1, 2, 0)], true),
            (&[(0, 1, 0), (0, 1, 0), (0, 0, 1)], false),
        ];
        for (shares, expected) in cases {
            let found = consistent(shares.iter().copied());
            assert_eq!(found, *expected, "{shares:?}");
        }
    }
}
