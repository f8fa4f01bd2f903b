// SPDX-License-Identifier: GPL-2.0-only

//! One thing after the other is wrong on a machine that is not there.

use super::{
    bad,
    well,
    RELEASE, //
};
use crate::common::{
    Node,
    ELSEWHERE, //
};
use std::fs;

#[test]
fn each_thing_that_is_wrong_is_found() {
    let root = |node: &Node, name: &str, text: &str| {
        node.dir.write(&format!("root/{name}"), text);
    };
    type Break = Box<dyn Fn(&Node)>;
    let breaks: Vec<(&str, &str, Break)> = vec![
        (
            "kernel",
            "error",
            Box::new(move |node| {
                root(node, "proc/sys/kernel/osrelease", "6.12.3+deb13-amd64");
                root(
                    node,
                    "lib/modules/6.12.3+deb13-amd64/modules.dep",
                    "x/nfs_failover.ko:\n",
                );
            }),
        ),
        (
            "kernel",
            "error",
            Box::new(move |node| root(node, "proc/sys/kernel/arch", "aarch64")),
        ),
        (
            "ftrace",
            "error",
            Box::new(move |node| root(node, "proc/sys/kernel/ftrace_enabled", "0")),
        ),
        (
            "next kernel",
            "warning",
            Box::new(move |node| {
                root(node, "boot/vmlinuz-7.3.10+deb13-amd64", "");
                root(
                    node,
                    "lib/modules/7.3.10+deb13-amd64/modules.dep",
                    "kernel/nfsd.ko:\n",
                );
            }),
        ),
        (
            "module",
            "error",
            Box::new(move |node| {
                root(
                    node,
                    &format!("lib/modules/{RELEASE}/modules.dep"),
                    "not_nfs_failover.ko:\n",
                );
            }),
        ),
        (
            "build",
            "error",
            Box::new(|node| node.fake(&["modinfo"], "[ $2 != uts_version ] || echo other")),
        ),
        (
            "build",
            "unknown",
            Box::new(|node| node.fake(&["modinfo"], "true")),
        ),
        (
            "hooks",
            "error",
            Box::new(|node| {
                drop(
                    node.dir
                        .write("nfsd/failover_status", "totals hooks=dead nmissed=0\n"),
                )
            }),
        ),
        (
            "hooks",
            "error",
            Box::new(|node| fs::remove_file(node.dir.path("nfsd/failover_status")).unwrap()),
        ),
        (
            "hooks",
            "unknown",
            Box::new(|node| drop(node.dir.write("nfsd/failover_status", ""))),
        ),
        (
            "missed calls",
            "warning",
            Box::new(|node| {
                drop(
                    node.dir
                        .write("nfsd/failover_status", "totals hooks=live nmissed=3\n"),
                )
            }),
        ),
        (
            "missed calls",
            "unknown",
            Box::new(|node| {
                drop(
                    node.dir
                        .write("nfsd/failover_status", "totals hooks=live\n"),
                )
            }),
        ),
        (
            "signature",
            "warning",
            Box::new(move |node| {
                root(
                    node,
                    "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
                    "\x06\0\0\0\x01",
                );
            }),
        ),
        (
            "signature",
            "unknown",
            Box::new(move |node| root(node, "sys/firmware/efi/x", "")),
        ),
        (
            "callout",
            "error",
            Box::new(move |node| root(node, "proc/77/cmdline", "rpc.statd\0-H\0/bin/true\0")),
        ),
        (
            "callout",
            "warning",
            Box::new(move |node| {
                root(node, "proc/stat", "btime 5\n");
                root(node, "etc/nfs.conf.d/x.conf", "");
            }),
        ),
        (
            "callout",
            "unknown",
            Box::new(move |node| root(node, "proc/77/stat", "?")),
        ),
        (
            "names",
            "warning",
            Box::new(move |node| {
                root(node, "proc/77/root/etc/nsswitch.conf", "hosts: files dns\n")
            }),
        ),
        (
            "lift-grace",
            "error",
            Box::new(|node| {
                let port = node.services.port;
                node.fake(
                    &["nfsconf"],
                    &format!("case $3 in *port) echo {port};; *) exit 1;; esac"),
                );
            }),
        ),
        (
            "lift-grace",
            "unknown",
            Box::new(|node| {
                let port = node.services.port;
                node.fake(
                    &["nfsconf"],
                    &format!("case $3 in *port) echo {port};; lift*) exit 3;; *) exit 1;; esac"),
                );
            }),
        ),
        (
            "sm-notify",
            "error",
            Box::new(|node| node.fake(&["systemctl"], "echo ExecStartPre=")),
        ),
        (
            "sm-notify",
            "unknown",
            Box::new(|node| node.fake(&["systemctl"], "exit 1")),
        ),
        (
            "scope",
            "error",
            Box::new(|node| node.fake(&["nfsdctl"], "echo scope: a")),
        ),
        (
            "scope",
            "unknown",
            Box::new(|node| node.fake(&["nfsdctl"], "echo pool-threads: 8")),
        ),
        (
            "ports",
            "warning",
            Box::new(|node| node.fake(&["nfsconf"], "case $3 in lift*) echo n;; *) exit 1;; esac")),
        ),
        (
            "ports",
            "warning",
            Box::new(|node| {
                node.fake(
                    &["nfsconf"],
                    "case $3 in lift*) echo n;; *port) echo 1;; *) exit 1;; esac",
                );
            }),
        ),
        (
            "ports",
            "unknown",
            Box::new(|node| {
                node.fake(
                    &["nfsconf"],
                    "case $3 in lift*) echo n;; *port) exit 3;; *) exit 1;; esac",
                );
            }),
        ),
        (
            "clock",
            "error",
            Box::new(|node| node.fake(&["timedatectl"], "echo no")),
        ),
        (
            "clock",
            "unknown",
            Box::new(|node| node.fake(&["timedatectl"], "exit 1")),
        ),
        (
            "services",
            "error",
            Box::new(|node| drop(node.dir.write("nfsd/threads", "0\n"))),
        ),
        (
            "services",
            "error",
            Box::new(|node| node.services.gone(100_005)),
        ),
        (
            "boot",
            "error",
            Box::new(move |node| {
                let srv = node.dir.path("srv");
                root(
                    node,
                    "etc/fstab",
                    &format!("/dev/sdb1 {} ext4 defaults 0 0\n", srv.display()),
                );
            }),
        ),
        (
            "boot",
            "error",
            Box::new(move |node| {
                let srv = node.dir.path("srv");
                root(node, "etc/exports", &format!("{} *(rw)\n", srv.display()));
            }),
        ),
        (
            "address",
            "warning",
            Box::new(move |node| {
                root(
                    node,
                    "etc/network/interfaces.d/x",
                    &format!("address {ELSEWHERE}/24\n"),
                );
            }),
        ),
        (
            "address",
            "unknown",
            Box::new(move |node| {
                fs::create_dir_all(node.dir.path("root/etc/systemd")).unwrap();
                root(node, "etc/systemd/network", "no directory");
            }),
        ),
        (
            "boot",
            "unknown",
            Box::new(move |node| root(node, "etc/exports.d", "no directory")),
        ),
        (
            "scope",
            "warning",
            Box::new(|node| {
                node.fake(&["nfsdctl"], "echo scope: cluster2");
            }),
        ),
        (
            "ports",
            "unknown",
            Box::new(|node| {
                for program in [100_005, 100_021, 100_024] {
                    node.services.gone(program);
                }
            }),
        ),
        (
            "address",
            "error",
            Box::new(|node| fs::remove_dir_all(node.dir.path("root/sys/class/net")).unwrap()),
        ),
        (
            "filesystem",
            "error",
            Box::new(|node| node.fake(&["blkid"], "echo gfs2")),
        ),
        (
            "ctdb",
            "error",
            Box::new(move |node| root(node, "proc/5/comm", "ctdbd\n")),
        ),
        (
            "fencing",
            "warning",
            Box::new(move |node| {
                root(node, "proc/5/comm", "pacemakerd\n");
                node.fake(&["crm_attribute"], "echo false");
            }),
        ),
        (
            "fencing",
            "unknown",
            Box::new(move |node| {
                root(node, "proc/5/comm", "pacemakerd\n");
                node.fake(&["crm_attribute"], "exit 1");
            }),
        ),
        (
            "fencing",
            "warning",
            Box::new(move |node| root(node, "proc/5/comm", "keepalived\n")),
        ),
        (
            "config",
            "error",
            Box::new(|node| {
                let text = node.dir.read("config");
                node.dir.write("config", &format!("{text}grace = 0\n"));
            }),
        ),
        (
            "config",
            "error",
            Box::new(|node| drop(node.dir.write("config", "[[service]\n"))),
        ),
    ];
    for (check, verdict, broken) in breaks {
        let node = well(ELSEWHERE);
        broken(&node);
        let found = bad(&node);
        assert!(
            found.contains(&(check.into(), verdict.into())),
            "{check} {verdict}: {found:?}"
        );
        let ran = node.run(&["doctor"]);
        let expected = if found.iter().any(|(_, verdict)| verdict == "error") {
            1
        } else {
            3
        };
        assert_eq!(ran.exit, expected, "{check} {verdict}: {ran:?}");
    }
}
