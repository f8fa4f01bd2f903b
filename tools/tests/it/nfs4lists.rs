// SPDX-License-Identifier: GPL-2.0-only

//! A list of NFSv4 clients as it is written, read, cut down and given to the kernel.

use nfs_failoverctl::awaited::{
    Awaited,
    Lost, //
};
use nfs_failoverctl::held::{
    File,
    Files, //
};
use nfs_failoverctl::nfsd::in_pieces;
use nfs_failoverctl::policy::fsid::Fsid;
use nfs_failoverctl::policy::nfs4::had::{
    Modes,
    Span,
    Whole, //
};
use nfs_failoverctl::policy::nfs4::list::{
    MAX_CLIENTS,
    MAX_LINES, //
};
use std::io::{
    self,
    Write, //
};

/// What is read of a text at the moment it is of.
fn parse(text: &[u8]) -> Option<Awaited> {
    Awaited::believe(text, Fsid::Number(1234)).ok()
}

fn lost(completes: bool, files: impl IntoIterator<Item = (u64, File)>) -> Lost {
    let files = Some(files.into_iter().collect());
    Lost { completes, files }
}

fn spans(of: &[(u64, u64)]) -> Vec<Span> {
    let spans = of.iter().map(|(start, end)| Span {
        start: *start,
        end: *end,
    });
    spans.collect()
}

/// A file that is open for reading, with so many exclusive locks.
fn locked(locks: u64) -> File {
    let exclusive: Vec<_> = (0..locks).map(|at| (2 * at, 2 * at)).collect();
    File {
        whole: Whole {
            access: Modes::READ,
            ..Whole::default()
        },
        exclusive: spans(&exclusive),
        ..File::default()
    }
}

fn list<const N: usize>(clients: [(&[u8], Lost); N]) -> Awaited {
    Awaited {
        fsid: Fsid::Number(1234),
        taken: 1_763_731_234_000_000_001,
        valid: 60,
        nlm: false,
        clients: clients.map(|(name, lost)| (name.to_vec(), lost)).into(),
    }
}

fn example() -> Awaited {
    let both = File {
        shared: spans(&[(0, 9), (20, 29)]),
        exclusive: spans(&[(5, 5), (40, i64::MAX as u64)]),
        ..locked(0)
    };
    let unknown = Lost {
        completes: true,
        files: None,
    };
    list([
        (b"Linux NFSv4.2 c1@10.77.0.100", unknown),
        (b"a\\b\"c\n", lost(true, [(5, both), (7, File::anything())])),
        (b"files=1", lost(false, [(3, locked(1))])),
    ])
}

const EXAMPLE: &str = r#"nfs-failover nfs4-clients 3
unit fsid=1234 phase=released taken=1763731234.000000001 valid=60
client files=unknown name=Linux\040NFSv4.2\040c1@10.77.0.100
client name=a\134b"c\012
file inode=5 open=r deny=- delegation=-
lock type=read start=0 end=9
lock type=read start=20 end=29
lock type=write start=5 end=5
lock type=write start=40 end=9223372036854775807
file inode=7 open=rw deny=rw delegation=rw
client completes=no name=files=1
file inode=3 open=r deny=- delegation=-
lock type=write start=0 end=0
end clients=3 files=3 locks=5
"#;

#[test]
fn what_is_written_is_read_whole_or_not_at_all() {
    let beside = Awaited {
        nlm: true,
        ..example()
    };
    let text = beside.text().unwrap();
    assert_eq!(text, EXAMPLE.replace("valid=60", "valid=60 nfs4=listed"));
    assert_eq!(parse(text.as_bytes()), Some(beside));
    assert_eq!(example().text().unwrap(), EXAMPLE);
    assert_eq!(parse(EXAMPLE.as_bytes()), Some(example()));
    for end in 0..EXAMPLE.len() {
        assert_eq!(parse(&EXAMPLE.as_bytes()[..end]), None, "{end}");
    }
    let lines: Vec<_> = EXAMPLE.split_inclusive('\n').collect();
    for at in 0..lines.len() {
        let mut other = lines.clone();
        other.remove(at);
        assert_eq!(parse(other.concat().as_bytes()), None, "{at}");
        let twice = [&lines[..=at], &lines[at..]].concat().concat();
        assert_eq!(parse(twice.as_bytes()), None, "{at}");
    }
    for (old, new) in [
        ("clients 3\n", "clients 1\n"),
        ("clients 3\n", "clients 2\n"),
        ("clients 3\n", "clients 4\n"),
        ("fsid=1234", "fsid=1235"),
        ("phase=released", "phase=held"),
        ("name=Linux", "name=Linux x"),
        (
            "client files=unknown name=Linux",
            "client completes=no files=unknown name=Linux",
        ),
        // Twice the same, however it is written.
        ("name=files=1", "name=a\\134b\"\\143\\012"),
        ("inode=7", "inode=5"),
        ("start=5 end=5", "start=50 end=60"),
        ("start=0 end=0", "start=1 end=0"),
        ("file inode=3", "file inode=3 inode=4"),
        ("end clients=3", "client name=x\nend clients=3"),
        ("locks=5\n", "locks=5\nx"),
        ("locks=5\n", "locks=5\n\n"),
    ] {
        let other = EXAMPLE.replacen(old, new, 1);
        assert_ne!(other, EXAMPLE);
        assert_eq!(parse(other.as_bytes()), None, "{new}");
    }
}

#[test]
fn nobody_is_given_what_nobody_reads() {
    let one = |file: File| list([(b"a", lost(true, [(1, file)]))]);
    let overlap = File {
        shared: spans(&[(0, 9), (9, 9)]),
        ..File::default()
    };
    assert_eq!(one(overlap).text(), None);
    assert!(one(locked(3)).text().is_some());
    let mut many = list([]);
    assert_eq!(many.text(), None);
    many.clients = (0..=MAX_CLIENTS)
        .map(|at| (at.to_string().into(), lost(true, [])))
        .collect();
    assert_eq!(many.text(), None);
    many.clients.pop_first();
    assert!(many.text().is_some());
}

/// An old one, in whose last line there are so many clients.
fn old(version: u32, clients: &str) -> String {
    let header = "phase=released taken=1763731234.000000001 valid=60";
    let nlm = if version == 2 { " nfs4=listed" } else { "" };
    let count = clients.lines().count();
    format!("nfs-failover nfs4-clients {version}\nunit fsid=1234 {header}{nlm}\n{clients}end clients={count}\n")
}

#[test]
fn old_lists_are_read() {
    let clients = "client name=c1\nclient files=5,7-9 name=a\\134b\nclient completes=no files=3 name=files=1\n";
    for version in [1, 2] {
        let text = old(version, clients);
        let read = parse(text.as_bytes()).unwrap();
        let files = |inodes: &[u64]| -> Option<Files> {
            Some(inodes.iter().map(|at| (*at, File::anything())).collect())
        };
        let expected = [
            (&b"c1"[..], true, None),
            (b"a\\b", true, files(&[5, 7, 8, 9])),
            (b"files=1", false, files(&[3])),
        ];
        let expected = expected.map(|(name, completes, files)| {
            (name, Lost { completes, files }) //
        });
        let nlm = version == 2;
        assert_eq!(
            read,
            Awaited {
                nlm,
                ..list(expected)
            }
        );
        for end in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..end]), None, "{end}");
        }
        for (old, new) in [
            ("files=5,7-9", "files=5,7-"),
            ("files=5,7-9", "files=7,5"),
            ("files=5,7-9", "files=5,5"),
            ("files=5,7-9", "files=5-7,7"),
            ("files=5,7-9", "files=9-7"),
            ("files=5,7-9", "files=+5"),
            ("files=5,7-9", "files=99999999999999999999"),
            ("files=5,7-9 ", "files= "),
            ("completes=no files=3 ", "completes=no "),
            ("completes=no ", "completes=yes "),
            ("clients=3", "clients=1"),
            ("fsid=1234", "fsid=1235"),
            ("phase=released", "phase=recovering"),
            ("name=c1", "name=c1 x"),
            ("name=c1", "name=a\\134b"),
            ("client name=c1", "lock name=c1"),
            ("end clients=3\n", "end clients=3\nx"),
        ] {
            let other = text.replacen(old, new, 1);
            assert_ne!(other, text);
            assert_eq!(parse(other.as_bytes()), None, "{new}");
        }
    }
    assert_eq!(parse(old(1, "").as_bytes()), None);
    let line = |at| format!("client name={at}\n");
    let too_many: String = (0..=MAX_CLIENTS).map(line).collect();
    assert_eq!(parse(old(1, &too_many).as_bytes()), None);
}

/// Of two numbers in it, memory for all between them.
#[test]
fn a_range_on_an_old_list_may_be_of_any_size() {
    let last = u64::MAX / 2;
    let most = MAX_LINES - 1;
    for (clients, known) in [
        (
            format!("client files=0-{last} name=a\nclient files=4 name=b\n"),
            [false, true],
        ),
        (
            format!("client files=1-{MAX_LINES} name=a\nclient files=4 name=b\n"),
            [true, false],
        ),
        (
            format!("client files=1-{most} name=a\nclient files=4 name=b\n"),
            [true, true],
        ),
        (
            format!(
                "client files=0-1,2-{last},{} name=a\nclient files=4 name=b\n",
                last + 1
            ),
            [false, true],
        ),
    ] {
        let read = parse(old(1, &clients).as_bytes()).unwrap();
        let found: Vec<_> = read
            .clients
            .values()
            .map(|lost| lost.files.is_some())
            .collect();
        assert_eq!(found, known, "{clients}");
    }
    let of_4_0 = format!("client completes=no files=0-{last} name=a\n");
    assert_eq!(parse(old(1, &of_4_0).as_bytes()), None);
}

#[test]
fn who_has_most_is_known_less_well_if_it_is_too_much() {
    let most = |completes| lost(completes, [(1, locked(10)), (2, locked(0))]);
    let files = |count: u64| (1..=count).map(|inode| (inode, locked(0)));
    let clients = || {
        list([
            (b"a", most(true)),
            (b"b", lost(true, [(1, locked(5))])),
            (b"c", lost(true, files(8))),
        ])
    };
    // 26 files and locks.
    let of = |limit: u64| {
        let list = clients().within(limit).unwrap();
        let counts = list.clients.into_values().map(|lost| {
            let files = lost.files?;
            Some((files.len(), files.values().map(File::locks).sum::<u64>()))
        });
        counts.collect::<Vec<_>>()
    };
    let (a, b, c) = (Some((2, 10)), Some((1, 5)), Some((8, 0)));
    assert_eq!(of(26), [a, b, c]);
    assert_eq!(of(25), [Some((2, 0)), b, c]);
    assert_eq!(of(16), [Some((2, 0)), b, c]);
    assert_eq!(of(15), [Some((2, 0)), Some((1, 0)), c]);
    assert_eq!(of(10), [Some((2, 0)), Some((1, 0)), None]);
    assert_eq!(of(0), [None, None, None]);
    // What has no lock is known as well as before.
    let less = clients().within(25).unwrap();
    let files = less.clients[&b"a"[..]].files.clone().unwrap();
    assert_eq!(files, [(1, File::anything()), (2, locked(0))].into());
    // Nobody knows then until when others would have to wait, or of what.
    let of_4_0 = || list([(b"a", most(false))]);
    assert!(of_4_0().within(2).is_some());
    assert_eq!(of_4_0().within(1), None);
}

#[test]
fn what_is_said_of_it() {
    let said = |list: Awaited| list.says();
    let file = |locks| lost(true, [(1, locked(locks))]);
    assert_eq!(said(example()), "takeover waits its time for 3 of them");
    assert_eq!(
        said(list([(b"a", file(0)), (b"b", file(0))])),
        "takeover waits for 2 of them, and others only for what they had, on 2 files"
    );
    assert_eq!(
        said(list([(b"a", file(2)), (b"b", file(1))])),
        "takeover waits for 2 of them, and others only for what they had, on 2 files with 3 locks"
    );
}

/// A control file that takes at most so much of what it is given, and nothing that is too long.
struct Taker(usize, Vec<u8>);

impl Write for Taker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > 1 << 16 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let taken = bytes.len().min(self.0);
        self.1.extend(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_kernel_is_given_no_more_than_it_takes_at_once() {
    let text: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    for most in [1 << 16, 1000, 77] {
        let mut taker = Taker(most, Vec::new());
        in_pieces(&mut taker, &text).unwrap();
        assert_eq!(taker.1, text, "{most}");
    }
    assert!(in_pieces(&mut Taker(0, Vec::new()), &text).is_err());
}
