// SPDX-License-Identifier: GPL-2.0-only

//! The list of NFSv4 clients that a recovery waits for.

use crate::common::{
    Node,
    Ran,
    Scratch,
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::awaited::Awaited;
use nfs_failoverctl::inuse::nfs4;
use nfs_failoverctl::policy::fsid::Dev;
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

/// The lines of files of which it is not known what a client had on them.
pub fn anything(inodes: &[u64]) -> String {
    let line = |inode| format!("file inode={inode} open=rw deny=rw delegation=rw\n");
    inodes.iter().map(line).collect()
}

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
            let end = anything(&[12]) + "end clients=1 files=1 locks=0\n";
            let words = format!("client name=a\"b\\040c@{ELSEWHERE}\n{end}");
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
    let files = anything(&[12, 13, 14]);
    let all: Vec<_> = (0..20_000).map(|n| 2 * n).collect();
    for (minor, states, expected) in [
        ("2", first.clone(), Some(("", files.clone()))),
        ("0", first.clone(), Some(("completes=no ", files))),
        ("2", many, Some(("", anything(&all)))),
        // Not of a number that is not read, here or there, or of what is not seen.
        (
            "2",
            first.clone() + &state(4, "open", "99999999999999999999", "f"),
            Some(("files=unknown ", String::new())),
        ),
        (
            "2",
            several.concat(),
            Some(("files=unknown ", String::new())),
        ),
        (
            "2",
            format!("{first}{BUSY}"),
            Some(("files=unknown ", String::new())),
        ),
        (
            "2",
            format!("{first}{revoked}"),
            Some(("files=unknown ", String::new())),
        ),
        ("0", format!("{first}{BUSY}"), None),
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
        if let Some((words, files)) = expected {
            let list = node.dir.read(LIST);
            let client = format!("\nclient {words}name={name}\n{files}end clients=1 ");
            assert!(list.contains(&client), "{list}");
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
        (both.clone(), open("14"), [&[12, 13][..], &[14]]),
        (open("13"), open("14"), [&[12, 13], &[14]]),
        (open("13"), closed.to_string(), [&[12, 13], &[14]]),
        // Opened and closed in between.
        (
            open("16"),
            open("14") + &open("15"),
            [&[12, 13, 16], &[14, 15]],
        ),
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
            "client name=c3@{HERE}\n{}client name=c4@{HERE}\n{}end clients=2 files={} locks=0\n",
            anything(files[0]),
            anything(files[1]),
            files.concat().len()
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
    let unit = format!("unit fsid={fsid} phase=released taken={TAKEN}.000000001 valid=60");
    let had = "file inode=12 open=rw deny=- delegation=-\nlock type=write start=0 end=9\n";
    format!("nfs-failover nfs4-clients 3\n{unit}\nclient name=c1@{ELSEWHERE}\n{had}end clients=1 files=1 locks=1\n")
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
    assert_eq!(told, list(1234), "{ran:?}");
    let says =
        "takeover waits for 1 of them, and others only for what they had, on 1 files with 1 locks";
    assert!(ran.out.contains(says), "{ran:?}");
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
fn what_the_kernel_refuses_is_said() {
    let (_, ran) = takes_over(3, |node| {
        node.dir.write(LIST, &list(1234));
        let file = node.dir.path("nfsd/nfs4_clients");
        fs::remove_file(&file).unwrap();
        symlink("/dev/full", file).unwrap();
    });
    let says = "list of NFSv4 clients is not used, the kernel refused it";
    assert!(ran.out.contains(says), "{ran:?}");
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
