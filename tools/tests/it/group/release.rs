// SPDX-License-Identifier: GPL-2.0-only

//! They leave together.

use super::{
    both_were_taken_over,
    mark,
    marks,
    pair,
    steps,
    with_another_address,
    ALL,
    BOTH_RECOVER, //
};
use crate::common::{
    ELSEWHERE,
    HERE,
    MANIFEST,
    OTHER_BOOT, //
};
use std::fs;

/// Behind the fences of all, and whole.
#[test]
fn they_are_released_together() {
    let node = pair(HERE);
    both_were_taken_over(&node, HERE);
    let ran = node.run(&[&["release", "s1", "s2"], &ALL[..]].concat());
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(
        steps(&ran),
        [
            "module 1",
            "module 2",
            "preflight",
            "preflight",
            "fence 1",
            "fence 2",
            "floating_ips",
            "address",
            "manifest 1",
            "manifest 2",
            "unexport 1",
            "unexport 2",
            "nfs4",
            "nfs4",
            "connections",
            "umount 1",
            "umount 2",
            "statd",
            "now 1",
            "now 2"
        ],
        "{ran:?}"
    );
    assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST);
    assert_eq!(node.dir.read("srv2/.nsm/manifest"), MANIFEST);
    assert!(["1234", "5678"].map(|fsid| node.dir.path(&mark(fsid)).exists()) == [false; 2]);
    assert_eq!(
        node.dir.read("nfsd/cmd.ip"),
        format!("addr del {HERE}/8 dev lo\n")
    );
}

#[test]
fn none_is_released_if_one_cannot_be() {
    let node = pair(HERE);
    let etab = node.dir.read("statd/etab").replace("5678", "77");
    node.dir.write("statd/etab", &etab);
    let before = node.dir.read("nfsd/nlm_unlock");
    let ran = node.run(&[&["release", "s1", "s2"], &ALL[..]].concat());
    assert!(
        ran.exit == 1
            && ran.out.contains("with fsid 77")
            && ran.out.matches("; nothing has changed").count() == 2,
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/nlm_unlock"), before);
    assert_eq!(node.dir.read("nfsd/cmd.ip"), "");
}

/// Clients reclaim on the second one only, and would be refused behind its fence.
#[test]
fn the_address_goes_first_while_clients_of_any_reclaim() {
    let recovering = |fsid: u32| {
        format!(
            "unit fsid={fsid} phase=recovering left=9 reclaimed=1 manifest=3 outstanding=2\n\
             totals units=1 hooks=live nmissed=0\n"
        )
    };
    let order = |status: &str| {
        let node = pair(HERE);
        node.was_taken_over(HERE);
        node.dir.write("nfsd/failover_status", status);
        let (ran, seen) = node.watched("srv/.nsm", &["release", "s1", "s2", "--address"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        seen.first().cloned().unwrap_or_default()
    };
    assert_eq!(order(&recovering(5678)), "cmd.ip");
    assert_eq!(order(&recovering(1234)), "cmd.ip");
    assert_eq!(order("totals units=0 hooks=live nmissed=0\n"), "nlm_unlock");
    // Nothing is dropped after that, so it comes back and nobody is told.
    let node = pair(HERE);
    node.was_taken_over(HERE);
    node.dir.write("nfsd/failover_status", &recovering(5678));
    let unlock = node.dir.path("nfsd/nlm_unlock");
    fs::remove_file(&unlock).unwrap();
    fs::create_dir(&unlock).unwrap();
    let ran = node.run(&["release", "s1", "s2", "--address"]);
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert_eq!(
        ran.out.matches("; the release was called off").count(),
        2,
        "{ran:?}"
    );
    assert!(
        ran.out.contains("up again ... ") && !ran.out.contains("grace:"),
        "{ran:?}"
    );
}

/// The second one leaves by another address, too, which goes by the same command.
#[test]
fn another_address_of_what_recovers_goes_along() {
    let node = pair(ELSEWHERE);
    node.was_taken_over(HERE);
    with_another_address(&node, HERE);
    let status = BOTH_RECOVER.replace("fsid=1234 phase=recovering", "fsid=1234 phase=recovered");
    node.dir.write("nfsd/failover_status", &status);
    let ran = node.run(&["release", "s1", "s2"]);
    assert!(
        ran.exit == 1 && ran.out.contains(&format!("clients reclaim by {HERE}")),
        "{ran:?}"
    );
    let ran = node.run(&["release", "s1", "s2", "s2-0", "--address"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
}

/// So is whether clients could have come.
#[test]
fn what_was_only_mounted_is_so_when_the_release_is_repeated() {
    // The first time was killed before it came to the lists, when the address was down.
    let both = BOTH_RECOVER.replace("phase=recovering", "phase=released");
    for (foreign, left) in [("no address was up\n", "an old one"), ("", "")] {
        let node = pair(ELSEWHERE);
        node.dir.write("nfsd/failover_status", &both);
        let mark = "root/run/nfs-failover/foreign-5678";
        node.dir.write(mark, foreign);
        node.dir.write("srv2/.nsm/manifest", "an old one");
        let ran = node.run(&["release", "s1", "s2", "--address"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST, "{ran:?}");
        assert_eq!(node.dir.read("srv2/.nsm/manifest"), left, "{ran:?}");
        assert_eq!(node.dir.read(mark), foreign);
    }
}

/// The address is here for the first one only, as the configuration file did not know the second. Clients
/// may have got something there, so nobody knows what all of them have.
#[test]
fn what_the_address_is_not_here_for_is_not_listed() {
    let both = &["s1", "s2"][..];
    for (named, list, of_second) in [
        (both, "an old one", ""),
        (both, "", ""),
        // It was, before this machine was booted.
        (both, "", &format!("{OTHER_BOOT}\n1\n")),
        // It may have another one for itself.
        (&["s2-0", "s2", "s1"], "an old one", ""),
    ] {
        let node = pair(HERE);
        with_another_address(&node, ELSEWHERE);
        node.was_taken_over(HERE);
        marks(&node, &["1234"], HERE);
        if !of_second.is_empty() {
            node.dir.write(&mark("5678"), of_second);
        }
        node.dir.write("srv2/.nsm/manifest", list);
        let ran = node.run(&[&["release"], named, &["--address"]].concat());
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST);
        assert_eq!(node.dir.read("srv2/.nsm/manifest"), "");
        assert!(ran.out.contains("was not taken over here"), "{ran:?}");
        let [first, second] =
            ["1234", "5678"].map(|fsid| format!("root/run/nfs-failover/foreign-{fsid}"));
        assert!(!node.dir.path(&first).exists());
        // Clients may have come.
        assert_eq!(node.dir.read(&second), "");
    }
}

/// Each of them is listed, or not, for itself.
#[test]
fn what_was_not_taken_over_keeps_its_list() {
    let node = pair(ELSEWHERE);
    node.dir.write(
        "nfsd/failover_status",
        "unit fsid=1234 phase=recovered left=9\ntotals units=1 hooks=live nmissed=0\n",
    );
    for path in ["srv", "srv2"] {
        node.dir
            .write(&format!("{path}/.nsm/manifest"), "an old one");
    }
    let ran = node.run(&["release", "s1", "s2", "--address"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST);
    assert_eq!(node.dir.read("srv2/.nsm/manifest"), "an old one");
}
