// SPDX-License-Identifier: GPL-2.0-only

//! A node whose NFSv4 server scope no other node has: clients would not reclaim after a move.

use super::{
    ready,
    refused,
    release, //
};
use crate::awaited::OPEN;
use crate::common::{
    Node,
    ELSEWHERE, //
};
use nfs_failoverctl::scope::{
    judge,
    matters,
    Scope, //
};
use std::fs;
use std::time::{
    Duration,
    Instant, //
};

#[test]
fn scopes_are_judged() {
    let judged = |scope: &str, name: &str| judge(Ok(scope.into()), Ok(name.into()));
    assert_eq!(judged("cluster1", "a"), Scope::Common);
    assert_eq!(judged("a", "a"), Scope::OfThisNode("a".into()));
    assert_eq!(judged("", "a"), Scope::OfThisNode(String::new()));
    let unseen = || Err("gone".to_string());
    assert_eq!(
        judge(unseen(), Ok("a".into())),
        Scope::Unknown("gone".into())
    );
    assert_eq!(
        judge(Ok("x".into()), unseen()),
        Scope::Unknown("gone".into())
    );
    // Whatever the name of the node is.
    assert_eq!(
        judge(Ok(String::new()), unseen()),
        Scope::OfThisNode(String::new())
    );
    for versions in [
        "-2 +3 +4 +4.1 +4.2\n",
        "+3 +4 -4.0 +4.1 -4.2",
        "-3 +4 -4.1 +4.2",
    ] {
        assert!(matters(versions), "{versions}");
    }
    // NFSv4.0 has no scope.
    for versions in [
        "+3 -4 -4.0 -4.1 -4.2\n",
        "+3 +4 -4.1 -4.2",
        "+3 +4.0",
        "+3",
        "",
    ] {
        assert!(!matters(versions), "{versions}");
    }
}

/// A node with that scope, and a client.
fn with(scope: &str) -> Node {
    let node = ready();
    node.dir.write("root/proc/sys/kernel/hostname", "a\n");
    node.fake(&["nfsdctl"], &format!("echo 'scope: {scope}'"));
    has_client(&node, 2);
    node
}

/// It uses NFSv4 of that minor version.
fn has_client(node: &Node, minor: u32) {
    let info =
        format!("address: \"10.77.0.13:878\"\nname: \"c@{ELSEWHERE}\"\nminor version: {minor}\n");
    node.dir.write("nfsd/clients/3/info", &info);
    node.dir.write("nfsd/clients/3/states", OPEN);
    node.dir.write("nfsd/clients/3/ctl", "");
}

fn takeover(node: &Node, more: &[&str]) -> crate::common::Ran {
    node.run(&[&["takeover", "s1", "--no-notify", "--expect-none"], more].concat())
}

#[test]
fn a_release_by_the_scope_of_one_node_is_refused_before_anything_is_changed() {
    for (scope, said) in [
        ("a", "the scope of this node alone, \"a\""),
        ("", "has no scope"),
    ] {
        let node = with(scope);
        refused(&node, said);
        refused(&node, "\"nfs-failoverctl setup --scope NAME\"");
        let ran = node.run(&["config", "check"]);
        assert!(ran.exit == 1 && ran.err.contains(said), "{ran:?}");
        assert!(ran.err.contains("setup --scope NAME"), "{ran:?}");
    }
}

/// After a crash the filesystem is served nowhere else.
#[test]
fn a_takeover_goes_on_and_says_so() {
    for scope in ["a", ""] {
        let node = with(scope);
        let ran = takeover(&node, &[]);
        assert_eq!(
            (ran.exit, node.dir.read("nfsd/nlm_set_igrace").as_str()),
            (3, "1234\n"),
            "{ran:?}"
        );
        assert!(ran.out.contains("setup --scope NAME"), "{ran:?}");
    }
}

#[test]
fn a_release_goes_on_if_somebody_wants_it_so() {
    let node = with("a");
    let ran = release(&node, &["--force"]);
    assert!(
        ran.exit == 3 && ran.out.contains("--force: nfsd has the scope"),
        "{ran:?}"
    );
    assert!(node.dir.read("nfsd/nlm_unlock").starts_with("1234 fence="));
}

/// Nor is it for NFSv3 alone, whatever else nfsd would serve.
#[test]
fn a_release_without_clients_that_ask_for_it_is_not_refused() {
    let node = with("a");
    has_client(&node, 0);
    assert_eq!(release(&node, &[]).exit, 0);
    let node = with("a");
    fs::remove_dir_all(node.dir.path("nfsd/clients/3")).unwrap();
    assert_eq!(release(&node, &[]).exit, 0);
}

/// Nothing more can be lost by it, and others wait for the rest.
#[test]
fn what_is_released_already_is_gone_on_with() {
    let node = with("a");
    let unit = "unit fsid=1234 phase=released left=9\ntotals units=1 hooks=live nmissed=0\n";
    node.dir.write("nfsd/failover_status", unit);
    assert_eq!(release(&node, &[]).exit, 0);
}

#[test]
fn who_asks_for_no_scope_needs_none() {
    let node = with("a");
    for (versions, threads) in [("+3 -4 -4.1 -4.2\n", "8\n"), ("+3 +4 -4.1\n", "8\n")] {
        node.dir.write("nfsd/versions", versions);
        node.dir.write("nfsd/threads", threads);
        for ran in [takeover(&node, &[]), release(&node, &[])] {
            assert!(ran.exit == 0 && !ran.out.contains("scope"), "{ran:?}");
        }
        let ran = node.run(&["config", "check"]);
        assert!(ran.exit == 0 && !ran.err.contains("scope"), "{ran:?}");
    }
    // Nor is it asked for.
    assert_eq!(node.dir.read("nfsd/cmd.nfsdctl"), "");
    // It has one when it runs.
    node.dir.write("nfsd/versions", "+3 +4 +4.1\n");
    node.dir.write("nfsd/threads", "0\n");
    let ran = node.run(&["config", "check"]);
    assert!(!ran.err.contains("scope"), "{ran:?}");
}

#[test]
fn a_scope_that_is_not_seen_is_said() {
    let node = with("cluster1");
    for ran in [takeover(&node, &[]), release(&node, &[])] {
        assert!(ran.exit == 0 && !ran.out.contains("scope"), "{ran:?}");
    }
    let hostname = node.dir.path("root/proc/sys/kernel/hostname");
    fs::remove_file(&hostname).unwrap();
    for ran in [takeover(&node, &[]), release(&node, &[])] {
        assert!(
            ran.exit == 0 && ran.out.contains("nfsd's scope is not known (there is no "),
            "{ran:?}"
        );
    }
    let ran = node.run(&["config", "check"]);
    assert!(
        ran.exit == 0 && ran.err.contains("warning: nfsd's scope is not known"),
        "{ran:?}"
    );
    // Clients wait.
    node.dir.write("root/proc/sys/kernel/hostname", "a\n");
    node.fake(&["nfsdctl"], "sleep 60");
    let begun = Instant::now();
    let ran = takeover(&node, &[]);
    assert!(
        ran.exit == 0 && ran.out.contains("took longer than 5 s"),
        "{ran:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(30), "{ran:?}");
}
