// SPDX-License-Identifier: GPL-2.0-only

//! The list against a model that remembers every byte.

use super::*;
use crate::policy::{
    command::Invalid,
    manifest::listed::{
        arrange,
        order_by_holder,
        start_files, //
    },
};
extern crate std;
use std::{
    vec,
    vec::Vec, //
};

struct Memory {
    locks: Vec<Lock>,
    starts: Vec<u32>,
    by_holder: Vec<u32>,
    rest: Vec<Rest>,
    any: Vec<u64>,
    exclusive: Vec<u64>,
    holes: Vec<Hole>,
    state: State,
}

impl Memory {
    fn new(mut locks: Vec<Lock>, holes: usize) -> Result<Self, Invalid> {
        let len = arrange(&mut locks)?;
        locks.truncate(len);
        let mut by_holder: Vec<u32> = (0..len as u32).collect();
        order_by_holder(&locks, &mut by_holder);
        let files = locks.iter().map(|lock| lock.file as usize + 1).max();
        let mut starts = vec![0; files.unwrap_or(0) + 1];
        start_files(&locks, &mut starts);
        let mut memory = Self {
            locks,
            starts,
            by_holder,
            rest: vec![Rest::NONE; len],
            any: vec![0; tree::len(len)],
            exclusive: vec![0; tree::len(len)],
            holes: vec![Hole::NONE; holes],
            state: State::default(),
        };
        memory.outstanding().reset();
        Ok(memory)
    }

    fn outstanding(&mut self) -> Outstanding<'_> {
        Outstanding {
            listed: Listed {
                locks: &self.locks,
                starts: &self.starts,
                by_holder: &self.by_holder,
            },
            rest: &mut self.rest,
            any: &mut self.any,
            exclusive: &mut self.exclusive,
            holes: &mut self.holes,
            state: &mut self.state,
        }
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
    let locks = vec![lock(0, 0, 0, true, 0, 9), lock(0, 0, 1, false, 20, 29)];
    let mut memory = Memory::new(locks, 4).unwrap();
    let mut list = memory.outstanding();
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
    assert_eq!(list.state.outstanding, 2);
    list.settle_cancelled(0, 0, &range(0, true, 0, 9));
    assert_eq!(list.state.outstanding, 1);
    // Some of it is back, so the client knows of it.
    list.settle(0, 0, &range(1, false, 22, 23));
    list.settle_cancelled(0, 0, &range(1, false, 20, 29));
    assert_eq!(list.state.outstanding, 1);
}

#[test]
fn agrees_with_the_model() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..2_000 {
        let (locks, listed) = granted(&mut random);
        let mut left = listed.clone();
        let mut memory = Memory::new(locks, 64).unwrap();
        let mut list = memory.outstanding();
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
                assert!(!list.listed.lists(file, owner, &range));
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
            assert_eq!(list.listed.lists(file, owner, &range), had, "{range:?}");
            list.settle(file, owner, &range);
            for byte in range.start..=range.end {
                left.bytes[Model::at(file, owner, range.svid, byte)] = 0;
            }
            let rest = list
                .listed
                .locks
                .iter()
                .filter(|lock| left.outstanding(lock))
                .count();
            assert_eq!(list.state.outstanding as usize, rest);
            for at in 0..list.listed.locks.len() {
                let lock = list.listed.locks[at];
                let mut bytes = Vec::new();
                list.parts(at, |part| bytes.extend(part.start..=part.end));
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
        for _ in 0..300 {
            let mut memory = Memory::new(vec![lock(0, 0, 0, true, 0, BYTES - 1)], holes).unwrap();
            let mut list = memory.outstanding();
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
            assert_eq!(list.state.outstanding, 0);
        }
    }
}

#[test]
fn one_holder_through_two_addresses() {
    let shared = |start, end| lock(0, 0, 0, false, start, end);
    let mut memory = Memory::new(
        vec![shared(0, 9), shared(5, 19), shared(2, 3), shared(20, 29)],
        0,
    )
    .unwrap();
    let list = memory.outstanding();
    assert_eq!(list.listed.locks.len(), 3);
    assert!(list.listed.lists(0, 0, &shared(0, 29).range));
    assert!(!list.listed.lists(0, 0, &shared(0, 30).range));
    assert!(Memory::new(vec![shared(0, 9), lock(0, 0, 0, true, 9, 19)], 0).is_err());
    assert!(Memory::new(vec![lock(0, 0, 0, true, 0, 9); 2], 0).is_err());
}

#[test]
fn limits() {
    let most = super::super::text::MAX_OFFSET;
    let mut memory = Memory::new(vec![lock(0, 0, 0, true, 0, most)], 0).unwrap();
    let mut list = memory.outstanding();
    let last = lock(0, 1, 0, false, most, most).range;
    assert!(list.conflicts(0, Some(1), &last));
    assert!(list
        .listed
        .lists(0, 0, &lock(0, 0, 0, false, most, most).range));
    list.settle(0, 0, &lock(0, 0, 0, true, 0, most - 1).range);
    assert!(list.conflicts(0, Some(1), &last));
    list.settle(0, 0, &lock(0, 0, 0, true, 0, most).range);
    assert!(!list.conflicts(0, Some(1), &last));
    assert_eq!(list.state.outstanding, 0);

    let mut memory = Memory::new(vec![], 0).unwrap();
    let list = memory.outstanding();
    assert!(!list.conflicts(0, None, &lock(0, 0, 0, true, 0, most).range));
    assert!(!list.listed.lists(0, 0, &last));
}
