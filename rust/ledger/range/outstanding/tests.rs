// SPDX-License-Identifier: GPL-2.0-only

//! The list against a model that remembers every byte.

use super::*;
extern crate std;
use std::{
    vec,
    vec::Vec, //
};

/// A list, and what of it is outstanding.
struct List {
    listed: Listed,
    outstanding: Outstanding,
}

impl List {
    fn new(locks: &[Lock], holes: usize) -> Result<Self> {
        let files = locks.iter().map(|lock| lock.file as usize + 1).max();
        let mut all = KVVec::new();
        all.extend_from_slice(locks, GFP_KERNEL)?;
        let listed = Listed::new(all, files.unwrap_or(0))?;
        let outstanding = Outstanding::with_holes(&listed, holes)?;
        Ok(Self {
            listed,
            outstanding,
        })
    }

    fn lists(&self, file: u32, owner: u32, range: &Range) -> bool {
        self.listed.lists(file, owner, range)
    }

    fn conflicts(&self, file: u32, owner: Option<u32>, range: &Range) -> bool {
        self.outstanding.conflicts(&self.listed, file, owner, range)
    }

    fn settle(&mut self, file: u32, owner: u32, range: &Range) {
        self.outstanding.settle(&self.listed, file, owner, range);
    }

    fn settle_cancelled(&mut self, file: u32, owner: u32, range: &Range) {
        self.outstanding
            .settle_cancelled(&self.listed, file, owner, range);
    }

    fn left(&self) -> usize {
        self.outstanding.left() as usize
    }
}

fn lock(file: u32, owner: u32, svid: u32, exclusive: bool, start: u64, end: u64) -> Lock {
    Lock {
        file,
        owner,
        client: owner,
        range: Range {
            svid,
            exclusive,
            start,
            end,
        },
    }
}

/// xorshift, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

const FILES: u32 = 3;
const OWNERS: u32 = 3;
const SVIDS: u32 = 2;
const BYTES: u64 = 24;

/// What each byte of each file is to each holder: 0, 1 shared, 2 exclusive.
#[derive(Clone)]
struct Model {
    bytes: Vec<u8>,
}

impl Model {
    fn at(file: u32, owner: u32, svid: u32, byte: u64) -> usize {
        (((file * OWNERS + owner) * SVIDS + svid) as u64 * BYTES + byte) as usize
    }

    fn others(&self, file: u32, owner: Option<u32>, range: &Range, least: u8) -> bool {
        (range.start..=range.end).any(|byte| {
            (0..OWNERS).any(|other| {
                (0..SVIDS).any(|svid| {
                    (Some(other), svid) != (owner, range.svid)
                        && self.bytes[Self::at(file, other, svid, byte)] >= least
                })
            })
        })
    }

    fn outstanding(&self, lock: &Lock) -> bool {
        (lock.range.start..=lock.range.end)
            .any(|byte| self.bytes[Self::at(lock.file, lock.owner, lock.range.svid, byte)] > 0)
    }
}

/// Random locks that do not conflict, as a server would have granted them.
fn granted(random: &mut Random) -> (Vec<Lock>, Model) {
    let mut model = Model {
        bytes: vec![0; (FILES * OWNERS * SVIDS) as usize * BYTES as usize],
    };
    let mut locks = Vec::new();
    for _ in 0..random.below(40) {
        let start = random.below(BYTES);
        let end = start + random.below(BYTES - start);
        let new = lock(
            random.below(FILES.into()) as u32,
            random.below(OWNERS.into()) as u32,
            random.below(SVIDS.into()) as u32,
            random.below(2) == 1,
            start,
            end,
        );
        let least = if new.range.exclusive { 1 } else { 2 };
        let own = |byte| Model::at(new.file, new.owner, new.range.svid, byte);
        if model.others(new.file, Some(new.owner), &new.range, least)
            || (start..=end).any(|byte| model.bytes[own(byte)] > 0)
        {
            continue;
        }
        for byte in start..=end {
            model.bytes[own(byte)] = 1 + u8::from(new.range.exclusive);
        }
        locks.push(new);
    }
    (locks, model)
}

#[test]
fn cancelling_takes_what_was_asked_for_and_nothing_else() {
    let range = |svid, exclusive, start, end| lock(0, 0, svid, exclusive, start, end).range;
    let locks = [lock(0, 0, 0, true, 0, 9), lock(0, 0, 1, false, 20, 29)];
    let mut list = List::new(&locks, 4).unwrap();
    for other in [
        range(0, true, 0, 4),
        range(0, true, 0, 10),
        range(0, false, 0, 9),
        range(1, true, 20, 29),
        range(2, true, 0, 9),
    ] {
        list.settle_cancelled(0, 0, &other);
    }
    list.settle_cancelled(0, 1, &range(0, true, 0, 9));
    list.settle_cancelled(1, 0, &range(0, true, 0, 9));
    assert_eq!(list.left(), 2);
    list.settle_cancelled(0, 0, &range(0, true, 0, 9));
    assert_eq!(list.left(), 1);
    // Some of it is back, so the client knows of it.
    list.settle(0, 0, &range(1, false, 22, 23));
    list.settle_cancelled(0, 0, &range(1, false, 20, 29));
    assert_eq!(list.left(), 1);
}

#[test]
fn agrees_with_the_model() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let lists = if cfg!(miri) { 3 } else { 2_000 };
    for _ in 0..lists {
        let (locks, listed) = granted(&mut random);
        let mut left = listed.clone();
        let mut list = List::new(&locks, 64).unwrap();
        for _ in 0..60 {
            let (file, owner) = (random.below(4) as u32, random.below(3) as u32);
            let start = random.below(BYTES);
            let range = Range {
                svid: random.below(SVIDS.into()) as u32,
                exclusive: random.below(2) == 1,
                start,
                end: start + random.below(BYTES - start),
            };
            if file == FILES {
                assert!(!list.conflicts(file, Some(owner), &range));
                assert!(!list.lists(file, owner, &range));
                continue;
            }
            let least = if range.exclusive { 1 } else { 2 };
            for asking in [Some(owner), None] {
                let expected = left.others(file, asking, &range, least);
                assert_eq!(list.conflicts(file, asking, &range), expected, "{range:?}");
            }
            let had = (range.start..=range.end).all(|byte| {
                let had = listed.bytes[Model::at(file, owner, range.svid, byte)];
                had > u8::from(range.exclusive)
            });
            assert_eq!(list.lists(file, owner, &range), had, "{range:?}");
            list.settle(file, owner, &range);
            for byte in range.start..=range.end {
                left.bytes[Model::at(file, owner, range.svid, byte)] = 0;
            }
            let rest = list
                .listed
                .locks()
                .iter()
                .filter(|lock| left.outstanding(lock))
                .count();
            assert_eq!(list.left(), rest);
            for at in 0..list.listed.locks().len() {
                let lock = list.listed.locks()[at];
                let mut bytes = Vec::new();
                list.outstanding
                    .parts(&lock, at, |part| bytes.extend(part.start..=part.end));
                let expected: Vec<u64> = (lock.range.start..=lock.range.end)
                    .filter(|byte| {
                        left.bytes[Model::at(lock.file, lock.owner, lock.range.svid, *byte)] > 0
                    })
                    .collect();
                assert_eq!(bytes, expected);
            }
        }
    }
}

/// With too few holes parts stay outstanding, never the reverse, and all of a lock is settled by
/// settling all of it.
#[test]
fn without_holes_more_is_outstanding() {
    let mut random = Random(88_172_645_463_325_252);
    for holes in 0..3 {
        for _ in 0..if cfg!(miri) { 3 } else { 300 } {
            let mut list = List::new(&[lock(0, 0, 0, true, 0, BYTES - 1)], holes).unwrap();
            let mut left = vec![true; BYTES as usize];
            for _ in 0..12 {
                let start = random.below(BYTES);
                let end = start + random.below((BYTES - start).min(4));
                let range = lock(0, 0, 0, true, start, end).range;
                list.settle(0, 0, &range);
                left[start as usize..=end as usize].fill(false);
                for byte in 0..BYTES {
                    let probe = lock(0, 1, 0, false, byte, byte).range;
                    assert!(!left[byte as usize] || list.conflicts(0, Some(1), &probe));
                }
            }
            list.settle(0, 0, &lock(0, 0, 0, true, 0, BYTES - 1).range);
            assert_eq!(list.left(), 0);
        }
    }
}

/// Goes through lock 0 as it is printed; `between` happens after each part.
fn printed(list: &mut List, mut between: impl FnMut(&mut List)) -> Vec<u64> {
    let (mut bytes, mut from) = (Vec::new(), 0);
    while let Some(part) = list.outstanding.part(&list.listed, 0, from) {
        assert!(from <= part.start && part.start <= part.end);
        bytes.extend([part.start, part.end]);
        from = part.end + 1;
        between(list);
    }
    bytes
}

/// What is given up while a lock is printed part by part hides no other part of it.
#[test]
fn parts_that_go_hide_no_other() {
    type Bytes = (u64, u64);
    // What is given up of a lock of 100 bytes before it is printed, what after its first part, and
    // what is printed.
    type Case = (&'static [Bytes], Bytes, &'static [u64]);
    let cases: &[Case] = &[
        (&[], (0, 99), &[0, 99]),
        (&[(40, 49)], (60, 60), &[0, 39, 50, 59, 61, 99]),
        // The first part goes, and the others move up.
        (&[(40, 49)], (0, 39), &[0, 39, 50, 99]),
        (&[(40, 49)], (0, 59), &[0, 39, 60, 99]),
        (&[(40, 49)], (50, 99), &[0, 39]),
        (&[(40, 49), (60, 69)], (0, 55), &[0, 39, 56, 59, 70, 99]),
        (&[(0, 0), (40, 49)], (30, 49), &[1, 39, 50, 99]),
    ];
    let range = |(start, end)| lock(0, 0, 0, true, start, end).range;
    for (before, between, expected) in cases {
        let mut list = List::new(&[lock(0, 0, 0, true, 0, 99)], 8).unwrap();
        for bytes in *before {
            list.settle(0, 0, &range(*bytes));
        }
        let found = printed(&mut list, |list| list.settle(0, 0, &range(*between)));
        assert_eq!(found, *expected, "{before:?} {between:?}");
    }
}

/// No part is printed twice, and none that stays is left out, whatever is given up meanwhile.
#[test]
fn parts_that_stay_are_printed_once() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..2_000 {
        let mut list = List::new(&[lock(0, 0, 0, true, 0, BYTES - 1)], 64).unwrap();
        let mut give_up = |list: &mut List| {
            let start = random.below(BYTES);
            let end = start + random.below((BYTES - start).min(4));
            list.settle(0, 0, &lock(0, 0, 0, true, start, end).range);
        };
        for _ in 0..4 {
            give_up(&mut list);
        }
        let found = printed(&mut list, give_up);
        let found: Vec<u64> = found.chunks(2).flat_map(|part| part[0]..=part[1]).collect();
        assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        let lock = &list.listed.locks()[0];
        list.outstanding.parts(lock, 0, |part| {
            assert!((part.start..=part.end).all(|byte| found.contains(&byte)));
        });
    }
}

#[test]
fn one_holder_listed_twice() {
    let shared = |start, end| lock(0, 0, 0, false, start, end);
    let list = List::new(
        &[shared(0, 9), shared(5, 19), shared(2, 3), shared(20, 29)],
        0,
    )
    .unwrap();
    assert_eq!(list.listed.locks().len(), 3);
    assert!(list.lists(0, 0, &shared(0, 29).range));
    assert!(!list.lists(0, 0, &shared(0, 30).range));
    assert!(List::new(&[shared(0, 9), lock(0, 0, 0, true, 9, 19)], 0).is_err());
    assert!(List::new(&[lock(0, 0, 0, true, 0, 9); 2], 0).is_err());
}

#[test]
fn limits() {
    let most = crate::policy::state::range::MAX_OFFSET;
    let mut list = List::new(&[lock(0, 0, 0, true, 0, most)], 0).unwrap();
    let last = lock(0, 1, 0, false, most, most).range;
    assert!(list.conflicts(0, Some(1), &last));
    assert!(list.lists(0, 0, &lock(0, 0, 0, false, most, most).range));
    list.settle(0, 0, &lock(0, 0, 0, true, 0, most - 1).range);
    assert!(list.conflicts(0, Some(1), &last));
    assert_eq!(printed(&mut list, |_| ()), [most, most]);
    list.settle(0, 0, &lock(0, 0, 0, true, 0, most).range);
    assert!(!list.conflicts(0, Some(1), &last));
    assert_eq!(list.left(), 0);

    let list = List::new(&[], 0).unwrap();
    assert!(!list.conflicts(0, None, &lock(0, 0, 0, true, 0, most).range));
    assert!(!list.lists(0, 0, &last));
}
