// SPDX-License-Identifier: GPL-2.0-only

//! What takeovers have left. What cannot be read may be of anything that is served here.

use crate::common::{
    Node,
    BOOT,
    ELSEWHERE,
    OTHER_BOOT, //
};
use nfs_failoverctl::host::Host;
use nfs_failoverctl::mark::{
    self,
    Mark, //
};
use nfs_failoverctl::policy::fsid::Fsid;
use nfs_failoverctl::turn;
use std::fs::{
    self,
    Permissions, //
};
use std::os::unix::fs::PermissionsExt;

const FILE: &str = "root/run/nfs-failover/taken-over-1234";

const BOOT_ID: &str = "root/proc/sys/kernel/random/boot_id";

fn host(node: &Node) -> Host {
    Host {
        nfsd: node.dir.path("nfsd"),
        mountinfo: node.dir.path("mountinfo"),
        root: node.dir.path("root"),
        rpcbind_port: 0,
    }
}

/// Whether it is one of all; [`None`] if that is not known.
fn is_left(node: &Node) -> Option<bool> {
    let all = mark::all(&host(node)).unwrap();
    match all.iter().find(|left| left.fsid == Fsid::Number(1234)) {
        Some(left) => left.damaged.is_none().then_some(true),
        None => Some(false),
    }
}

#[test]
fn what_is_not_whole_is_not_passed_over() {
    let node = Node::new(ELSEWHERE, "");
    assert_eq!(is_left(&node), Some(false));
    let whole = format!("{BOOT}\n1\nnfs4-clients\nip={ELSEWHERE}\n");
    for (text, left) in [
        (whole.clone(), Some(true)),
        (format!("{BOOT}\n1\n"), Some(true)),
        (format!("{OTHER_BOOT}\n"), Some(false)),
        (whole.replace(BOOT, OTHER_BOOT), Some(false)),
        (format!("{OTHER_BOOT}\n1\nip=x\n"), Some(false)),
        (String::new(), None),
        (format!("{BOOT}\n"), None),
        (format!("{BOOT}\n\n"), None),
        (OTHER_BOOT.into(), None),
        ("another boot\n1\n".into(), None),
        ("\n1\n".into(), None),
        (whole[..whole.len() - 1].into(), None),
        (format!("{whole}ip=\n"), None),
        (whole.replace(ELSEWHERE, "203.0.113"), None),
    ] {
        node.dir.write(FILE, &text);
        assert_eq!(is_left(&node), left, "{text:?}");
    }
}

/// Every mark would be of another one.
#[test]
fn which_boot_this_is_has_to_be_known() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write(FILE, &format!("{OTHER_BOOT}\n1\n"));
    assert_eq!(is_left(&node), Some(false));
    node.dir.write(BOOT_ID, "\n");
    assert_eq!(is_left(&node), None);
    fs::remove_file(node.dir.path(BOOT_ID)).unwrap();
    assert_eq!(is_left(&node), None);
    // Without a mark it does not matter.
    fs::remove_file(node.dir.path(FILE)).unwrap();
    assert_eq!(is_left(&node), Some(false));
}

/// With a umask of 077, only we would see what is there, and statd's user nothing.
#[test]
fn others_see_the_marks() {
    let node = Node::new(ELSEWHERE, "");
    let host = host(&node);
    let dir = node.dir.path("root/run/nfs-failover");
    let mode = || fs::metadata(&dir).unwrap().permissions().mode() & 0o777;
    let hide = || fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
    fs::create_dir_all(&dir).unwrap();
    hide();
    let left = Mark::of_this_command().leave(&host, Fsid::Number(1234));
    left.unwrap();
    assert_eq!(mode(), 0o755);
    hide();
    drop(turn::take(&host).unwrap());
    assert_eq!(mode(), 0o755);
}
