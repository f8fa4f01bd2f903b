// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    Node,
    ELSEWHERE, //
};
use nfs_failoverctl::statd::list::pairs;

fn line(client: &str, my_name: &str) -> String {
    format!(
        "0100007f 000186b5 00000003 00000010 {} {client} {my_name}\n",
        "ab".repeat(16)
    )
}

#[test]
fn boot_removes_floating_ips_only() {
    let node = Node::new(ELSEWHERE, "");
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
