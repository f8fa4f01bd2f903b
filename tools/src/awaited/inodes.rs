// SPDX-License-Identifier: GPL-2.0-only

//! The files of a client on an old list: `5,7-9`, inode numbers and ranges of them, the smallest first.

use std::ops::RangeInclusive;

/// The numbers, if they are written as they should be; [`None`] within that if they are more than `most`.
pub fn parse(written: &str, most: u64) -> Option<Option<Vec<u64>>> {
    let mut before = None;
    let mut ranges = Vec::new();
    let mut count = 0_u64;
    for word in written.split(',') {
        let range = range(word)?;
        if before.is_some_and(|before| *range.start() <= before) {
            return None;
        }
        before = Some(*range.end());
        count = count.saturating_add((range.end() - range.start()).saturating_add(1));
        ranges.push(range);
    }
    Some((count <= most).then(|| ranges.into_iter().flatten().collect()))
}

fn range(word: &str) -> Option<RangeInclusive<u64>> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

fn number(word: &str) -> Option<u64> {
    let is_one = !word.is_empty() && word.len() <= super::DIGITS;
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| is_one && digits)
}
