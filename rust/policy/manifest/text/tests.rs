// SPDX-License-Identifier: GPL-2.0-only

//! Tests of `text.rs`.

use super::*;
use crate::policy::state::range::MAX_OFFSET;
extern crate std;
use std::{
    string::{
        String,
        ToString, //
    },
    vec,
    vec::Vec, //
};

const HANDLE: &[u8] = &[1, 0, 1, 1, 0xd2, 4, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0];
const NAME: &[u8] = b"c 1\\\xff";

fn lines() -> Vec<Line<'static>> {
    let who = Who {
        handle: HANDLE,
        host: Host {
            client: "10.0.0.21".parse().unwrap(),
            transport: Transport::USUAL,
            server: Some("fd00::5".parse().unwrap()),
        },
        name: b"c1",
    };
    let odd = Who {
        name: NAME,
        host: Host {
            server: None,
            ..who.host
        },
        ..who
    };
    let by = |udp, version| Who {
        host: Host {
            transport: Transport { udp, version },
            ..who.host
        },
        ..who
    };
    let range = Range {
        svid: 7,
        exclusive: true,
        start: 0,
        end: MAX_OFFSET,
    };
    let read = Range {
        exclusive: false,
        svid: u32::MAX,
        start: 5,
        end: 5,
    };
    let share = Share {
        owner: b"\x00\xff",
        access: 1,
        mode: 2,
    };
    let released = |nfs4| Header::Released {
        fsid: Fsid::Number(1234),
        taken: 1_763_731_234_000_000_001,
        valid: 90,
        nfs4,
    };
    vec![
        Line::Version(Version::Whole),
        Line::Unit(released(false)),
        Line::Unit(Header::Held { taken: 5 }),
        Line::Lock(who, range),
        Line::Lock(odd, read),
        Line::Lock(Who { name: b"", ..who }, read),
        Line::Lock(by(true, 4), range),
        Line::Lock(by(false, 3), read),
        Line::Blocked(who, read),
        Line::Blocked(by(true, 1), read),
        Line::Share(by(true, 3), share),
        Line::Share(who, share),
        Line::Share(
            who,
            Share {
                owner: b"",
                ..share
            },
        ),
        Line::Version(Version::BesideNfs4),
        Line::Unit(released(true)),
        Line::End(Tally {
            files: 0,
            locks: 1,
            blocked: 2,
            shares: 3,
        }),
    ]
}

#[test]
fn parses_what_it_prints() {
    for line in lines() {
        let text = line.to_string();
        assert!(text.len() < MAX_LINE);
        let mut buffers = Buffers::new();
        assert_eq!(
            Line::parse(text.as_bytes(), &mut buffers),
            Ok(line),
            "{text}"
        );
    }
}

#[test]
fn prints_one_line() {
    let texts: Vec<String> = lines().iter().map(ToString::to_string).collect();
    assert_eq!(
        texts[1],
        "unit fsid=1234 phase=released taken=1763731234.000000001 valid=90\n"
    );
    assert_eq!(
        texts[4],
        "lock fsid=1234 fh=01000101d20400000700000009000000 client=10.0.0.21 \
         name=c\\0401\\134\\377 server=- svid=4294967295 type=read start=5 end=5\n"
    );
    assert_eq!(
        texts[9],
        "blocked fsid=1234 fh=01000101d20400000700000009000000 client=10.0.0.21 name=c1 \
         server=fd00::5 svid=4294967295 type=read start=5 end=5 proto=udp vers=1\n"
    );
    assert_eq!(
        texts[10],
        "share fsid=1234 fh=01000101d20400000700000009000000 client=10.0.0.21 name=c1 \
         server=fd00::5 owner=00ff access=1 mode=2 proto=udp vers=3\n"
    );
    assert_eq!(texts[0], "nfs-failover-manifest 1\n");
    assert_eq!(
        texts[13..15],
        [
            "nfs-failover-manifest 2\n",
            "unit fsid=1234 phase=released taken=1763731234.000000001 valid=90 nfs4=listed\n"
        ]
    );
    assert_eq!(texts.last().unwrap(), "end locks=1 blocked=2 shares=3\n");
}

/// Every proper prefix of a line, and every line with one byte changed, is refused or means
/// something that prints differently.
#[test]
fn damage_is_noticed() {
    for line in lines() {
        let text = line.to_string();
        for len in 0..text.len() {
            let mut buffers = Buffers::new();
            let prefix = &text.as_bytes()[..len];
            assert!(Line::parse(prefix, &mut buffers).is_err(), "{text} {len}");
        }
        for at in 0..text.len() {
            for byte in [0, b'\n', b'x', b'=', b'\\', 0xff] {
                let mut damaged = text.clone().into_bytes();
                if damaged[at] == byte {
                    continue;
                }
                damaged[at] = byte;
                let mut buffers = Buffers::new();
                // The name of the filesystem behind the kind is not parsed.
                if let Ok(parsed) = Line::parse(&damaged, &mut buffers) {
                    assert!(parsed != line || text[..at].matches(' ').count() == 1);
                }
            }
        }
    }
}

#[test]
fn shares_conflict() {
    let share = |access, mode| Share {
        owner: b"",
        access,
        mode,
    };
    for (a, b, expected) in [
        (share(1, 2), share(1, 2), false),
        (share(1, 2), share(2, 0), true),
        (share(2, 0), share(1, 2), true),
        (share(3, 0), share(3, 0), false),
        (share(0, 3), share(0, 3), false),
    ] {
        assert_eq!(a.conflicts(&b), expected, "{a:?} {b:?}");
    }
}

#[test]
fn refuses_what_cannot_be() {
    let lock = |range: &str| {
        std::format!("lock fsid=1 fh=01 client=10.0.0.1 name=c server=10.0.0.5 {range}\n")
    };
    let cases = [
        lock("svid=1 type=write start=1 end=0"),
        lock("svid=1 type=write start=0 end=9223372036854775808"),
        lock("svid=1 type=write start=0 end=99999999999999999999"),
        lock("svid=4294967296 type=write start=0 end=1"),
        lock("svid=-1 type=write start=0 end=1"),
        lock("svid=1 type=rw start=0 end=1"),
        lock("svid=1 type=write start=0 end=1 more=1"),
        lock("type=write svid=1 start=0 end=1"),
        lock("svid=1 type=write start=0"),
        lock("svid=1 type=write start=0 end=1 proto=sctp"),
        lock("svid=1 type=write start=0 end=1 vers=2"),
        lock("svid=1 type=write start=0 end=1 vers=3 proto=udp"),
        lock("svid=1 type=write start=0 end=1 proto=udp proto=udp"),
        lock("proto=udp svid=1 type=write start=0 end=1"),
        "lock fsid=1 fh=0 client=10.0.0.1 name=c server=- svid=1 type=read start=0 end=1\n".into(),
        std::format!(
            "lock fsid=1 fh={} client=10.0.0.1 name=c server=- svid=1 type=read start=0 end=1\n",
            "00".repeat(MAX_HANDLE + 1)
        ),
        std::format!(
            "lock fsid=1 fh=00 client=10.0.0.1 name={} server=- svid=1 type=read start=0 end=1\n",
            "n".repeat(MAX_NAME + 1)
        ),
        "lock fsid=1 fh=00 client=c1 name=c server=- svid=1 type=read start=0 end=1\n".into(),
        "nfs-failover-manifest 3\n".into(),
        "unit fsid=1 phase=recovering taken=1.000000000 valid=1\n".into(),
        "unit fsid=1 phase=released taken=1.5 valid=1\n".into(),
        "unit fsid=1 phase=released taken=1.000000000\n".into(),
        "unit all phase=released taken=1.000000000 valid=1\n".into(),
        "unit fsid=1 phase=released taken=18446744074.000000000 valid=1\n".into(),
        "end locks=1\n".into(),
        "\n".into(),
    ];
    for case in cases {
        let mut buffers = Buffers::new();
        assert_eq!(
            Line::parse(case.as_bytes(), &mut buffers),
            Err(Invalid),
            "{case}"
        );
    }
}
