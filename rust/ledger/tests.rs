// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the ledger: lists against those of the standard library, and what is gathered against a
//! model that keeps every lock.

use super::{
    chunks::Chunks,
    gather::{
        Records,
        MAX_ENTRIES, //
    },
    *,
};
use crate::policy::{
    nfs4::had::{
        self,
        Modes,
        Span, //
    },
    state::{
        client::{
            Host,
            Transport, //
        },
        range::Range,
        share::Share,
        Full, //
    },
};
use kernel::alloc;
extern crate std;
use std::{
    collections::BTreeSet,
    vec,
    vec::Vec, //
};

/// A file with a handle that is understood.
pub(super) fn handle(file: u8) -> [u8; 16] {
    [1, 0, 1, 1, 0xd2, 4, 0, 0, file, 0, 0, 0, 9, 0, 0, 0]
}

pub(super) fn host(client: u8) -> Host {
    Host {
        client: [10, 0, 0, client].into(),
        transport: Transport::USUAL,
        server: Some([10, 0, 1, 1].into()),
    }
}

pub(super) fn range(svid: u32, exclusive: bool, start: u64, end: u64) -> Range {
    Range {
        svid,
        exclusive,
        start,
        end,
    }
}

pub(super) fn random(seed: &mut u64, below: u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

#[test]
fn chunks_are_a_list() {
    let mut seed = 1;
    // Eight elements a chunk.
    let mut chunks = Chunks::<u64, 64>::default();
    let mut model = Vec::new();
    for step in 0..if cfg!(miri) { 200 } else { 2_000 } {
        match random(&mut seed, 6) {
            0 => chunks.reserve(random(&mut seed, 20) as usize).unwrap(),
            1 => {
                let len = random(&mut seed, model.len() as u64 + 1) as usize;
                chunks.truncate(len);
                model.truncate(len);
            }
            2 | 3 => {
                let more = random(&mut seed, 20);
                let added = chunks.extend(&mut (step..step + more)).unwrap();
                assert_eq!(added, more);
                model.extend(step..step + more);
            }
            _ => {
                chunks.push(step).unwrap();
                model.push(step);
            }
        }
        assert_eq!(chunks.len(), model.len());
        assert_eq!(chunks.is_empty(), model.is_empty());
        assert_eq!(chunks.last(), model.last());
        assert!(chunks.iter().eq(model.iter()), "step {step}");
    }
    for (at, value) in model.iter().enumerate() {
        assert_eq!(chunks.get(at), Some(value));
    }
    assert_eq!(chunks.get(model.len()), None);
}

/// NFSv4 and NLM call a file by the same handle.
#[test]
fn a_file_is_the_same_to_nfs4() {
    let mut records = Records::default();
    let long: &[u8] = &[
        1, 0, 1, 0x81, 0xd2, 4, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0,
    ];
    // Of a filesystem that writes something else where others have the number.
    let odd: &[u8] = &[
        1, 0, 1, 1, 0xd2, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 9, 0, 0, 0,
    ];
    let add = |records: &mut Records, handle: &[u8]| {
        let who = Who {
            handle,
            host: host(1),
            name: b"c1",
        };
        let line = Line::Lock(who, range(1, true, 0, 9));
        records.add(&line, None).unwrap();
    };
    for handle in [&handle(3)[..], &handle(5), long, odd] {
        add(&mut records, handle);
    }
    let ledger = Ledger::new(records).unwrap();
    let conflicts = |ledger: &Ledger, target, handle| {
        let what = What::Nfs4(target, handle);
        let outstanding = Outstanding::new(ledger).unwrap();
        match ledger.file_of(&what) {
            Some(file) => outstanding.conflicts(ledger, file, None, &what),
            None => ledger.may_have_file_of(&what),
        }
    };
    let [third, fifth, other] = [handle(3), handle(5), handle(4)];
    for (handle, expected) in [
        (&third[..], true),
        (&other, false),
        (&fifth, true),
        (long, true),
        (odd, true),
        (&[1, 0, 1, 0x71, 0xd2, 4, 0, 0, 7, 0, 0, 0], true),
    ] {
        let id = Some(FileId::of(handle));
        let found = conflicts(&ledger, Target::File(3, Ask::Other), id);
        assert_eq!(found, expected, "{handle:?}");
    }
    let lock = |start, end| {
        let (exclusive, span) = (false, Span { start, end });
        Ask::Lock(had::Lock { exclusive, span })
    };
    let open = Ask::Open {
        access: Modes::BOTH,
        deny: Modes::BOTH,
    };
    for (ask, expected) in [(lock(9, 9), true), (lock(10, 19), false), (open, false)] {
        let found = conflicts(&ledger, Target::File(3, ask), Some(FileId::of(&third)));
        assert_eq!(found, expected, "{ask:?}");
    }
    assert!(conflicts(&ledger, Target::Any, None));
    assert!(!conflicts(&ledger, Target::Sought, None));
    let mut records = Records::default();
    add(&mut records, &[1, 0, 1, 0x71, 0xd2, 4, 0, 0, 7, 0, 0, 0]);
    let opaque = Ledger::new(records).unwrap();
    let id = Some(FileId::of(&other));
    assert!(
        conflicts(&opaque, Target::Sought, None)
            && conflicts(&opaque, Target::File(4, Ask::Other), id)
    );
}

#[test]
fn what_is_appended_stays_together() {
    let mut chunks = Chunks::<u8, 16>::default();
    chunks.reserve(1).unwrap();
    let mut kept = Vec::new();
    for len in [0, 1, 15, 16, 2, 14, 3, 13, 16, 0, 5] {
        let bytes = vec![len as u8; len];
        let at = chunks.append(&bytes).unwrap();
        kept.push((at as usize, bytes));
    }
    assert_eq!(chunks.append(&[0; 17]), Err(Full));
    for (at, bytes) in kept {
        assert_eq!(chunks.slice(at, bytes.len()), bytes);
    }
}

#[test]
fn without_memory_there_is_no_more_room() {
    let mut chunks = Chunks::<u64, 64>::default();
    chunks.reserve(8).unwrap();
    alloc::fail_after(0);
    for value in 0..8 {
        assert_eq!(chunks.push(value), Ok(()));
    }
    assert_eq!(chunks.push(8), Err(Full));
    assert_eq!(chunks.extend(&mut (8..9)), Err(Full));
    assert_eq!(chunks.len(), 8);
    alloc::fail_after(usize::MAX);
    assert_eq!(chunks.push(8), Ok(()));
    assert!(chunks.iter().copied().eq(0..9));
}

/// What a hook is shown and what a file says end as the same list, in whatever order it came.
#[test]
fn all_that_is_gathered_is_listed_once() {
    let mut seed = 7;
    let most = if cfg!(miri) { 50 } else { 400 };
    for count in [0, 1, 2, 20, most] {
        let mut records = Records::default();
        let mut model = BTreeSet::new();
        for _ in 0..count {
            let (file, client) = (random(&mut seed, 5) as u8, random(&mut seed, 4) as u8);
            let (svid, start) = (random(&mut seed, 3) as u32, random(&mut seed, 40) * 10);
            let handle = handle(file);
            let who = Who {
                handle: &handle,
                host: host(client),
                name: b"c",
            };
            // Shared locks that are had twice are listed once.
            let line = Line::Lock(who, range(svid, false, start, start + 9));
            records.add(&line, None).unwrap();
            model.insert((file, client, svid, start));
        }
        let ledger = Ledger::new(records).unwrap();
        let listed: BTreeSet<_> = ledger
            .locks()
            .locks()
            .iter()
            .enumerate()
            .map(|(at, lock)| {
                let (owner, who) = ledger.who(Entry::Lock(at));
                assert_eq!(owner, lock.owner);
                assert_eq!(ledger.hosts().very(&who.host), Some(owner));
                assert_eq!(ledger.find_file(FileId::of(who.handle)), Some(lock.file));
                assert_eq!(lock.range.end, lock.range.start + 9);
                let client = match who.host.client {
                    std::net::IpAddr::V4(v4) => v4.octets()[3],
                    std::net::IpAddr::V6(_) => unreachable!(),
                };
                (who.handle[8], client, lock.range.svid, lock.range.start)
            })
            .collect();
        assert_eq!(listed.len(), ledger.len());
        assert_eq!(listed, model);
    }
}

#[test]
fn what_is_forgotten_is_not_listed() {
    let mut records = Records::default();
    records.reserve(8).unwrap();
    let file = records.file(&handle(1)).unwrap();
    let client = records.client(host(1), b"c1").unwrap();
    let lock = |records: &mut Records, start| {
        let mut ranges = core::iter::once((start, start));
        records
            .run(file, client, 1, true, &mut ranges)
            .and_then(|_| records.blocked(file, client, range(1, true, start, start)))
    };
    lock(&mut records, 1).unwrap();
    let mark = records.mark();
    lock(&mut records, 3).unwrap();
    lock(&mut records, 5).unwrap();
    records.forget(mark);
    lock(&mut records, 7).unwrap();
    let mut met = Vec::new();
    records.each(|_, what| match what {
        What::Range(_, range) => met.push(range.start),
        _ => panic!("{what:?}"),
    });
    assert_eq!(met, [1, 7]);
    let ledger = Ledger::new(records).unwrap();
    let starts = |list: &[Lock]| -> Vec<u64> { list.iter().map(|lock| lock.range.start).collect() };
    assert_eq!(starts(ledger.locks().locks()), [1, 7]);
    assert_eq!(starts(&ledger.blocked), [1, 7]);
}

#[test]
fn what_contradicts_itself_is_no_list() {
    let who = |client| Who {
        handle: &[1, 0, 1, 1, 0xd2, 4, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0],
        host: host(client),
        name: b"",
    };
    let mut records = Records::default();
    for (client, exclusive, start) in [(1, true, 0), (2, false, 9)] {
        let line = Line::Lock(who(client), range(1, exclusive, start, 9));
        records.add(&line, None).unwrap();
    }
    assert_eq!(Ledger::new(records).err(), Some(EINVAL));
    let share = |access, mode| Share {
        owner: b"o",
        access,
        mode,
    };
    let mut records = Records::default();
    for (client, share) in [(1, share(1, 2)), (2, share(2, 0))] {
        records.add(&Line::Share(who(client), share), None).unwrap();
    }
    assert_eq!(Ledger::new(records).err(), Some(EINVAL));
}

#[test]
fn shares_are_found_by_file() {
    let mut records = Records::default();
    for (file, client, mode) in [(2, 1, 0), (1, 2, 1), (2, 3, 0)] {
        let handle = handle(file);
        let who = Who {
            handle: &handle,
            host: host(client),
            name: b"",
        };
        let owner = [client];
        let share = Share {
            owner: &owner,
            access: 2,
            mode,
        };
        records.add(&Line::Share(who, share), None).unwrap();
    }
    let ledger = Ledger::new(records).unwrap();
    let file = ledger.find_file(FileId::of(&handle(2))).unwrap();
    let mut owners: Vec<_> = ledger
        .shares_on(file)
        .map(|listed| listed.share.owner[0])
        .collect();
    owners.sort_unstable();
    assert_eq!(owners, [1, 3]);
}

#[test]
#[cfg_attr(miri, ignore)]
fn a_list_has_an_end() {
    let mut records = Records::default();
    assert_eq!(records.reserve(2 * MAX_ENTRIES + 1), Err(E2BIG));
    assert!(!records.too_many());
    let file = records.file(&handle(1)).unwrap();
    let client = records.client(host(1), b"").unwrap();
    let mut ranges = (0..=MAX_ENTRIES as u64).map(|at| (2 * at, 2 * at));
    records.run(file, client, 1, true, &mut ranges).unwrap();
    assert!(records.too_many());
    assert_eq!(Ledger::new(records).err(), Some(E2BIG));
}
