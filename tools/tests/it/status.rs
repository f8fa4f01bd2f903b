// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    Node,
    ELSEWHERE,
    MANIFEST, //
};
use nfs_failoverctl::policy::fsid::Fsid;
use nfs_failoverctl::status::line::Status;
use std::path::Path;

const UNITS: &str = "\
unit fsid=1234 phase=recovering left=37 reclaimed=10 refused=3 waits=3 released=0 address=1 unlisted=2 conflict=0 new=x
unit path=/srv/a\\040b dev=254:16 ip=10.77.0.100 phase=recovered left=30 reclaimed=0 refused=0 waits=0 manifest=5 outstanding=0
unit fsid=30313233-3435-3637-3839-616263646566 phase=released left=1 reclaimed=0 refused=0 waits=0
gauge depth=3 flag
totals units=3 hooks=live nmissed=0
";

#[test]
fn units_are_found() {
    let status = Status::parse(UNITS.as_bytes());
    let ip = |word: &str| word.parse().unwrap();
    let phases = |path: &str, fsid: Option<&str>, at: &str| {
        let fsid = fsid.map(|word| Fsid::parse(word.as_bytes()).unwrap());
        let found = status.units_of(Path::new(path), fsid, ip(at));
        found
            .map(|unit| unit.get("phase").unwrap().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(phases("/x", Some("1234"), "10.0.0.1"), ["recovering"]);
    assert_eq!(phases("/srv/a b", None, "10.77.0.100"), ["recovered"]);
    assert_eq!(
        phases("/srv/a b", Some("1234"), "10.77.0.100"),
        ["recovering", "recovered"]
    );
    assert!(phases("/srv/a b", None, "10.77.0.101").is_empty());
    assert!(phases("/srv/a", None, "10.77.0.100").is_empty());
    assert_eq!(
        phases(
            "/",
            Some(
                "303132333435363738396162 63646566"
                    .replace(' ', "")
                    .as_str()
            ),
            "::1"
        ),
        ["released"]
    );
    assert!(status.any_phase("released") && !status.hooks_dead());
    assert_eq!(
        Status::parse(b"\n \nunit\n\xff\xfe\n=\n").units().count(),
        1
    );
}

#[test]
fn what_is_not_known_is_passed_on() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("nfsd/failover_status", UNITS);
    node.dir.write(
        "nfsd/floating_ips",
        "ip=10.77.0.101 confirm=yes clients=4 more=1\n",
    );
    node.dir
        .write(&format!("srv/.nsm/{ELSEWHERE}/clients/10.77.0.13"), "");
    let ran = node.run(&["status"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    for expected in [
        "s1 ",
        "37 s",
        "fsid=1234: released=0 address=1 unlisted=2 conflict=0 new=x",
        "path=/srv/a\\040b ip=10.77.0.100",
        "0 of 5 left",
        "gauge depth=3 flag",
        "floating ip=10.77.0.101 confirm=yes clients=4 more=1",
        "totals units=3 hooks=live nmissed=0",
    ] {
        assert!(ran.out.contains(expected), "{expected}: {}", ran.out);
    }
    let ran = node.run(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["units"][0]["new"], "x");
    assert_eq!(json["units"][0]["services"][0], "s1");
    assert_eq!(json["units"][0]["left"], 37);
    assert_eq!(json["units"][0]["fsid"], "1234");
    assert_eq!(json["gauge"][0]["depth"], 3);
    assert_eq!(json["totals"]["hooks"], "live");
    assert_eq!(json["floating_ips"][0]["clients"], 4);
    // A unit is released: lock_manifest was not read.
    assert_eq!(json["units"][0]["missing"], serde_json::Value::Null);
}

#[test]
fn missing_clients_are_named() {
    let node = Node::new("10.77.0.100", "");
    let recovering = "unit fsid=1234 phase=recovering left=37 reclaimed=1 refused=0 waits=0\ntotals units=1 hooks=live nmissed=0\n";
    node.dir.write("nfsd/failover_status", recovering);
    for client in ["10.77.0.13", "c2", "10.77.0.99", "c9"] {
        node.dir
            .write(&format!("srv/.nsm/10.77.0.100/clients/{client}"), "");
    }
    // Only what is held counts, and only through this address.
    let held = MANIFEST
        .replace("unit fsid=1234 phase=released", "unit all phase=held")
        .replace(" valid=59", "");
    let elsewhere = MANIFEST.replace("10.77.0.13", "10.77.0.99");
    node.dir
        .write("nfsd/lock_manifest", &(elsewhere + &held + "later x=1\n"));
    let ran = node.run(&["status"]);
    assert!(
        ran.out
            .contains("fsid=1234: no lock yet of 10.77.0.99, c9\n"),
        "{}",
        ran.out
    );
    let other = held.replace("server=10.77.0.100", "server=10.77.0.200");
    node.dir.write("nfsd/lock_manifest", &other);
    assert!(node
        .run(&["status"])
        .out
        .contains("no lock yet of 10.77.0.13, 10.77.0.99, c2, c9\n"));
}

#[test]
fn dead_hooks_are_shouted() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write(
        "nfsd/failover_status",
        "totals units=0 hooks=dead nmissed=0\n",
    );
    let ran = node.run(&["status"]);
    assert!(
        ran.out.starts_with("HOOKS ARE DEAD") && ran.out.contains("hooks=DEAD"),
        "{}",
        ran.out
    );
    let ran = node.run(&["takeover", "s1"]);
    assert!(
        ran.exit == 1 && ran.out.contains("reboot this node"),
        "{ran:?}"
    );
    std::fs::remove_file(node.dir.path("nfsd/failover_status")).unwrap();
    for command in [&["status"][..], &["takeover", "s1"], &["release", "s1"]] {
        let ran = node.run(command);
        assert!(
            ran.exit == 1 && (ran.out.clone() + &ran.err).contains("modprobe nfs_failover"),
            "{ran:?}"
        );
    }
}
