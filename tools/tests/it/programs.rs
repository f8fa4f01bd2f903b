// SPDX-License-Identifier: GPL-2.0-only

//! Programs of the system that do not end.

use crate::common::{
    Node,
    ELSEWHERE,
    HERE, //
};
use std::path::Path;
use std::time::{
    Duration,
    Instant, //
};

/// As if it waited for a lock of somebody else's.
const HANGS: &str = "echo $$ >>$0.pid; exec sleep 1000";

/// The same, but it does not listen.
const DEAF: &str = "trap '' TERM; echo $$ >>$0.pid; while :; do sleep 1; done";

/// None of what was started is left.
fn is_gone(node: &Node, program: &str) -> bool {
    let pids = node.dir.read(&format!("bin/{program}.pid"));
    assert!(!pids.is_empty());
    let mut pids = pids.lines();
    pids.all(|pid| !Path::new("/proc").join(pid).join("exe").exists())
}

#[test]
fn a_takeover_does_not_wait_for_exportfs_for_ever() {
    let node = Node::new(HERE, "");
    node.fake(&["exportfs"], HANGS);
    let begun = Instant::now();
    let ran = node.run(&["takeover", "s1", "--export", "--no-notify"]);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(ran.exit, 1, "{ran:?}");
    for said in [
        "export: FAILED (\"exportfs -o rw,fsid=1234,mountpoint 10.0.0.0/8:",
        "took longer than 20 s and was ended; perhaps somebody has its lock",
        "repeat this command when the cause is gone",
    ] {
        assert!(ran.out.contains(said), "{said}: {ran:?}");
    }
    assert!(is_gone(&node, "exportfs"));
}

#[test]
fn a_release_does_not_wait_for_exportfs_for_ever() {
    let node = Node::new(ELSEWHERE, "");
    node.has_manifest();
    node.fake(&["exportfs"], DEAF);
    node.fake(&["umount"], "");
    let path = node.dir.path("srv").display().to_string();
    let etab: Vec<_> = (1..9)
        .map(|client| format!("{path}\t10.0.0.{client}(rw,fsid=1234)\n"))
        .collect();
    node.dir.write("statd/etab", &etab.concat());
    let begun = Instant::now();
    let ran = node.run(&["--json", "release", "s1", "--unexport", "--umount"]);
    let took = begun.elapsed();
    // Not for each of them.
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(
        (
            ran.exit,
            ran.result("unexport").as_str(),
            ran.result("umount").as_str()
        ),
        (3, "incomplete", "done"),
        "{ran:?}"
    );
    assert!(ran.out.contains("was ended"), "{ran:?}");
    assert!(is_gone(&node, "exportfs"));
}

/// Who has been started by a program, and stays, is not waited for.
#[test]
fn what_a_program_leaves_behind_is_not_waited_for() {
    let node = Node::new(HERE, "");
    node.fake(&["exportfs"], "sleep 100 &");
    let begun = Instant::now();
    let ran = node.run(&["takeover", "s1", "--export", "--no-notify"]);
    let took = begun.elapsed();
    assert!(ran.exit == 0 && took < Duration::from_secs(60), "{ran:?}");
}

#[test]
fn mount_is_not_believed() {
    let node = Node::new(HERE, "");
    node.dir.write("mountinfo", "");
    node.fake(&["mount"], "");
    let ran = node.run(&["takeover", "s1", "--mount", "--no-notify"]);
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert!(ran.out.contains("but nothing is mounted at"), "{ran:?}");
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "");
}
