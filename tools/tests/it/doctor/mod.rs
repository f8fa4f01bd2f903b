// SPDX-License-Identifier: GPL-2.0-only

//! `doctor`: what it judges by facts, and what it sees of a machine.

mod breaks;
mod facts;
mod layout;
mod machine;
mod nodes;

use crate::common::{
    Node,
    Ran, //
};
use serde_json::Value;

const RELEASE: &str = "7.3.4+deb13-amd64";
const BUILD: &str = "#1 SMP PREEMPT_DYNAMIC Debian 7.3.4-1~bpo13+1 (2026-11-15)";

/// A node on which everything is right.
fn well(ip: &str) -> Node {
    let node = Node::new(ip, "");
    let root = |name: &str, text: &str| node.dir.write(&format!("root/{name}"), text);
    root("etc/fstab", "");
    root("proc/sys/kernel/osrelease", RELEASE);
    root("proc/sys/kernel/version", BUILD);
    root("proc/sys/kernel/arch", "x86_64\n");
    root("proc/sys/kernel/hostname", "a\n");
    root("proc/sys/kernel/ftrace_enabled", "1\n");
    root("proc/fs/lockd/nlm_end_grace", "Y\n");
    root("proc/stat", "cpu 1 2\nbtime 4000000000\n");
    root(
        "proc/77/stat",
        "77 (rpc.statd) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 500 20\n",
    );
    root("proc/77/root/etc/nsswitch.conf", "hosts: files\n");
    root(&format!("boot/vmlinuz-{RELEASE}"), "");
    root(
        &format!("boot/config-{RELEASE}"),
        "CONFIG_INET_DIAG_DESTROY=y\n",
    );
    root(
        &format!("lib/modules/{RELEASE}/modules.dep"),
        "kernel/fs/nfsd/nfsd.ko.xz:\nupdates/nfs_failover.ko.xz: kernel/fs/nfsd/nfsd.ko.xz\n",
    );
    node.dir.write("nfsd/v4_end_grace", "Y\n");
    node.dir.write("nfsd/nfsv4leasetime", "15\n");
    let statd = node.dir.path("statd");
    std::os::unix::fs::symlink(&statd, node.dir.path("root/proc/77/cwd")).unwrap();
    node.is_not_mounted();
    node.fake(
        &["nfsconf"],
        &format!(
            "case \"$2 $3\" in nfsd*scope) echo cluster1;; sm-notify*) echo n;; statd*callout) echo {};; *port) echo {};; *) exit 1;; esac",
            crate::common::CTL,
            node.services.port
        ),
    );
    node.fake(
        &["nfsdctl"],
        "printf 'scope: cluster1\\npool-threads: 8\\n'",
    );
    node.fake(&["timedatectl"], "echo yes");
    node.fake(
        &["systemctl"],
        "echo 'ExecStartPre={ path=/usr/sbin/nfs-failoverctl ; argv[]=x }'",
    );
    node.fake(
        &["modinfo"],
        &format!("[ $2 != uts_version ] || echo '{BUILD}'"),
    );
    node
}

/// What its JSON says.
fn findings(ran: &Ran) -> Vec<Value> {
    let json: Value = serde_json::from_str(&ran.out).expect(&ran.out);
    assert_eq!(json["version"], 1);
    assert_eq!(json["exit"], ran.exit);
    json["findings"].as_array().unwrap().clone()
}

/// What is not right: what was looked at, and how it is.
fn bad(node: &Node) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_string();
    findings(&node.run(&["doctor", "--json"]))
        .iter()
        .filter(|finding| !matches!(finding["verdict"].as_str(), Some("ok" | "info")))
        .map(|finding| {
            // Whoever reads it has to know why, and what to do.
            assert_ne!(finding["cost"], "", "{finding}");
            assert_ne!(finding["heal"], "", "{finding}");
            (word(&finding["check"]), word(&finding["verdict"]))
        })
        .collect()
}
