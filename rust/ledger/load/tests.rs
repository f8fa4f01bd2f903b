// SPDX-License-Identifier: GPL-2.0-only

//! Lists that are printed and read back.

use super::*;
use crate::{
    ledger::{
        print::Printer,
        tests::{
            handle,
            host,
            random,
            range, //
        },
        Ledger,
        Outstanding, //
    },
    policy::{
        fsid::Fsid,
        state::{
            fileid::FileId,
            range::Range,
            share::Share, //
        },
        verdict::What,
    },
};
extern crate std;
use std::{
    collections::BTreeSet,
    format,
    string::String,
    vec::Vec, //
};

fn header() -> Header {
    Header::Released {
        fsid: Fsid::parse(b"1234").unwrap(),
        taken: 1_763_731_234_000_000_001,
        valid: 90,
        nfs4: false,
    }
}

/// A reader that does not know of the list of NFSv4 clients stops at the first line.
#[test]
fn what_is_beside_a_list_of_nfs4_clients_says_so_in_both_lines() {
    let second = "unit fsid=1234 phase=released taken=1763731234.000000001 valid=90";
    for (version, word, expected) in [
        (1, "", true),
        (1, " nfs4=listed", false),
        (2, "", false),
        (2, " nfs4=listed", true),
        (2, " nfs4=yes", false),
        (3, " nfs4=listed", false),
    ] {
        let text = format!(
            "nfs-failover-manifest {version}\n{second}{word}\nend locks=0 blocked=0 shares=0\n"
        );
        let mut loader = Loader::new().unwrap();
        let read = load(&mut loader, &text, 4096);
        assert_eq!(read.is_ok(), expected, "{text}");
        if let Ok(mut complete) = read {
            let (header, records) = complete.pop().unwrap();
            assert_eq!(header.lists_nfs4(), version == 2);
            let ledger = Ledger::new(records).unwrap();
            let outstanding = Outstanding::new(&ledger).unwrap();
            assert_eq!(print(header, &ledger, &outstanding), text);
        }
    }
}

fn print(header: Header, ledger: &Ledger, outstanding: &Outstanding) -> String {
    let mut printer = Printer::new(header);
    let mut text = String::new();
    while !printer.is_done() {
        if let Some(line) = printer.step(ledger, outstanding) {
            text += &format!("{line}");
        }
    }
    text
}

/// What is complete after `text`, which comes in pieces of up to `piece` bytes.
fn load(loader: &mut Loader, text: &str, piece: usize) -> Result<Vec<Complete>> {
    let mut complete = Vec::new();
    for mut part in text.as_bytes().chunks(piece) {
        while !part.is_empty() {
            let (taken, more) = loader.take(part)?;
            complete.extend(more);
            part = &part[taken..];
        }
    }
    Ok(complete)
}

/// A few locks that are alone on their bytes, somebody who waits, and shares.
fn records(seed: &mut u64) -> Records {
    let mut records = Records::default();
    for at in 0..random(seed, if cfg!(miri) { 4 } else { 20 }) {
        let (handle, owner) = (handle(random(seed, 4) as u8), [at as u8]);
        let who = Who {
            handle: &handle,
            host: host(random(seed, 4) as u8),
            name: b"c 1",
        };
        let range = range(random(seed, 3) as u32, at % 2 == 0, 10 * at, 10 * at + 9);
        let share = Share {
            owner: &owner,
            access: 1,
            mode: 0,
        };
        records.add(&Line::Lock(who, range), None).unwrap();
        if at % 4 == 0 {
            records.add(&Line::Share(who, share), None).unwrap();
            let file = records.file(&handle).unwrap();
            let client = records.client(host(9), b"waits").unwrap();
            records.blocked(file, client, range).unwrap();
        }
    }
    records
}

#[test]
#[cfg_attr(miri, ignore)] // It takes too long there.
fn what_is_printed_is_read_back() {
    let mut seed = 3;
    for piece in [1, 2, 7, 100, 4096] {
        let ledger = Ledger::new(records(&mut seed)).unwrap();
        let outstanding = Outstanding::new(&ledger).unwrap();
        let text = print(header(), &ledger, &outstanding);
        let count = |kind| text.lines().filter(|line| line.starts_with(kind)).count();
        let [locks, blocked, shares] = ["lock ", "blocked ", "share "].map(count);
        let end = format!("\nend locks={locks} blocked={blocked} shares={shares}\n");
        assert!(text.ends_with(&end), "{text}");
        let mut loader = Loader::new().unwrap();
        let mut complete = load(&mut loader, &text, piece).unwrap();
        assert!(!loader.unfinished());
        let (read, records) = complete.pop().unwrap();
        assert!(complete.is_empty());
        assert_eq!(read, header());
        let again = Ledger::new(records).unwrap();
        assert_eq!(again.len(), ledger.len());
        let outstanding = Outstanding::new(&again).unwrap();
        // Shares of a file are in no order. Who waits is known by then, but waits no more.
        let held = |text: &str| -> BTreeSet<String> {
            let lines = text.lines().map(String::from);
            lines
                .filter(|it| it.starts_with("lock ") || it.starts_with("share "))
                .collect()
        };
        assert_eq!(held(&print(read, &again, &outstanding)), held(&text));
        let waits = text.contains("\nblocked ");
        assert_eq!(again.hosts().very(&host(9)).is_some(), waits);
    }
}

/// Of all kinds what is settled is in nobody's way, and is not printed.
#[test]
fn what_is_settled_is_left_out() {
    let mut seed = 5;
    for _ in 0..if cfg!(miri) { 2 } else { 20 } {
        let ledger = Ledger::new(records(&mut seed)).unwrap();
        let mut outstanding = Outstanding::new(&ledger).unwrap();
        let mut left = ledger.len() as u64;
        for entry in ledger.held() {
            assert_eq!(outstanding.left(), left);
            let (line, next) = outstanding.line(&ledger, entry, 0).unwrap();
            assert!(outstanding.line(&ledger, entry, next).is_none());
            let (owner, who) = ledger.who(entry);
            let id = FileId::of(who.handle);
            let (what, rival) = match line {
                Line::Lock(_, range) => {
                    let exclusive = true;
                    let rival = Range { exclusive, ..range };
                    (What::Range(id, range), What::Range(id, rival))
                }
                Line::Share(_, share) => {
                    let rival = Share {
                        owner: b"rival",
                        access: 0,
                        mode: 1,
                    };
                    (What::Share(id, share), What::Share(id, rival))
                }
                _ => panic!("{line:?}"),
            };
            assert!(ledger.lists(Some(owner), &what));
            assert!(!ledger.lists(None, &what));
            let file = ledger.file_of(&what).unwrap();
            assert!(outstanding.conflicts(&ledger, file, None, &rival));
            outstanding.settle(&ledger, file, owner, &what);
            assert!(outstanding.line(&ledger, entry, 0).is_none());
            left -= 1;
        }
        assert_eq!(outstanding.left(), 0);
        let text = print(header(), &ledger, &outstanding);
        assert!(
            !text.contains("\nlock ") && !text.contains("\nshare "),
            "{text}"
        );
        let mut loader = Loader::new().unwrap();
        let complete = load(&mut loader, &text, 4096).unwrap();
        assert!(matches!(&complete[..], [(_, records)] if records.is_empty()));
    }
}

#[test]
fn what_is_not_whole_is_no_list() {
    let mut records = Records::default();
    let who = Who {
        handle: &handle(1),
        host: host(1),
        name: b"",
    };
    let line = Line::Lock(who, range(1, true, 0, 9));
    records.add(&line, None).unwrap();
    let ledger = Ledger::new(records).unwrap();
    let text = print(header(), &ledger, &Outstanding::new(&ledger).unwrap());
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let [version, unit, lock, end] = lines[..] else {
        panic!("{text}");
    };
    let other = &unit.replace("1234", "1235");
    let cases: &[&[&str]] = &[
        &[unit],
        &[version, lock],
        &[version, version],
        &[version, end],
        &[version, unit, unit],
        &[version, unit, end],
        &[version, unit, lock, lock, end],
        // The lock is on another filesystem.
        &[version, other, lock],
        &[version, unit, "lock\n"],
    ];
    let mut loader = Loader::new().unwrap();
    for case in cases {
        let found = load(&mut loader, &case.concat(), 4096);
        assert_eq!(found.err(), Some(EINVAL), "{case:?}");
        assert!(!loader.unfinished(), "{case:?}");
    }
    load(&mut loader, &[version, unit, lock].concat(), 4096).unwrap();
    assert!(loader.unfinished());
    assert_eq!(load(&mut loader, end, 4096).unwrap().len(), 1);
    // What is held at the moment is for reading only.
    let held = print(
        Header::Held { taken: 1 },
        &ledger,
        &Outstanding::new(&ledger).unwrap(),
    );
    assert!(load(&mut loader, &held, 4096).unwrap().is_empty());
    assert!(!loader.unfinished());
}
