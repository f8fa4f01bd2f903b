// SPDX-License-Identifier: GPL-2.0-only

//! What takeovers have left.

use crate::common::{
    Node,
    ELSEWHERE, //
};
use nfs_failoverctl::host::Host;
use nfs_failoverctl::mark::Mark;
use nfs_failoverctl::policy::fsid::Fsid;
use nfs_failoverctl::turn;
use std::fs::{
    self,
    Permissions, //
};
use std::os::unix::fs::PermissionsExt;

fn host(node: &Node) -> Host {
    Host {
        nfsd: node.dir.path("nfsd"),
        mountinfo: node.dir.path("mountinfo"),
        root: node.dir.path("root"),
        rpcbind_port: 0,
    }
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
