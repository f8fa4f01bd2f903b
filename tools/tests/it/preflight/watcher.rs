// SPDX-License-Identifier: GPL-2.0-only

//! Who watches the records has something open on the filesystem.

use super::{
    ready,
    refused,
    release, //
};
use crate::common::Node;
use nfs_failoverctl::mounts;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{
    Child,
    Command,
    Stdio, //
};

fn is_in_our_namespace(node: &Node, pid: u32) {
    let mounts = node.dir.read("mountinfo");
    node.dir
        .write(&format!("root/proc/{pid}/mountinfo"), &mounts);
    for process in ["self", &pid.to_string()] {
        let ns = node.dir.path(&format!("root/proc/{process}/ns"));
        fs::create_dir_all(&ns).unwrap();
        symlink("mnt:[1]", ns.join("mnt")).unwrap();
    }
}

/// The process that watches the records has one open at each look, and is ours.
#[test]
fn who_watches_the_records_is_not_in_the_way() {
    let node = ready();
    let lock = node.dir.write("root/run/nfs-failover/records.lock", "");
    is_in_our_namespace(&node, 60);
    node.dir.write("root/proc/60/comm", "nfs-failoverctl\n");
    let mount = mounts::read(&node.dir.path("mountinfo")).unwrap()[0].id;
    let open = format!("pos:\t0\nmnt_id:\t{mount}\n");
    node.dir.write("root/proc/60/fdinfo/5", &open);
    let link = node.dir.path("root/proc/60/fd/3");
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    let holds = |what: &Path, text: &str| {
        node.dir.write("root/proc/60/fdinfo/3", text);
        let _ = fs::remove_file(&link);
        symlink(what, &link).unwrap();
    };
    let locked = "pos:\t0\nmnt_id:\t1\nlock:\t1: FLOCK  ADVISORY  WRITE 60 00:01:2 0 EOF\n";
    refused(&node, "process 60 (nfs-failoverctl) has");
    holds(&lock, "pos:\t0\nmnt_id:\t1\n");
    refused(&node, "process 60 (nfs-failoverctl) has");
    holds(&node.dir.path("other"), locked);
    refused(&node, "process 60 (nfs-failoverctl) has");
    holds(&lock, locked);
    assert_eq!(release(&node, &[]).exit, 0);
    // But if it was started there, it stays there.
    symlink(node.dir.path("srv"), node.dir.path("root/proc/60/cwd")).unwrap();
    refused(&node, "process 60 (nfs-failoverctl) works in");
}

/// The lock of who watches is seen as the kernel shows it.
#[test]
fn who_really_watches_is_not_in_the_way() {
    let node = ready();
    let lock = node.dir.write("root/run/nfs-failover/records.lock", "");
    is_in_our_namespace(&node, 60);
    let script = "
import fcntl, sys, time
held = open(sys.argv[1], 'w')
if sys.argv[3]:
    fcntl.flock(held, fcntl.LOCK_EX)
there = open(sys.argv[2])
print('ready', flush=True)
time.sleep(600)";
    let there = node.dir.write("srv/file", "");
    for (locks, exit) in [("", 1), ("yes", 0)] {
        let child = Command::new("python3")
            .args(["-c", script])
            .args([&lock, &there])
            .arg(locks)
            .stdout(Stdio::piped())
            .spawn();
        let mut child = Killed(child.unwrap());
        let mut ready = [0; 5];
        let output = child.0.stdout.as_mut().unwrap();
        output.read_exact(&mut ready).unwrap();
        let pid = child.0.id();
        let at = node.dir.path(&format!("root/proc/{pid}"));
        fs::create_dir(&at).unwrap();
        for name in ["fd", "fdinfo"] {
            symlink(format!("/proc/{pid}/{name}"), at.join(name)).unwrap();
        }
        let ran = release(&node, &[]);
        fs::remove_dir_all(at).unwrap();
        assert_eq!(ran.exit, exit, "{ran:?}");
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
