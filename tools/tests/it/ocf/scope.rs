// SPDX-License-Identifier: GPL-2.0-only

//! A node whose NFSv4 server scope no other node has.

use super::Agent;

/// Nobody is there to decide, and refusing would leave all clients unserved: it is said loudly.
#[test]
fn the_scope_of_one_node_does_not_keep_it_from_starting() {
    let agent = Agent::new("", &[]);
    let node = &agent.node;
    node.dir.write("root/proc/sys/kernel/hostname", "a\n");
    node.fake(&["nfsdctl"], "echo scope: a");
    let ran = agent.ran("start", &[]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(
        ran.err
            .contains("NOT COMPLETE (nfsd has the scope of this node alone"),
        "{ran:?}"
    );
    // What else is wrong is refused, as ever.
    let agent = Agent::new("", &[]);
    let node = &agent.node;
    node.dir.write("root/proc/sys/kernel/hostname", "a\n");
    node.fake(&["nfsdctl"], "echo scope: a");
    node.dir
        .write("root/proc/77/cmdline", "rpc.statd\0-H\0/bin/true\0");
    assert_eq!(agent.ran("start", &[]).exit, 1);
}
