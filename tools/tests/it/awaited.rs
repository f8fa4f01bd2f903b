// SPDX-License-Identifier: GPL-2.0-only

//! The list of NFSv4 clients that a recovery waits for.

use crate::common::{
    Node,
    Ran,
    Scratch,
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::awaited::{
    Awaited,
    Lost, //
};
use nfs_failoverctl::inuse::nfs4;
use nfs_failoverctl::policy::fsid::{
    Dev,
    Fsid, //
};
use std::fs::{
    self,
    Permissions, //
};
use std::os::unix::fs::{
    symlink,
    PermissionsExt, //
};

pub const LIST: &str = "srv/.nsm/manifest.nfs4";
pub const OPEN: &str = "- 0x1: { type: open, access: rw, deny: --, superblock: \"08:01:12\", filename: \"f\", owner: \"o\" }\n";
/// Something of which it cannot be seen where it is.
const BUSY: &str = "- 0x9: { type: open, access: rw, deny: --, owner: \"o\" }\n";

fn released(reply: &str, minor: &str, name: &str, status: &str) -> (Node, Ran) {
    released_with(reply, minor, name, status, OPEN)
}

fn released_with(reply: &str, minor: &str, name: &str, status: &str, states: &str) -> (Node, Ran) {
    let node = of_client(reply, minor, name, status, states);
    let ran = node.run(&["release", "s1"]);
    (node, ran)
}

/// A node whose kernel replies to a release, with one client of NFSv4.
pub fn of_client(reply: &str, minor: &str, name: &str, status: &str, states: &str) -> Node {
    let node = served(ELSEWHERE, reply);
    node.dir.write(
        "nfsd/clients/3/info",
        &format!("address: \"10.77.0.13:878\"\nstatus: {status}\nname: \"{name}\"\nminor version: {minor}\n"),
    );
    node.dir.write("nfsd/clients/3/states", states);
    node.dir.write("nfsd/clients/3/ctl", "");
    node.dir.write(LIST, "an old one");
    node
}

/// A node whose kernel replies to a release.
fn served(ip: &str, reply: &str) -> Node {
    let node = Node::new(ip, "");
    let pad = "x".repeat("1234 fence=90\n".len());
    node.dir.write(
        "nfsd/nlm_unlock",
        &format!("{pad}locks=0 blocked=0 shares=0 files=0 {reply}\n"),
    );
    node.dir.write(
        "nfsd/failover_status",
        "unit fsid=1234 phase=released left=60 reclaimed=0 refused=0 waits=0\n",
    );
    let pad = "x".repeat("1234\n".len());
    node.dir.write(
        "nfsd/nfs4_clients",
        &format!("{pad}unit fsid=1234 phase=released taken=1763731234.000000001 valid=60\n"),
    );
    node
}

#[test]
fn it_is_left_if_nobody_is_missing() {
    let name = format!("a\\x22b c@{ELSEWHERE}");
    let only = "manifest=none nfs4=only";
    for (reply, minor, name, status, listed) in [
        (only, "2", &*name, "confirmed", true),
        (only, "1", &*name, "confirmed", true),
        // It may have something through other addresses.
        (only, "2", "c", "confirmed", false),
        // It has not been heard of, and may come back.
        (only, "2", &*name, "courtesy", true),
        // Others may have something to reclaim.
        ("manifest=none", "2", &*name, "confirmed", false),
    ] {
        let (node, ran) = released(reply, minor, name, status);
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert_eq!(node.dir.read("nfsd/clients/3/ctl"), "expire\n");
        let waits = ran.out.contains("takeover waits for 1 of them");
        assert_eq!(waits, listed, "{ran:?}");
        assert_eq!(node.dir.path(LIST).exists(), listed, "{ran:?}");
        if listed {
            let list = node.dir.read(LIST);
            let words = format!("client files=12 name=a\"b\\040c@{ELSEWHERE}\nend clients=1\n");
            assert!(
                list.contains(" valid=60\n") && list.ends_with(&words),
                "{list}"
            );
        }
    }
}

#[test]
fn others_wait_for_files_that_are_known() {
    let name = format!("c@{ELSEWHERE}");
    let state = |number: u32, kind: &str, inode: &str, file: &str| {
        format!("- 0x{number}: {{ type: {kind}, superblock: \"08:01:{inode}\", filename: \"{file}\" }}\n")
    };
    let revoked = "- 0x8: { type: lock, owner: \"o\", admin-revoked }\n";
    let many: String = (0..20_000)
        .map(|n| state(n, "open", &(2 * n).to_string(), "f"))
        .collect();
    let several = [
        state(1, "open", "14", "f"),
        state(2, "lock", "12", "f"),
        state(3, "deleg", "13", "f"),
        state(
            4,
            "open",
            "18446744073709551615",
            "superblock: \"08:01:77\"",
        ),
    ];
    let first = several[..3].concat();
    for (minor, states, expected) in [
        ("2", first.clone(), Some("files=12-14 ")),
        ("0", first.clone(), Some("completes=no files=12-14 ")),
        // Not of a number that the kernel does not read, of what is not seen, or of too many.
        ("2", several.concat(), Some("")),
        ("2", format!("{first}{BUSY}"), Some("")),
        ("2", format!("{first}{revoked}"), Some("")),
        ("2", many.clone(), Some("")),
        ("0", format!("{first}{BUSY}"), None),
        ("0", many, None),
    ] {
        let (node, ran) = released_with(
            "manifest=none nfs4=only",
            minor,
            &name,
            "confirmed",
            &states,
        );
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert_eq!(node.dir.path(LIST).exists(), expected.is_some(), "{ran:?}");
        if let Some(words) = expected {
            let list = node.dir.read(LIST);
            assert!(list.contains(&format!("\nclient {words}name=")), "{list}");
        }
    }
}

/// The answer that it is closed may be lost with the address.
#[test]
fn files_that_are_closed_behind_the_fence_are_listed() {
    let open = |inode| {
        format!("- 0x1: {{ type: open, access: rw, deny: --, superblock: \"08:01:{inode}\", owner: \"o\" }}\n")
    };
    let closed = "- 0x1: { type: open, access: rw, deny: --, closed, owner: \"o\" }\n";
    let both = open("12") + &open("13");
    for (third, fourth, files) in [
        (both.clone(), open("14"), ["12-13", "14"]),
        (open("13"), open("14"), ["12-13", "14"]),
        (open("13"), closed.to_string(), ["12-13", "14"]),
        // Opened and closed in between.
        (open("16"), open("14") + &open("15"), ["12-13,16", "14-15"]),
    ] {
        let node = served(HERE, "manifest=none nfs4=only");
        node.was_taken_over(HERE);
        for (number, states) in [(3, &both), (4, &open("14"))] {
            node.dir.write(
                &format!("nfsd/clients/{number}/info"),
                &format!("address: \"10.77.0.1{number}:878\"\nname: \"c{number}@{HERE}\"\nminor version: 2\n"),
            );
            node.dir
                .write(&format!("nfsd/clients/{number}/states"), states);
            node.dir.write(&format!("nfsd/clients/{number}/ctl"), "");
        }
        // Connections are killed just before the address goes down.
        let write = |number: u32, states: &str| {
            let path = node.dir.path(&format!("nfsd/clients/{number}/states"));
            format!("cat >{} <<'END'\n{states}END\n", path.display())
        };
        node.fake(&["ip"], "");
        node.fake(&["ss"], &(write(3, &third) + &write(4, &fourth)));
        let ran = node.run(&["release", "s1", "--address"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        let list = node.dir.read(LIST);
        let words = format!(
            "client files={} name=c3@{HERE}\nclient files={} name=c4@{HERE}\nend clients=2\n",
            files[0], files[1]
        );
        assert!(list.ends_with(&words), "{list} {ran:?}");
    }
}

#[test]
fn clients_that_cannot_be_told_apart_are_not_listed() {
    let said = "unit fsid=1234 phase=released taken=1763731234.000000001 valid=60\n";
    let device = Dev { major: 8, minor: 1 };
    let listed = |names: [&str; 2]| {
        let dir = Scratch::new();
        for (at, name) in names.iter().enumerate() {
            dir.write(
                &format!("nfsd/clients/{at}/info"),
                &format!("name: \"{name}\"\nminor version: 2\n"),
            );
            dir.write(&format!("nfsd/clients/{at}/states"), OPEN);
        }
        Awaited::new(said, &nfs4::clients(&dir.path("nfsd"), device))
    };
    assert_eq!(listed(["a", "b"]).unwrap().clients.len(), 2);
    assert_eq!(listed(["a", "a"]), None);
}

const TAKEN: u64 = 1_763_731_234;

fn list(fsid: u32) -> String {
    let taken = TAKEN;
    format!("nfs-failover nfs4-clients 1\nunit fsid={fsid} phase=released taken={taken}.000000001 valid=60\nclient name=c1@{ELSEWHERE}\nend clients=1\n")
}

fn takes_over(exit: i32, prepare: impl FnOnce(&Node)) -> (Node, Ran) {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("nfsd/nfs4_clients", "");
    fs::create_dir_all(node.dir.path("srv/.nsm")).unwrap();
    prepare(&node);
    let ran = node.run(&["takeover", "s1", "--no-notify"]);
    assert_eq!(ran.exit, exit, "{ran:?}");
    // It may be used once, whatever it was.
    assert!(!node.dir.path(LIST).is_symlink() && !node.dir.path(LIST).exists());
    (node, ran)
}

#[test]
fn the_kernel_is_told() {
    let (node, ran) = takes_over(0, |node| drop(node.dir.write(LIST, &list(1234))));
    let told = node.dir.read("nfsd/nfs4_clients");
    let taken = format!("taken={}.000000001 valid=60", TAKEN);
    assert_eq!(told, format!("1234 {taken} c1@{ELSEWHERE}\n"), "{ran:?}");
    assert!(ran.out.contains("takeover waits for 1 of them"), "{ran:?}");
    // Only then nobody has lost anything when the recovery is over.
    let says = |node: &Node| node.dir.read("root/run/nfs-failover/taken-over-1234");
    assert!(says(&node).contains("\nnfs4-clients\n"), "{ran:?}");
    let (node, _) = takes_over(0, |_| {});
    assert!(!says(&node).is_empty() && !says(&node).contains("nfs4"));
}

#[test]
fn what_cannot_be_believed_is_not_used() {
    let whole = list(1234);
    let cut = &whole[..whole.len() - 1];
    let texts = [
        "",
        "x\n",
        cut,
        &list(5678),
        &whole.replace("clients=1", "clients=2"),
        &"x".repeat(1 << 20),
    ];
    for text in texts {
        let (node, ran) = takes_over(3, |node| drop(node.dir.write(LIST, text)));
        assert_eq!(node.dir.read("nfsd/nfs4_clients"), "", "{text}");
        assert!(
            ran.out.contains("list of NFSv4 clients is not used"),
            "{ran:?}"
        );
    }
    // Whoever may write it, may have.
    let (node, ran) = takes_over(3, |node| {
        let path = node.dir.write(LIST, &whole);
        fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
    });
    assert_eq!(node.dir.read("nfsd/nfs4_clients"), "", "{ran:?}");
    let (node, ran) = takes_over(3, |node| {
        let path = node.dir.write("srv/elsewhere", &whole);
        symlink(path, node.dir.path(LIST)).unwrap();
    });
    assert_eq!(node.dir.read("nfsd/nfs4_clients"), "", "{ran:?}");
}

#[test]
fn a_manifest_says_more() {
    let (node, ran) = takes_over(0, |node| {
        node.dir.write(
            "nfsd/failover_status",
            "unit fsid=1234 phase=recovering left=99 reclaimed=0 refused=0 waits=0 manifest=2 outstanding=2\n",
        );
        node.dir.write(LIST, &list(1234));
    });
    assert_eq!(node.dir.read("nfsd/nfs4_clients"), "", "{ran:?}");
}

/// What is read of a text at the moment it is of.
fn parse(text: &[u8]) -> Option<Awaited> {
    Awaited::believe(text, example().fsid).ok()
}

fn example() -> Awaited {
    Awaited {
        fsid: Fsid::Number(1234),
        taken: 1_763_731_234_000_000_001,
        valid: 60,
        nlm: false,
        clients: [
            (&b"Linux NFSv4.2 c1@10.77.0.100"[..], true, None),
            (b"a\\b\"c\n", true, Some("5,7-9")),
            (b"files=1", false, Some("3")),
        ]
        .map(|(name, completes, files)| {
            let files = files.map(String::from);
            (name.to_vec(), Lost { completes, files })
        })
        .into(),
    }
}

#[test]
fn what_is_written_is_read_whole_or_not_at_all() {
    let beside = Awaited {
        nlm: true,
        ..example()
    };
    assert_eq!(parse(beside.text().as_bytes()), Some(beside));
    let text = example().text().into_bytes();
    assert_eq!(parse(&text), Some(example()));
    for end in 0..text.len() {
        assert_eq!(parse(&text[..end]), None, "{end}");
    }
    let with = |more: &str| [&text[..], more.as_bytes()].concat();
    assert_eq!(parse(&with("x")), None);
    assert_eq!(parse(&with("client name=x\n")), None);
    let said = example().text();
    for (old, new) in [
        ("files=5,7-9", "files=5,7-"),
        ("files=5,7-9", "files=7,5"),
        ("files=5,7-9 ", "files= "),
        ("completes=no files=3 ", "completes=no "),
        ("completes=no ", "completes=yes "),
        ("clients=3", "clients=1"),
        ("clients 1", "clients 2"),
        ("phase=released", "phase=recovering"),
        ("name=Linux", "name=Linux x"),
        ("client name=Linux", "lock name=Linux"),
    ] {
        let other = said.replace(old, new);
        assert_ne!(other, said);
        assert_eq!(parse(other.as_bytes()), None, "{new}");
    }
}

#[test]
fn commands_are_of_a_size_that_the_kernel_takes() {
    let names =
        |count: usize, len: usize| (0..count).map(move |n| format!("{n:0len$}").into_bytes());
    for (count, len, ok) in [(256, 100, true), (257, 4, false), (100, 1024, false)] {
        let list = Awaited {
            clients: names(count, len)
                .map(|name| {
                    let lost = Lost {
                        completes: true,
                        files: None,
                    };
                    (name, lost)
                })
                .collect(),
            ..example()
        };
        assert_eq!(list.command().is_some(), ok, "{count} {len}");
    }
    assert_eq!(
        example().command().unwrap(),
        "1234 taken=1763731234.000000001 valid=60 Linux\\040NFSv4.2\\040c1@10.77.0.100 a\\134b\"c\\012 files=5,7-9 \\146iles=1 files=3"
    );
}
