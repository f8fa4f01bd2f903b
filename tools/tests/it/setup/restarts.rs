// SPDX-License-Identifier: GPL-2.0-only

//! `setup`: what it restarts, and what it takes back.

use super::{
    conf,
    node,
    restarts,
    setup, //
};
use crate::common::{
    Node,
    CTL, //
};
use nfs_failoverctl::setup::wanted::NFS_CONF;
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn a_step_that_fails_takes_everything_back() {
    let node = node();
    node.dir
        .write(&format!("root/{NFS_CONF}"), "[statd]\n# as packaged\n");
    let ports = ["nlm_tcpport", "nlm_udpport"].map(|name| format!("root/proc/sys/fs/nfs/{name}"));
    for file in &ports {
        node.dir.write(file, "7\n");
    }
    for (unit, restarted) in [
        ("rpc-statd", vec!["rpc-statd", "rpc-statd"]),
        (
            "nfs-server",
            vec!["rpc-statd", "nfs-server", "rpc-statd", "nfs-server"],
        ),
    ] {
        node.dir.write("root/fails", unit);
        let _ = fs::remove_file(node.dir.path("nfsd/cmd.systemctl"));
        let ran = setup(&node, &[]);
        assert_eq!(ran.exit, 1, "{ran:?}");
        assert_eq!(conf(&node), "[statd]\n# as packaged\n");
        assert!(!node
            .dir
            .path("root/etc/modprobe.d/nfs-failover.conf")
            .exists());
        // One that cannot be restarted once more does not keep the others from it.
        assert_eq!(restarts(&node), restarted, "{ran:?}");
        for file in &ports {
            assert_eq!(node.dir.read(file), "7\n");
        }
        assert!(node
            .dir
            .read("nfsd/cmd.systemctl")
            .contains("disable nfs-failover.service"));
        assert!(
            ran.out
                .trim_end()
                .ends_with("taking it back FAILED, see above"),
            "{ran:?}"
        );
    }
    // Once it works again, it is said that all is as it was.
    node.dir.write("root/fails", "");
    node.fake(&["nfsconf"], "exit 1");
    let ran = setup(&node, &[]);
    assert!(
        ran.exit == 1
            && ran
                .out
                .contains("nfsconf says that scope in [nfsd] is nothing"),
        "{ran:?}"
    );
    assert!(
        ran.out.trim_end().ends_with("; all files are as they were"),
        "{ran:?}"
    );
    assert_eq!(conf(&node), "[statd]\n# as packaged\n");
    // One of the files cannot be written: none is.
    fs::create_dir_all(node.dir.path("root/etc/modprobe.d/nfs-failover.conf")).unwrap();
    let ran = setup(&node, &[]);
    assert!(
        ran.exit == 1 && conf(&node) == "[statd]\n# as packaged\n",
        "{ran:?}"
    );
    // Nor if that shows when others are written beside their places.
    fs::remove_dir(node.dir.path("root/etc/modprobe.d/nfs-failover.conf")).unwrap();
    let dir = node.dir.path("root/etc/modules-load.d");
    fs::remove_dir_all(&dir).unwrap();
    symlink("/proc", &dir).unwrap();
    let ran = setup(&node, &[]);
    assert!(
        ran.exit == 1
            && ran.out.contains("files: FAILED")
            && conf(&node) == "[statd]\n# as packaged\n",
        "{ran:?}"
    );
    for (dir, count) in [("nfs.conf.d", 1), ("modprobe.d", 0)] {
        let left = fs::read_dir(node.dir.path(&format!("root/etc/{dir}"))).unwrap();
        assert_eq!(left.count(), count, "something is left in {dir}");
    }
}

#[test]
fn a_restart_has_to_help() {
    let node = node();
    // It is started with another callout, by somebody's drop-in.
    let programs = node.dir.read("bin/systemctl").replace(CTL, "/bin/true");
    node.dir.write("bin/systemctl", &programs);
    let ran = setup(&node, &[]);
    assert!(
        ran.exit == 3 && ran.out.contains("which is not nfs-failoverctl"),
        "{ran:?}"
    );
    // It does not come up again.
    let node = self::node();
    let programs = node.dir.read("bin/systemctl");
    let gone = format!("rm -r {}", node.dir.path("root/proc/77").display());
    node.dir.write(
        "bin/systemctl",
        &format!("{programs}\n[ \"$2\" != rpc-statd ] || {gone}\n"),
    );
    let ran = setup(&node, &[]);
    assert!(
        ran.exit == 3 && ran.out.contains("it does not run now"),
        "{ran:?}"
    );
}

#[test]
fn a_node_that_serves_is_not_restarted() {
    let node = node();
    node.dir
        .write("nfsd/floating_ips", "ip=10.77.0.100 confirm=no clients=2\n");
    let ran = setup(&node, &[]);
    assert_eq!(ran.exit, 3, "{ran:?}");
    assert_eq!(restarts(&node), ["rpc-statd"]);
    assert!(
        ran.out.contains("clients are served here (1 floating IPs)"),
        "{ran:?}"
    );
    assert!(
        ran.out.trim_end().ends_with("; see what is NOT COMPLETE"),
        "{ran:?}"
    );
    // Nor one with clients that came before the module did, or of which nobody knows.
    type Change = fn(&Node);
    let changes: [(&str, Change); 4] = [
        ("1 exports that clients use", |node| {
            let content = "root/proc/net/rpc/nfsd.export/content";
            node.dir.write(
                content,
                "#path domain(flags)\n/srv 10.0.0.0/8(rw)\n# /x y\n",
            );
        }),
        ("1 NFSv4 clients", |node| {
            fs::create_dir_all(node.dir.path("nfsd/clients/7")).unwrap();
        }),
        ("was not loaded when nfsd began to serve", |node| {
            fs::remove_file(node.dir.path("nfsd/floating_ips")).unwrap();
        }),
        ("no list of the exports", |node| {
            fs::remove_dir_all(node.dir.path("root/proc/net")).unwrap();
        }),
    ];
    for (expected, change) in changes {
        let node = self::node();
        change(&node);
        let ran = setup(&node, &[]);
        assert_eq!(ran.exit, 3, "{ran:?}");
        assert_eq!(restarts(&node), ["rpc-statd"], "{ran:?}");
        for expected in [expected, "\"nfs-failoverctl setup --restart\""] {
            assert!(ran.out.contains(expected), "{expected}: {ran:?}");
        }
        let ran = setup(&node, &["--restart"]);
        assert!(
            ran.exit == 0 && restarts(&node).contains(&"nfs-server".into()),
            "{ran:?}"
        );
    }
    // A scope that cannot be seen is no reason, either.
    let node = self::node();
    node.fake(&["nfsdctl"], "exit 1");
    let ran = setup(&node, &["--restart"]);
    assert!(
        ran.exit == 3 && ran.out.contains("its scope is not known"),
        "{ran:?}"
    );
    assert_eq!(restarts(&node), ["rpc-statd"]);
    // Nor one on which nothing runs.
    let node = self::node();
    node.dir.write("nfsd/threads", "0\n");
    fs::remove_dir_all(node.dir.path("root/proc/77")).unwrap();
    let ran = setup(&node, &[]);
    assert!(ran.exit == 0 && restarts(&node).is_empty(), "{ran:?}");
}
