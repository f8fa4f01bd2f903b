// SPDX-License-Identifier: GPL-2.0-only

//! Byte ranges of a file, as NLM locks them.

use crate::policy::words::{
    number,
    value,
    Invalid,
    Words, //
};
use core::fmt;

/// Largest offset of a byte (`OFFSET_MAX`); a lock to the end of the file, whatever its length
/// will be, ends there.
pub const MAX_OFFSET: u64 = i64::MAX as u64;

/// A byte-range lock, or the request for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The client's process.
    pub svid: u32,
    /// For writing.
    pub exclusive: bool,
    /// First byte.
    pub start: u64,
    /// Last byte.
    pub end: u64,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.exclusive { "write" } else { "read" };
        write!(
            f,
            "svid={} type={kind} start={} end={}",
            self.svid, self.start, self.end
        )
    }
}

impl Range {
    /// Parses the words that a range is printed as.
    pub(in crate::policy) fn parse(words: &mut Words<'_>) -> Result<Self, Invalid> {
        let svid = u32::try_from(number(value(words, b"svid=")?)?).map_err(|_| Invalid)?;
        let (exclusive, start, end) = kind_and_bytes(words)?;
        Ok(Self {
            svid,
            exclusive,
            start,
            end,
        })
    }
}

/// Parses the words `type=<read|write> start=<first byte> end=<last byte>`: whether it is exclusive, and of
/// which bytes.
pub(in crate::policy) fn kind_and_bytes(
    words: &mut Words<'_>,
) -> Result<(bool, u64, u64), Invalid> {
    let exclusive = match value(words, b"type=")? {
        b"write" => true,
        b"read" => false,
        _ => return Err(Invalid),
    };
    let start = number(value(words, b"start=")?)?;
    let end = number(value(words, b"end=")?)?;
    match start <= end && end <= MAX_OFFSET {
        true => Ok((exclusive, start, end)),
        false => Err(Invalid),
    }
}
