// SPDX-License-Identifier: GPL-2.0-only

//! What exactly NFSv4 clients have, and how that gets on the list of those that have lost it.

use crate::awaited::{
    anything,
    of_client,
    LIST,
    OPEN, //
};
use crate::common::{
    Node,
    Ran,
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::awaited::Awaited;
use nfs_failoverctl::held::{
    File,
    Held, //
};
use nfs_failoverctl::policy::fsid::Fsid;
use nfs_failoverctl::policy::nfs4::had::Span;
use std::fs;
use std::time::Duration;

/// What the kernel says of one client.
fn of(name: &str, lines: &str) -> String {
    let client = format!("client name={name}\n{lines}");
    let count = |word: &str| client.lines().filter(|line| line.starts_with(word)).count();
    format!(
        "{client}end clients={} files={} locks={}\n",
        count("client "),
        count("file "),
        count("lock ")
    )
}

/// The question, behind which the answer is read.
fn answer(text: &str) -> String {
    format!("{}{text}", "x".repeat("1234\n".len()))
}

fn state(inode: &str) -> String {
    OPEN.replace("08:01:12", inode)
}

fn released(node: &Node) -> (String, Ran) {
    let ran = node.run(&["release", "s1"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let list = node.dir.read(LIST);
    let (_, lines) = list.split_once(" valid=60\n").unwrap_or_default();
    (lines.into(), ran)
}

#[test]
fn what_is_known_of_each_file_is_listed() {
    let name = format!("c@{ELSEWHERE}");
    let file = |inode: u32, words: &str| format!("file inode={inode} {words}\n");
    let lock =
        |kind: &str, start: u64, end: u64| format!("lock type={kind} start={start} end={end}\n");
    let (r, rw, dr) = (
        "open=r deny=- delegation=-",
        "open=rw deny=w delegation=-",
        "open=- deny=- delegation=r",
    );
    // As it comes: a line for each state, in no order.
    let raw = [
        file(14, r),
        file(12, r) + &lock("write", 10, 19) + &lock("read", 0, 5),
        file(12, "open=w deny=w delegation=-") + &lock("write", 0, 9) + &lock("read", 7, 9),
        file(13, r) + &lock("write", 5, 5),
        file(13, dr) + &lock("write", 3, 9) + &lock("write", 20, i64::MAX as u64),
    ]
    .concat();
    let known = [
        file(12, rw) + &lock("read", 0, 5) + &lock("read", 7, 9) + &lock("write", 0, 19),
        file(13, "open=r deny=- delegation=r")
            + &lock("write", 3, 9)
            + &lock("write", 20, i64::MAX as u64),
        file(14, r),
    ];
    let whole = of(&name, &raw);
    let seen = state("08:01:12") + &state("08:01:13");
    for (states, held, expected) in [
        // What only the kernel shows counts, too, and what it does not is anything.
        (seen.clone(), whole.clone(), known.concat()),
        (
            state("08:01:15"),
            whole.clone(),
            known.concat() + &anything(&[15]),
        ),
        (
            seen.clone(),
            of(&name, &file(13, r)),
            anything(&[12]) + &file(13, r),
        ),
        (seen.clone(), of("other", &raw), anything(&[12, 13])),
        (seen.clone(), of(&name, ""), anything(&[12, 13])),
        (
            seen.clone(),
            format!("client files=unknown name={name}\nend clients=1 files=0 locks=0\n"),
            anything(&[12, 13]),
        ),
        // Whole, or not at all.
        (
            seen.clone(),
            whole[..whole.len() - 1].into(),
            anything(&[12, 13]),
        ),
        (
            seen.clone(),
            whole.replace("locks=7", "locks=8"),
            anything(&[12, 13]),
        ),
        (seen, String::new(), anything(&[12, 13])),
        // It has given up what `states` showed of it, or was not seen with it.
        (String::new(), of(&name, &file(13, r)), file(13, r)),
    ] {
        let node = of_client("manifest=none nfs4=only", "2", &name, "confirmed", &states);
        node.dir.write("nfsd/nfs4_held", &answer(&held));
        let (lines, ran) = released(&node);
        assert_eq!(lines, of(&name, &expected), "{states} {held} {ran:?}");
        assert_eq!(node.dir.read("nfsd/clients/3/ctl"), "expire\n", "{ran:?}");
        let locks = expected.matches("lock ").count();
        assert_eq!(
            ran.out.contains(&format!(" files with {locks} locks")),
            locks > 0,
            "{ran:?}"
        );
    }
}

/// It has something of which it is not seen where it is.
#[test]
fn who_is_busy_may_have_more_than_what_is_known() {
    let name = format!("c@{ELSEWHERE}");
    let states = OPEN.to_string() + "- 0x9: { type: open, access: rw, deny: --, owner: \"o\" }\n";
    let node = of_client("manifest=none nfs4=only", "2", &name, "confirmed", &states);
    let had = "file inode=12 open=r deny=- delegation=-\n";
    node.dir.write("nfsd/nfs4_held", &answer(&of(&name, had)));
    let (lines, ran) = released(&node);
    let expected = format!("client files=unknown name={name}\nend clients=1 files=0 locks=0\n");
    assert_eq!(lines, expected, "{ran:?}");
}

/// The other one has nothing there.
#[test]
fn of_two_of_one_name_it_is_not_known_what_they_have() {
    let name = format!("c@{ELSEWHERE}");
    let node = of_client("manifest=none nfs4=only", "2", &name, "confirmed", OPEN);
    let had = "file inode=12 open=r deny=- delegation=-\n";
    node.dir.write("nfsd/nfs4_held", &answer(&of(&name, had)));
    let info = node.dir.read("nfsd/clients/3/info");
    node.dir.write("nfsd/clients/4/info", &info);
    node.dir.write("nfsd/clients/4/states", "");
    let (lines, ran) = released(&node);
    assert_eq!(lines, of(&name, &anything(&[12])), "{ran:?}");
}

/// What a client gives up while its address goes down it may reclaim, as it may not get the answer.
#[test]
fn what_was_seen_by_any_look_is_listed() {
    let name = format!("c@{HERE}");
    let file = |inode: u32, words: &str| format!("file inode={inode} {words}\n");
    let (r, w) = ("open=r deny=- delegation=-", "open=w deny=r delegation=-");
    let lock = |start: u32| format!("lock type=write start={start} end={}\n", start + 9);
    let first = of(&name, &(file(12, r) + &lock(0) + &lock(30) + &file(13, w)));
    for (before, then, states, expected) in [
        // Locks on a file that it still has.
        (
            first.clone(),
            of(&name, &(file(12, r) + &lock(10))),
            state("08:01:12"),
            file(12, r)
                + "lock type=write start=0 end=19\nlock type=write start=30 end=39\n"
                + &file(13, w),
        ),
        // What a delegation has become.
        (
            of(&name, &file(12, "open=- deny=- delegation=r")),
            of(&name, &(file(12, r) + &lock(0))),
            state("08:01:12"),
            file(12, "open=r deny=- delegation=r") + &lock(0) + &anything(&[13]),
        ),
        // Of a look that has failed nothing is known but the files.
        (
            "cut off".into(),
            of(&name, &(file(12, r) + &lock(0) + &file(14, r))),
            state("08:01:12"),
            anything(&[12, 13]) + &file(14, r),
        ),
        (
            first.clone(),
            "cut off".into(),
            state("08:01:12"),
            anything(&[12]) + &file(13, w),
        ),
    ] {
        let both = state("08:01:12") + &state("08:01:13");
        let node = of_client("manifest=none nfs4=only", "2", &name, "confirmed", &both);
        // HERE, so that the address goes down.
        let config = node.dir.read("config").replace(ELSEWHERE, HERE);
        node.dir.write("config", &config);
        node.was_taken_over(HERE);
        let held = node.dir.write("nfsd/nfs4_held", &answer(&before));
        // Connections are killed just before the address goes down.
        let script = format!(
            "cat >{} <<'END'\n{}END\ncat >{} <<'END'\n{states}END\n",
            held.display(),
            answer(&then) + "\n",
            node.dir.path("nfsd/clients/3/states").display()
        )
        .replace("\n\nEND", "\nEND");
        node.fake(&["ip"], "");
        node.fake(&["ss"], &script);
        let ran = node.run(&["release", "s1", "--address"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        let list = node.dir.read(LIST);
        assert!(
            list.ends_with(&of(&name, &expected)),
            "{expected} {list} {ran:?}"
        );
    }
}

/// The kernel is asked by who has nfsd forget them, and by nobody else.
#[test]
fn who_only_looks_does_not_ask() {
    let name = format!("c@{ELSEWHERE}");
    let node = of_client("manifest=none nfs4=only", "2", &name, "confirmed", OPEN);
    let held = answer(&of(&name, "file inode=12 open=r deny=- delegation=-\n"));
    node.dir.write("nfsd/nfs4_held", &held);
    for (arguments, exit, words) in [
        (&["status"][..], 0, " open=1 lock=0 deleg=0 layout=0 "),
        // It has not been taken over.
        (&["config", "check"], 1, ""),
        (&["release", "s1", "--dry-run"], 0, "expired ... would"),
        (&["takeover", "s1", "--dry-run"], 0, ""),
    ] {
        let ran = node.run(arguments);
        assert!(ran.exit == exit && ran.out.contains(words), "{ran:?}");
        assert!(!ran.out.contains("list of NFSv4 clients"), "{ran:?}");
        assert_eq!(node.dir.read("nfsd/nfs4_held"), held, "{ran:?}");
        assert_eq!(node.dir.read(LIST), "an old one", "{ran:?}");
    }
}

#[test]
fn what_is_said_is_read_whole_or_not_at_all() {
    let lines = "file inode=2 open=r deny=- delegation=-\nlock type=read start=0 end=9\n";
    let text = format!("client completes=no name=a\n{lines}{}", of("b", lines));
    let text = text.replace("clients=1 files=1 locks=1", "clients=2 files=2 locks=2");
    let held = Held::parse(text.as_bytes()).unwrap();
    let span = Span { start: 0, end: 9 };
    assert_eq!(held.of(b"a").unwrap()[&2].shared, [span]);
    assert_eq!(held.of(b"a"), held.of(b"b"));
    assert_eq!(held.of(b"c"), None);
    for end in 0..text.len() {
        assert_eq!(Held::parse(&text.as_bytes()[..end]), None, "{end}");
    }
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    for at in 0..lines.len() {
        let mut other = lines.clone();
        other.remove(at);
        assert_eq!(Held::parse(other.concat().as_bytes()), None, "{at}");
        let twice = [&lines[..=at], &lines[at..]].concat().concat();
        assert_eq!(Held::parse(twice.as_bytes()), None, "{at}");
    }
    for (from, to) in [
        ("inode=2 open=r", "inode=-2 open=r"),
        ("end=9", "end=9223372036854775808"),
        ("start=0 end=9", "start=9 end=0"),
        (
            "client name=b",
            "nfs-failover nfs4-clients 3\nclient name=b",
        ),
        ("client name=b", "lock name=b"),
        ("name=b", "files=unknown name=b"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        assert_eq!(Held::parse(other.as_bytes()), None, "{to}");
    }
    // A client may come twice, and its files be said once only.
    let twice = text.replace("name=b", "name=a");
    assert_eq!(
        Held::parse(twice.as_bytes()).unwrap().of(b"a"),
        held.of(b"a")
    );
    let unknown = "client files=unknown name=a\nend clients=3 files=2 locks=2\n";
    let (before, _) = twice.split_once("end clients").unwrap();
    let half = Held::parse(format!("{before}{unknown}").as_bytes()).unwrap();
    assert_eq!(half.of(b"a"), None);
    assert!(Held::parse(b"end clients=0 files=0 locks=0\n").is_some());
}

/// For how long this thread has had a processor: how long it takes beside others tells nothing.
fn worked() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Each owner of a lock has a state of its own.
#[test]
fn many_locks_take_no_longer_than_it_takes_to_read_them() {
    const LOCKS: u64 = 100_000;
    let name = format!("c@{ELSEWHERE}");
    let state_of = |at: u64| {
        let (inode, start) = (at % 2 * (at % 10_000), 2 * at);
        format!("file inode={inode} open=rw deny=- delegation=-\nlock type=write start={start} end={start}\n")
    };
    let raw: String = (0..LOCKS).rev().map(state_of).collect();
    let text = of(&name, &raw);
    let begun = worked();
    let held = Held::parse(text.as_bytes()).unwrap();
    let files = held.of(name.as_bytes()).unwrap();
    assert_eq!(files.len(), 5_001);
    assert_eq!(files.values().map(File::locks).sum::<u64>(), LOCKS);
    let states: String = files
        .keys()
        .map(|at| state(&format!("08:01:{at}")))
        .collect();
    let node = of_client("manifest=none nfs4=only", "2", &name, "confirmed", &states);
    node.dir.write("nfsd/nfs4_held", &answer(&text));
    let (lines, ran) = released(&node);
    let end = format!("end clients=1 files=5001 locks={LOCKS}\n");
    assert!(lines.ends_with(&end), "{ran:?}");
    node.dir.write("nfsd/nfs4_clients", "");
    let list = node.dir.read(LIST);
    let ran = node.run(&["takeover", "s1", "--no-notify"]);
    assert_eq!(node.dir.read("nfsd/nfs4_clients"), list, "{ran:?}");
    // The next one may be twice as long.
    let room = fs::metadata(node.dir.path("srv/.nsm/reserve")).unwrap();
    assert!(room.len() >= 2 * list.len() as u64, "{ran:?}");
    let read = Awaited::believe(list.as_bytes(), Fsid::Number(1234)).unwrap();
    assert_eq!(read.text(), Some(list));
    let took = worked() - begun;
    assert!(took < Duration::from_secs(20), "{took:?}");
}
