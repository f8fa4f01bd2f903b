// SPDX-License-Identifier: GPL-2.0-only

//! Where there is no room for the manifest.

use crate::common::{
    as_root,
    Node,
    ELSEWHERE, //
};

/// A full filesystem, one that is read-only, and one without room that was kept.
#[test]
fn full_filesystems_cost_the_manifest_not_the_move() {
    let script = r#"
        mount -t tmpfs -o size=6m none "$SRV"
        now_mounted
        "$CTL" $OPTIONS takeover s1 --no-notify >take || exit 10
        [ $(stat -c %s "$SRV/.nsm/reserve") = 4194304 ] || exit 11
        dd if=/dev/zero of="$SRV/fill" bs=4k 2>/dev/null || true
        "$CTL" $OPTIONS release s1 >out || exit 12
        grep -q "manifest to .* done" out || exit 13
        [ "$(head -c 21 "$SRV/.nsm/manifest")" = nfs-failover-manifest ] || exit 14
        # Again, without that room.
        rm "$SRV/.nsm/manifest"; touch "$SRV/.nsm/manifest"
        dd if=/dev/zero of="$SRV/more" bs=4k 2>/dev/null || true
        "$CTL" $OPTIONS release s1 >out && exit 15
        [ $? = 3 ] || exit 16
        grep "manifest to .* NOT COMPLETE (.*No space left on device" out || exit 17
        grep -q "umount: .* skipped" out || exit 18
        [ -z "$(find "$SRV/.nsm" -type f -name '*manifest*')" ] || exit 19
        touch "$SRV/.nsm/manifest"
        mount -o remount,ro "$SRV"
        "$CTL" $OPTIONS release s1 >out && exit 20
        [ $? = 3 ] || exit 21
        grep "manifest to .* NOT COMPLETE (cannot remove .*REMOVE IT" out || exit 22
        mount -o remount,rw "$SRV"; rm "$SRV/.nsm/manifest"; mount -o remount,ro "$SRV"
        "$CTL" $OPTIONS release s1 >out && exit 23
        grep "manifest to .* NOT COMPLETE (.*Read-only file system" out || exit 24"#;
    let node = Node::new(ELSEWHERE, "");
    node.has_manifest();
    // The kernel of this test does not do what it is told.
    node.dir.write(
        "nfsd/failover_status",
        "unit fsid=1234 phase=recovered left=60 manifest=0\ntotals units=1 hooks=live\n",
    );
    if let Some(ran) = as_root(&[], &node.script(script), &node.dir.path("")) {
        assert_eq!(
            ran.exit,
            0,
            "{ran:?} {} {}",
            node.dir.read("take"),
            node.dir.read("out")
        );
    }
}
