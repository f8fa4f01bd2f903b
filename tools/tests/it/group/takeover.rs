// SPDX-License-Identifier: GPL-2.0-only

//! They come together.

use super::{
    mark,
    marks,
    pair,
    steps,
    BOTH_RECOVER, //
};
use crate::common::{
    Node,
    ELSEWHERE,
    HERE, //
};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;

#[test]
fn they_are_taken_over_together() {
    let node = pair(ELSEWHERE);
    node.dir.write("nfsd/failover_status", BOTH_RECOVER);
    let arguments = [
        "takeover",
        "s1",
        "s2",
        "--export",
        "--address",
        "--no-notify",
    ];
    let ran = node.run(&arguments);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let (all, address) = (steps(&ran), format!("addr add {ELSEWHERE}/24 dev eth9\n"));
    assert_eq!(
        all,
        [
            "module",
            "module",
            "preflight",
            "preflight",
            "mount 1",
            "mount 2",
            "state_dir 1",
            "state_dir 2",
            "statd",
            "grace 1",
            "grace 2",
            "floating_ips",
            "nfs4",
            "manifest 1",
            "manifest 2",
            "export 1",
            "export 2",
            "address",
            "notify",
            "now 1",
            "now 2"
        ],
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/cmd.ip"), address);
    // The same command has begun both.
    let [first, second] = ["1234", "5678"].map(|fsid| node.dir.read(&mark(fsid)));
    assert!(!first.is_empty() && first == second, "{first} {second}");
    assert!(first.ends_with(&format!("\nip={ELSEWHERE}\n")), "{first}");
    // It recovers as long as the other, although it has another time.
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "5678\n");
    let config = node.dir.read("config");
    let longer = config.replace("fsid = \"1234\"\n", "fsid = \"1234\"\ngrace = 200\n");
    node.dir.write("config", &longer);
    assert_eq!(node.run(&arguments).exit, 0);
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "5678 200\n");
    node.dir.write("config", &config);
    // What recovers already with its list has begun before, and what begins beside it now counts as begun with
    // it: clients of both are told together.
    let began = node.dir.read(&mark("1234"));
    let listed = BOTH_RECOVER.replacen("waits=0", "waits=0 manifest=2", 1);
    node.dir.write("nfsd/failover_status", &listed);
    assert_eq!(node.run(&arguments).exit, 0);
    assert_eq!(node.dir.read(&mark("1234")), began);
    assert_eq!(node.dir.read(&mark("5678")), began);
    // Whichever comes first.
    let second = node.run(&[
        "takeover",
        "s2",
        "s1",
        "--export",
        "--address",
        "--no-notify",
    ]);
    assert_eq!(second.exit, 0, "{second:?}");
    assert_eq!(node.dir.read(&mark("1234")), began);
    assert_eq!(node.dir.read(&mark("5678")), began);
    // Where one does not recover, or is not exported, nobody comes.
    node.dir.write("nfsd/cmd.ip", "");
    node.dir.write(
        "nfsd/failover_status",
        &BOTH_RECOVER.replace("fsid=5678 phase=recovering", "fsid=5678 phase=released"),
    );
    let ran = node.run(&arguments);
    let srv2 = node.dir.path("srv2").display().to_string();
    assert!(
        ran.exit == 1 && ran.out.contains(&format!("{srv2} does not recover here")),
        "{ran:?}"
    );
    node.dir.write("nfsd/failover_status", BOTH_RECOVER);
    node.fake(
        &["exportfs"],
        &format!("case \"$*\" in *{srv2}) exit 1;; esac"),
    );
    let ran = node.run(&arguments);
    assert!(
        ran.exit == 1 && ran.out.contains("address: not done"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/cmd.ip"), "");
    // Neither has moved, whichever it was.
    for service in ["s1", "s2"] {
        assert_eq!(last_move(&node, service)["exit"], 1, "{ran:?}");
    }
    let ran = node.run(&[&["--json"], &arguments[..]].concat());
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    for service in json["services"].as_array().unwrap() {
        assert_eq!(service["exit"], 1, "{json}");
        assert!(ran.err.contains("repeat this command"), "{ran:?}");
    }
}

/// Who reads a mark, or is killed, finds the one of before or the new one: never a part of it.
#[test]
fn a_mark_is_replaced_as_a_whole() {
    let node = pair(ELSEWHERE);
    node.dir.write("nfsd/failover_status", BOTH_RECOVER);
    marks(&node, &["1234", "5678"], "203.0.113.78");
    let before = node.dir.read(&mark("5678"));
    fs::hard_link(node.dir.path(&mark("5678")), node.dir.path("opened")).unwrap();
    let ran = node.run(&["takeover", "s1", "s2", "--export", "--no-notify"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(node.dir.read("opened"), before);
    let after = node.dir.read(&mark("5678"));
    assert!(after.ends_with(&format!("\nip={ELSEWHERE}\n")), "{after}");
    // statd's user looks, too.
    let mode = fs::metadata(node.dir.path(&mark("5678"))).unwrap().mode();
    assert_eq!(mode & 0o777, 0o644);
}

/// Clients of an address are told with the first filesystem, for all.
#[test]
fn that_clients_were_told_is_known_of_each() {
    let node = pair(HERE);
    node.dir.write("nfsd/failover_status", BOTH_RECOVER);
    let arguments = ["takeover", "s1", "s2", "--export", "--expect-none"];
    let ran = node.run(&arguments);
    assert_eq!(ran.exit, 0, "{ran:?}");
    for service in ["s1", "s2"] {
        let last = last_move(&node, service);
        assert_eq!(
            (&last["exit"], &last["told"]),
            (&0.into(), &0.into()),
            "{last}"
        );
    }
}

fn last_move(node: &Node, service: &str) -> Value {
    let file = format!("root/run/nfs-failover/move-{service}.json");
    serde_json::from_str(&node.dir.read(&file)).unwrap()
}
