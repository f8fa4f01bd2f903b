// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    Node,
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::statd::list::pairs;
use std::fs;
use std::time::{
    Duration,
    Instant, //
};

fn line(client: &str, my_name: &str) -> String {
    format!(
        "0100007f 000186b5 00000003 00000010 {} {client} {my_name}\n",
        "ab".repeat(16)
    )
}

#[test]
fn boot_removes_floating_ips_only() {
    let node = Node::new(ELSEWHERE, "");
    node.services.gone(100_024);
    let ours = line("10.77.0.13", ELSEWHERE);
    let others = line("10.77.0.13", "nodeA") + &line("10.77.0.13", "203.0.113.78");
    node.dir.write("statd/sm/c1", &format!("{others}{ours}"));
    node.dir.write("statd/sm/c2", &ours);
    node.dir.write("statd/sm/c3", &others);
    node.dir.write("statd/sm.bak/c4", &ours);
    node.dir.write("statd/sm/.c5.new", &ours);
    node.dir
        .write("statd/sm/c6", &format!("rubbish\n\n{ELSEWHERE}\n{others}"));
    let ip = ELSEWHERE.parse().unwrap();
    assert_eq!(pairs(&node.dir.path("statd/sm"), ip).unwrap().len(), 2);
    for removed in [2, 0] {
        let ran = node.run(&["boot"]);
        assert_eq!((ran.exit, ran.out.lines().count()), (0, removed), "{ran:?}");
        assert_eq!(node.dir.read("statd/sm/c1"), others);
        assert_eq!(node.dir.read("statd/sm/c3"), others);
        assert!(!node.dir.path("statd/sm/c2").exists());
        assert!(!node.dir.path("statd/sm.bak/c4").exists());
        assert_eq!(node.dir.read("statd/sm/.c5.new"), ours);
        assert!(node.dir.read("statd/sm/c6").starts_with("rubbish\n\n"));
    }
}

#[test]
fn boot_leaves_active_ips_alone() {
    let node = Node::new(ELSEWHERE, "");
    let ours = line("10.77.0.13", ELSEWHERE);
    node.dir.write("statd/sm/c1", &ours);
    let active = format!("ip={ELSEWHERE} confirm=no clients=1 refused=0\n");
    node.dir.write("nfsd/floating_ips", &active);
    let ran = node.run(&["boot"]);
    assert!(ran.exit == 0 && ran.out.contains("left alone"), "{ran:?}");
    assert_eq!(node.dir.read("statd/sm/c1"), ours);
}

/// Whoever was on record under that name is not told.
#[test]
fn a_list_that_is_not_whole_is_not_told_completely() {
    let node = Node::new(HERE, "");
    fs::create_dir_all(node.dir.path(&format!("srv/.nsm/{HERE}/clients"))).unwrap();
    let notify = || node.run(&["notify", "--force", "--ip", HERE]);
    let ran = notify();
    assert_eq!(ran.exit, 0, "{ran:?}");
    fs::create_dir(
        node.dir
            .path(&format!("srv/.nsm/{HERE}/clients/10.77.0.13")),
    )
    .unwrap();
    let ran = notify();
    assert_eq!(ran.exit, 3, "{ran:?}");
    assert!(ran.out.contains("NOT COMPLETE"), "{ran:?}");
    assert!(ran.err.contains("10.77.0.13"), "{ran:?}");
}

/// statd runs our program for each client that it forgets, and compares names: it may take long.
#[test]
fn a_slow_statd_holds_no_move_up() {
    let node = Node::new(ELSEWHERE, "");
    node.has_manifest();
    node.fake(&["umount"], "");
    for number in 0..80 {
        let line = line(&format!("10.77.1.{number}"), ELSEWHERE);
        node.dir.write(&format!("statd/sm/c{number}"), &line);
    }
    node.services.slow(100_024);
    let begun = Instant::now();
    let ran = node.run(&["--json", "release", "s1"]);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
    assert_eq!(
        (ran.exit, ran.result("statd").as_str()),
        (3, "incomplete"),
        "{ran:?}"
    );
    assert!(ran.out.contains("of 80 clients only"), "{ran:?}");
    // With the filesystem unmounted, the next node does not wait for it.
    let ran = node.run(&["--json", "release", "s1", "--umount"]);
    let steps: Vec<_> = ran.steps().into_iter().map(|(step, _)| step).collect();
    let at = |name: &str| steps.iter().position(|step| step == name).unwrap();
    assert!(at("umount") < at("statd"), "{ran:?}");
    assert_eq!((ran.exit, ran.result("statd").as_str()), (0, "done"));
}
