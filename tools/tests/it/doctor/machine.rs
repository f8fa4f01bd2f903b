// SPDX-License-Identifier: GPL-2.0-only

//! What it sees of a machine that is not there.

use super::{
    bad,
    findings,
    well, //
};
use crate::common::{
    Node,
    Ran,
    ELSEWHERE, //
};
use std::fs;

#[test]
fn a_node_that_is_well_is_said_to_be() {
    let node = well(ELSEWHERE);
    assert_eq!(bad(&node), []);
    let ran = node.run(&["doctor"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(
        ran.out.contains("that were looked at are right.\n"),
        "{ran:?}"
    );
    assert!(
        ran.out.lines().all(|line| line.chars().count() <= 80),
        "{}",
        ran.out
    );
    let all = node.run(&["doctor", "--all"]);
    assert!(
        all.out.lines().count() > ran.out.lines().count() + 10,
        "{all:?}"
    );
}

#[test]
fn what_cannot_be_looked_at_is_not_right() {
    // Nothing of what is asked is there.
    let node = Node::new(ELSEWHERE, "");
    let path = node.dir.path("bin");
    let ran = Ran::new(
        std::process::Command::new(crate::common::CTL)
            .env("PATH", path)
            .args(["--json", "doctor", "--config"])
            .arg(node.dir.path("config"))
            .arg("--nfsd")
            .arg(node.dir.path("nowhere"))
            .arg("--mountinfo")
            .arg(node.dir.path("nowhere"))
            .arg("--root")
            .arg(node.dir.path("nowhere"))
            .args(["--local-rpcbind", "1"])
            .output()
            .unwrap(),
    );
    assert_eq!(ran.exit, 1, "{ran:?}");
    for finding in findings(&ran) {
        let right = finding["verdict"] == "ok";
        // These look at this machine, or at files that need not be there.
        let elsewhere = ["statd's user", "signature"];
        let check = finding["check"].as_str().unwrap();
        assert!(!right || elsewhere.contains(&check), "{finding}");
    }
}

#[test]
fn what_nobody_reads_is_not_wrong() {
    let node = well(ELSEWHERE);
    let srv = node.dir.path("srv").display().to_string();
    let root = |name: &str, text: &str| node.dir.write(&format!("root/{name}"), text);
    let address = format!("address {ELSEWHERE}/24\n");
    root("etc/network/interfaces~", &address);
    root("etc/network/interfaces.d/x.dpkg-old", &address);
    root("etc/exports.d/x.exports.bak", &format!("{srv} *(rw)\n"));
    // Another flavour is another choice at boot.
    root("boot/vmlinuz-7.3.10+deb13-cloud-amd64", "");
    root(
        "lib/modules/7.3.10+deb13-cloud-amd64/modules.dep",
        "x.ko:\n",
    );
    // The firmware has no Secure Boot.
    root("sys/firmware/efi/efivars/Boot0000-x", "");
    assert_eq!(bad(&node), []);
    root("etc/exports.d/x.exports", &format!("{srv} *(rw)\n"));
    assert!(bad(&node).contains(&("boot".into(), "error".into())));
}

#[test]
fn at_boot_the_module_is_loaded() {
    let node = well(ELSEWHERE);
    node.fake(&["modprobe"], "");
    let ran = node.run(&["doctor", "--quick"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(node.dir.read("nfsd/cmd.modprobe"), "nfs_failover\n");
    node.fake(&["modprobe"], "echo 'not found' >&2; exit 1");
    let ran = node.run(&["doctor", "--quick"]);
    assert!(ran.exit == 1 && ran.out.contains("not found"), "{ran:?}");
    // Exit status 3 would be no failure of the unit.
    type Change = fn(&Node);
    let changes: [(&str, Change); 3] = [
        ("hooks", |node| {
            drop(node.dir.write("nfsd/failover_status", ""))
        }),
        ("callout", |node| {
            drop(node.dir.write("root/proc/77/stat", "?"))
        }),
        ("callout", |node| {
            node.dir.write("root/proc/stat", "btime 5\n");
            node.dir.write("root/etc/nfs.conf.d/x.conf", "");
        }),
    ];
    for (check, change) in changes {
        let node = well(ELSEWHERE);
        node.fake(&["modprobe"], "");
        change(&node);
        let ran = node.run(&["doctor", "--quick"]);
        assert!(
            ran.exit == 1 && ran.out.contains(&format!("ERROR    {check}:")),
            "{ran:?}"
        );
    }
    // It is loaded already.
    node.dir.write("root/sys/module/nfs_failover/x", "");
    assert_eq!(node.run(&["doctor", "--quick"]).exit, 0);
    // statd is started later.
    fs::remove_dir_all(node.dir.path("root/proc/77")).unwrap();
    let ran = node.run(&["doctor", "--quick", "--all"]);
    assert!(
        ran.exit == 0 && ran.out.contains("rpc.statd will run"),
        "{ran:?}"
    );
    node.fake(&["nfsconf"], "exit 1");
    let ran = node.run(&["doctor", "--quick"]);
    assert!(
        ran.exit == 1 && ran.out.contains("has no ha-callout"),
        "{ran:?}"
    );
}

#[test]
fn services_can_be_named() {
    let node = well(ELSEWHERE);
    let text = node.dir.read("config");
    let other = "[[service]]\nname = \"s2\"\npath = \"/srv/s2\"\nfsid = \"5\"\nip = \"203.0.113.78\"\ngrace = 0\n";
    node.dir.write("config", &format!("{text}{other}"));
    assert_eq!(node.run(&["doctor", "s1"]).exit, 0);
    assert_eq!(node.run(&["doctor"]).exit, 1);
    let ran = node.run(&["doctor", "s3"]);
    assert!(
        ran.exit == 1 && ran.err.contains("no service \"s3\""),
        "{ran:?}"
    );
}
