// SPDX-License-Identifier: GPL-2.0-only

//! Whole commands, where what they find is false.

use super::{
    at_once,
    plants,
    untouched, //
};
use crate::common::{
    as_root,
    me,
    Node,
    ELSEWHERE,
    HERE, //
};
use std::fs::{
    self,
    Permissions, //
};
use std::os::unix::fs::{
    MetadataExt,
    PermissionsExt, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

/// Of the list of connections, nothing is read that is no file of ours, and a new one takes its place.
#[test]
fn lists_of_connections_that_are_none() {
    for (what, plant) in plants() {
        let node = Node::new(HERE, "");
        let victim = node.dir.write("victim", "untouched");
        fs::set_permissions(&victim, Permissions::from_mode(0o640)).unwrap();
        let dir = node.dir.path("srv/.nsm").join(HERE);
        fs::create_dir_all(dir.join("clients")).unwrap();
        if !plant(&dir.join("connections"), &victim) {
            continue;
        }
        let take = ["--json", "takeover", "s1", "--no-notify", "--force"];
        let ran = at_once(|| node.run(&take));
        let what = what.trim_start_matches("a symbolic ");
        assert!(
            ran.err.contains("connections") && ran.err.contains(what),
            "{what}: {ran:?}"
        );
        // The watch that was started puts it aside as it is.
        let is_list = || {
            fs::symlink_metadata(dir.join("connections"))
                .is_ok_and(|list| list.is_file() && list.uid() == me().0 && list.nlink() == 1)
        };
        let start = Instant::now();
        while !is_list() {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}");
            thread::sleep(Duration::from_millis(100));
        }
        untouched(&node.dir);
    }
}

/// What takeover and notify do where all of it is false.
#[test]
fn commands_go_on_without() {
    for (what, plant) in plants() {
        let node = Node::new(ELSEWHERE, "");
        let victim = node.dir.write("victim", "untouched");
        fs::set_permissions(&victim, Permissions::from_mode(0o640)).unwrap();
        fs::create_dir_all(node.dir.path("srv/.nsm")).unwrap();
        if !plant(&node.dir.path("srv/.nsm/manifest"), &victim) {
            continue;
        }
        let ran = at_once(|| node.run(&["--json", "takeover", "s1", "--no-notify"]));
        assert_eq!(
            (
                ran.exit,
                ran.result("manifest").as_str(),
                ran.result("grace").as_str()
            ),
            (3, "incomplete", "done"),
            "{what} {ran:?}"
        );
        assert!(
            fs::symlink_metadata(node.dir.path("srv/.nsm/manifest")).is_err(),
            "{what}"
        );
        untouched(&node.dir);
    }
}

/// A filesystem that is mounted in the way is none of ours, and the mount is to be this one.
#[test]
fn nothing_leads_to_another_filesystem() {
    let script = r#"
        mkdir -p "$SRV/.nsm/$IP/clients"
        mount -t tmpfs none "$SRV/.nsm/$IP/clients"
        "$CTL" $OPTIONS callout add-client 10.77.0.13 $IP && exit 10
        [ -z "$(ls -A "$SRV/.nsm/$IP/clients")" ] || exit 11
        "$CTL" $OPTIONS takeover s1 --no-notify && exit 12
        # Something is mounted there, but not what the list of mounts has.
        mount -t tmpfs none "$SRV"
        mkdir -p "$SRV/.nsm/$IP/clients"
        "$CTL" $OPTIONS callout add-client 10.77.0.14 $IP && exit 13
        [ -z "$(ls -A "$SRV/.nsm/$IP/clients")" ]"#;
    let node = Node::new(ELSEWHERE, "");
    if let Some(ran) = as_root(&[], &node.script(script), &node.dir.path("")) {
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert!(ran.err.contains("another one is mounted there"), "{ran:?}");
        assert!(ran.err.contains("nothing is mounted at"), "{ran:?}");
    }
}
