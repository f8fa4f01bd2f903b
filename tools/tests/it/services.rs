// SPDX-License-Identifier: GPL-2.0-only

//! A takeover on a node that lacks something: refused before the first step that a client can see.

use crate::common::{
    Node,
    CTL,
    ELSEWHERE, //
};
use std::fs;

/// Something that is done to a node.
type Break = &'static dyn Fn(&Node);

#[test]
fn services_that_are_missing() {
    let broken: [(Break, &str); 10] = [
        (
            &|node| node.services.gone(100_024),
            "rpc.statd is not running: rpcbind does not know it",
        ),
        (
            &|node| node.services.gone(100_005),
            "rpc.mountd is not running",
        ),
        (&|node| node.services.gone(100_021), "lockd is not running"),
        (
            &|node| drop(node.dir.write("nfsd/threads", "0\n")),
            "nfsd has no threads",
        ),
        (
            &|node| drop(node.dir.write("nfsd/versions", "-2 -3 +4\n")),
            "does not serve NFSv3",
        ),
        (
            &|node| {
                drop(
                    node.dir
                        .write("root/proc/77/cmdline", "rpc.statd\0--ha-callout=/bin/sh\0"),
                )
            },
            "is not nfs-failoverctl",
        ),
        (
            &|node| {
                drop(
                    node.dir
                        .write("root/proc/77/cmdline", "rpc.statd\0-H\0/nowhere\0"),
                )
            },
            "/nowhere, cannot be run",
        ),
        (
            &|node| {
                node.dir.write("root/proc/77/cmdline", "rpc.statd\0");
                node.fake(&["nfsconf"], "exit 1");
            },
            "has no ha-callout",
        ),
        (
            &|node| drop(fs::remove_file(node.dir.path("sdz"))),
            "device",
        ),
        (
            &|node| drop(fs::remove_dir_all(node.dir.path("root/sys"))),
            "there is no interface eth9",
        ),
    ];
    for (break_it, reason) in broken {
        let node = Node::new(ELSEWHERE, "");
        node.is_not_mounted();
        node.fake(&["ip", "exportfs"], "");
        break_it(&node);
        let arguments = [
            "takeover",
            "s1",
            "--mount",
            "--export",
            "--address",
            "--no-notify",
        ];
        let ran = node.run(&arguments);
        assert!(
            ran.exit == 1 && ran.out.contains(reason) && ran.out.contains("nothing has changed"),
            "{reason}: {ran:?}"
        );
        for program in ["mount", "ip", "exportfs"] {
            assert_eq!(node.dir.read(&format!("nfsd/cmd.{program}")), "");
        }
        let ran = node.run(&[&arguments[..], &["--force"]].concat());
        assert!(
            ran.out.contains("grace: nlm_set_igrace 1234 ... done"),
            "{reason}: {ran:?}"
        );
    }
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("root/proc/77/cmdline", "rpc.statd\0");
    node.fake(&["nfsconf"], &format!("echo {CTL}"));
    assert_eq!(node.run(&["takeover", "s1", "--no-notify"]).exit, 0);
    node.services.silent(100_024);
    let ran = node.run(&["takeover", "s1", "--no-notify"]);
    assert!(
        ran.exit == 1 && ran.out.contains("registered, but does not answer"),
        "{ran:?}"
    );
}

/// Its thread may wait for a disk of another filesystem, and whoever has it do something waits, too.
#[test]
fn lockd_has_to_answer() {
    let node = Node::new(ELSEWHERE, "");
    node.has_manifest();
    node.services.silent(100_021);
    let before = node.dir.read("nfsd/nlm_unlock");
    for command in ["takeover", "release"] {
        let ran = node.run(&[command, "s1"]);
        assert!(
            ran.exit == 1
                && ran
                    .out
                    .contains("lockd is not running: it is registered, but does not answer")
                && ran.out.contains("nothing has changed"),
            "{ran:?}"
        );
    }
    assert_eq!(node.dir.read("nfsd/nlm_unlock"), before);
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "");
}
