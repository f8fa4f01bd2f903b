// SPDX-License-Identifier: GPL-2.0-only

//! NFSv4 clients have something on several filesystems, and lose all when they are expired for one.

use super::{
    both_were_taken_over,
    pair,
    with_another_address,
    BOTH_RECOVER, //
};
use crate::awaited::anything;
use crate::common::{
    Node,
    ELSEWHERE,
    HERE, //
};
use std::fs;
use std::thread;

/// A client that has something on both loses nothing by the release of both, and is on the lists of
/// both although it is gone after the first.
#[test]
fn nfs4_clients_of_both_go_along() {
    let node = pair(ELSEWHERE);
    let state = |device: &str| {
        format!(
            "- 0x1: {{ type: open, superblock: \"{device}:12\", filename: \"f\", owner: \"o\" }}\n"
        )
    };
    node.dir.write(
        "nfsd/clients/3/info",
        &format!("address: \"10.77.0.13:878\"\nname: \"c1@{ELSEWHERE}\"\nminor version: 2\n"),
    );
    let release = |states: &str| {
        node.dir.write("nfsd/clients/3/states", states);
        let dir = node.dir.path("nfsd/clients/3");
        let ctl = dir.join("ctl");
        let _ = fs::remove_file(&ctl);
        nix::unistd::mkfifo(&ctl, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // nfsd has forgotten it when that is written: at once, also for who writes there a second time.
        let forgotten = node.dir.path("forgotten");
        let gone = thread::spawn(move || {
            let _ctl = fs::File::open(ctl).unwrap();
            fs::rename(dir, forgotten).unwrap();
        });
        let ran = node.run(&["release", "s1", "s2", "--unexport", "--umount"]);
        (ran, gone)
    };
    let (ran, gone) = release(&(state("08:01") + &state("08:02")));
    // Else nobody opens it, and it is waited for without end.
    assert_eq!(ran.exit, 0, "{ran:?}");
    gone.join().unwrap();
    assert_eq!(ran.out.matches("expired ... done (1").count(), 2, "{ran:?}");
}

/// The kernel says that nothing but what NFSv4 clients had is missing on either.
fn nfs4_only() -> Node {
    nfs4_only_at(ELSEWHERE)
}

fn nfs4_only_at(ip: &str) -> Node {
    let node = pair(ip);
    both_were_taken_over(&node, ip);
    let pad = |command: &str| "x".repeat(command.len());
    node.dir.write(
        "nfsd/nlm_unlock",
        &format!(
            "{}locks=0 blocked=0 shares=0 files=0 manifest=none nfs4=only\n",
            pad("1234 fence=90\n")
        ),
    );
    node.dir.write(
        "nfsd/nfs4_clients",
        &format!(
            "{}unit fsid=1234 phase=released taken=1763731234.000000001 valid=60\n",
            pad("1234\n")
        ),
    );
    node.dir.write(
        "nfsd/failover_status",
        &BOTH_RECOVER.replace("recovering", "released"),
    );
    node
}

fn state(on: &str) -> String {
    format!("- 0x1: {{ type: open, superblock: \"{on}\", filename: \"f\", owner: \"o\" }}\n")
}

/// What is listed is what it had on each when both fences were up, and not what was seen before.
#[test]
fn lists_of_both_have_the_files_of_a_look_behind_all_fences() {
    let node = nfs4_only();
    node.dir.write(
        "nfsd/clients/3/info",
        &format!("address: \"10.77.0.13:878\"\nname: \"c1@{ELSEWHERE}\"\nminor version: 2\n"),
    );
    node.dir.write(
        "nfsd/clients/3/states",
        &(state("08:01:11") + &state("08:02:21")),
    );
    // The last command before the look.
    let last = state("08:01:11") + &state("08:01:12") + &state("08:02:21") + &state("08:02:22");
    let script = format!(
        "cat >{} <<'END'\n{last}END",
        node.dir.path("nfsd/clients/3/states").display()
    );
    node.fake(&["exportfs"], &script);
    let ctl = node.dir.path("nfsd/clients/3/ctl");
    nix::unistd::mkfifo(&ctl, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let gone = {
        let dir = node.dir.path("nfsd/clients/3");
        thread::spawn(move || {
            let _ctl = fs::File::open(ctl).unwrap();
            fs::remove_dir_all(dir).unwrap();
        })
    };
    let ran = node.run(&["release", "s1", "s2", "--unexport", "--umount"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    gone.join().unwrap();
    for (path, files) in [("srv", [11, 12]), ("srv2", [21, 22])] {
        let list = node.dir.read(&format!("{path}/.nsm/manifest.nfs4"));
        let files = anything(&files);
        let words = format!("client name=c1@{ELSEWHERE}\n{files}end clients=1 files=2 locks=0\n");
        assert!(list.ends_with(&words), "{list} {ran:?}");
    }
}

/// The answers that they are closed may be lost with the address, which goes once for both.
#[test]
fn files_that_are_closed_when_the_address_goes_are_listed_on_both() {
    let node = nfs4_only_at(HERE);
    for (number, states) in [
        (3, state("08:01:11") + &state("08:01:12")),
        (4, state("08:02:21") + &state("08:02:22")),
        // All of it.
        (5, state("08:02:23")),
    ] {
        node.dir.write(
            &format!("nfsd/clients/{number}/info"),
            &format!("address: \"10.77.0.1{number}:878\"\nname: \"c{number}@{HERE}\"\nminor version: 2\n"),
        );
        node.dir
            .write(&format!("nfsd/clients/{number}/states"), &states);
        node.dir.write(&format!("nfsd/clients/{number}/ctl"), "");
    }
    // Connections are killed just before the address goes down.
    let write = |number: u32, states: &str| {
        let path = node.dir.path(&format!("nfsd/clients/{number}/states"));
        format!("cat >{} <<'END'\n{states}END\n", path.display())
    };
    let then = write(3, &state("08:01:11")) + &write(4, &state("08:02:21")) + &write(5, "");
    node.fake(&["ss"], &then);
    let ran = node.run(&["release", "s1", "s2", "--address"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let client =
        |number: u32, files: &[u64]| format!("client name=c{number}@{HERE}\n{}", anything(files));
    for (path, words) in [
        (
            "srv",
            client(3, &[11, 12]) + "end clients=1 files=2 locks=0\n",
        ),
        (
            "srv2",
            client(4, &[21, 22]) + &client(5, &[23]) + "end clients=2 files=3 locks=0\n",
        ),
    ] {
        let list = node.dir.read(&format!("{path}/.nsm/manifest.nfs4"));
        assert!(list.ends_with(&words), "{list} {ran:?}");
    }
}

/// A filesystem has clients by each of its addresses, and all of them are expired with the first.
#[test]
fn clients_by_all_addresses_of_a_filesystem_are_listed_and_forgotten() {
    let node = nfs4_only();
    with_another_address(&node, "203.0.113.78");
    for (number, ip, states) in [
        (3, ELSEWHERE, state("08:02:21")),
        (4, "203.0.113.78", state("08:02:22")),
        (
            5,
            "203.0.113.78",
            "- 0x1: { type: open, access: rw, deny: --, closed, owner: \"o\" }\n".into(),
        ),
    ] {
        node.dir.write(
            &format!("nfsd/clients/{number}/info"),
            &format!(
                "address: \"10.77.0.1{number}:878\"\nname: \"c{number}@{ip}\"\nminor version: 2\n"
            ),
        );
        node.dir
            .write(&format!("nfsd/clients/{number}/states"), &states);
        node.dir.write(&format!("nfsd/clients/{number}/ctl"), "");
    }
    let ran = node.run(&["release", "s1", "s2", "s2-0"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let list = node.dir.read("srv2/.nsm/manifest.nfs4");
    let words = format!(
        "client name=c3@{ELSEWHERE}\n{}client name=c4@203.0.113.78\n{}end clients=2 files=2 locks=0\n",
        anything(&[21]),
        anything(&[22])
    );
    assert!(list.ends_with(&words), "{list} {ran:?}");
    for number in 3..=5 {
        let ctl = node.dir.read(&format!("nfsd/clients/{number}/ctl"));
        assert_eq!(ctl, "expire\n", "{number} {ran:?}");
    }
}

/// It closes a file on the second one, by which it is told nothing, while another one is expired.
#[test]
fn a_file_that_is_given_up_after_the_look_is_listed() {
    let node = nfs4_only();
    let client = |number: u32| {
        node.dir.write(
            &format!("nfsd/clients/{number}/info"),
            &format!("address: \"10.77.0.1{number}:878\"\nname: \"c{number}@{ELSEWHERE}\"\nminor version: 2\n"),
        );
    };
    (3..=4).for_each(client);
    let both = state("08:02:21") + &state("08:02:22");
    node.dir.write("nfsd/clients/3/states", &both);
    node.dir.write("nfsd/clients/3/ctl", "");
    node.dir.write("nfsd/clients/4/states", &state("08:01:11"));
    let (file, dir) = (
        node.dir.path("nfsd/clients/3/states"),
        node.dir.path("nfsd/clients/4"),
    );
    let ctl = dir.join("ctl");
    nix::unistd::mkfifo(&ctl, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let gone = thread::spawn(move || {
        let _ctl = fs::File::open(ctl).unwrap();
        fs::write(file, state("08:02:21")).unwrap();
        fs::remove_dir_all(dir).unwrap();
    });
    let ran = node.run(&["release", "s1", "s2"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    gone.join().unwrap();
    let list = node.dir.read("srv2/.nsm/manifest.nfs4");
    let files = anything(&[21, 22]);
    let words = format!("client name=c3@{ELSEWHERE}\n{files}end clients=1 files=2 locks=0\n");
    assert!(list.ends_with(&words), "{list} {ran:?}");
}

/// Somebody who has something on a third one is left alone.
#[test]
fn nfs4_clients_of_others_stay() {
    let node = pair(ELSEWHERE);
    let state = |device: &str| {
        format!(
            "- 0x1: {{ type: open, superblock: \"{device}:12\", filename: \"f\", owner: \"o\" }}\n"
        )
    };
    node.dir.write("nfsd/clients/3/info", "name: \"c1\"\n");
    node.dir.write("nfsd/clients/3/ctl", "");
    let states = state("08:01") + &state("08:02") + &state("08:03");
    node.dir.write("nfsd/clients/3/states", &states);
    let ran = node.run(&["release", "s1", "s2", "--unexport", "--umount"]);
    assert!(
        ran.exit == 1
            && ran
                .out
                .contains("has 1 opens, locks or delegations on other"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/clients/3/ctl"), "");
}
