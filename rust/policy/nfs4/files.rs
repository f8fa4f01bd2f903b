// SPDX-License-Identifier: GPL-2.0-only

//! A list of files as it is written: `5,7-9`, inode numbers and ranges of them, the smallest first.

use crate::policy::words::{
    number,
    Invalid, //
};

/// Inode numbers, from the first to the last, which is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inodes {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl Inodes {
    fn parse(word: &[u8]) -> Result<Self, Invalid> {
        let mut parts = word.splitn(2, |byte| *byte == b'-');
        let first = number(parts.next().unwrap_or_default())?;
        let last = parts.next().map_or(Ok(first), number)?;
        match first <= last {
            true => Ok(Self { first, last }),
            false => Err(Invalid),
        }
    }

    /// How many they are.
    pub fn count(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// The parts of what was written, each of which stands behind the one before.
pub fn parse(written: &[u8]) -> impl Iterator<Item = Result<Inodes, Invalid>> + '_ {
    let mut before = None;
    written.split(|byte| *byte == b',').map(move |word| {
        let inodes = Inodes::parse(word)?;
        if before.is_some_and(|before| inodes.first <= before) {
            return Err(Invalid);
        }
        before = Some(inodes.last);
        Ok(inodes)
    })
}

/// Whether a number is among them. They stand in the order in which [`parse`] finds them.
pub fn contains(sorted: &[Inodes], inode: u64) -> bool {
    let after = sorted.partition_point(|inodes| inodes.first <= inode);
    after > 0 && inode <= sorted[after - 1].last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<const N: usize>(written: &str) -> Result<[Inodes; N], Invalid> {
        let mut found = [Inodes { first: 0, last: 0 }; N];
        let mut count = 0;
        for inodes in parse(written.as_bytes()) {
            found[count] = inodes?;
            count += 1;
        }
        assert_eq!(count, N);
        Ok(found)
    }

    #[test]
    fn numbers_and_ranges() {
        let found = parsed::<3>("5,7-9,9223372036854775807").unwrap();
        for (inode, expected) in [
            (0, false),
            (4, false),
            (5, true),
            (6, false),
            (7, true),
            (8, true),
            (9, true),
            (10, false),
            (i64::MAX as u64, true),
            (u64::MAX, false),
        ] {
            assert_eq!(contains(&found, inode), expected, "{inode}");
        }
        assert!(!contains(&[], 0));
        assert_eq!(found.map(Inodes::count), [1, 3, 1]);
    }

    #[test]
    fn what_is_no_list() {
        for written in [
            "",
            ",",
            "5,",
            ",5",
            "5,5",
            "6,5",
            "5-7,7",
            "9-8",
            "5-",
            "-5",
            "5--6",
            "5-6-7",
            "x",
            "+5",
            "5, 6",
            "99999999999999999999",
        ] {
            let bad = parse(written.as_bytes()).any(|inodes| inodes.is_err());
            assert!(bad, "{written}");
        }
    }
}
