// SPDX-License-Identifier: GPL-2.0-only

//! `status --watch`: when it looks again.

use crate::common::{
    as_root,
    Node,
    Ran,
    ELSEWHERE, //
};

/// How often it has looked: what is written each time begins by clearing the screen.
const WATCH: &str = r#"
    looks() { tr -cd '\033' <looks | wc -c | awk '{ print $1 / 2 }'; }
    looked() { for i in $(seq 100); do [ "$(looks)" -lt "$1" ] || return 0; sleep 0.1; done; return 1; }
    watch() { "$CTL" $OPTIONS status --watch="$1" >looks & PID=$!; trap 'kill $PID' EXIT; }
"#;

fn run(node: &Node, script: &str) -> Option<Ran> {
    as_root(
        &[],
        &node.script(&format!("{WATCH}{script}")),
        &node.dir.path(""),
    )
}

/// The kernel has such a file of its own: that of mounts. (It tells of a change once; that of the module
/// does until it is read, which only a VM test can see. On a busy machine mount(8) may be seen to have
/// changed it twice.)
#[test]
fn it_looks_again_when_something_has_changed() {
    let node = Node::new(ELSEWHERE, "");
    let script = r#"
        ln -sf /proc/self/mounts nfsd/failover_status
        watch 3600
        looked 1 || exit 10
        sleep 0.5
        [ "$(looks)" = 1 ] || exit 11
        mount -t tmpfs none statd
        looked 2 || exit 12
        sleep 1
        N=$(looks)
        [ "$N" -le 3 ] || exit 13
        mount -t tmpfs none bin
        looked $((N + 1)) || exit 14
        sleep 1
        [ "$(looks)" -le $((N + 2)) ] || exit 15"#;
    if let Some(ran) = run(&node, script) {
        assert_eq!(ran.exit, 0, "{ran:?}");
    }
}

/// Files of older modules are as readable as any, and tell of nothing.
#[test]
fn it_looks_again_from_time_to_time_where_nothing_is_told() {
    let node = Node::new(ELSEWHERE, "");
    let script = r#"
        watch 3600
        looked 1 || exit 10
        sleep 0.5
        [ "$(looks)" = 1 ] || exit 11
        kill $PID
        watch 1
        looked 2 || exit 12"#;
    if let Some(ran) = run(&node, script) {
        assert_eq!(ran.exit, 0, "{ran:?}");
    }
}
