// SPDX-License-Identifier: GPL-2.0-only

//! Clients are on record on each filesystem, and are told once.

use super::{
    beside,
    mark,
    marks,
    pair,
    BOTH_RECOVER, //
};
use crate::common::{
    BOOT,
    ELSEWHERE, //
};
use crate::network::{
    json,
    Network,
    IP, //
};
use std::fs;
use std::iter::empty;

fn record(path: &str, ip: &str, client: &str) -> String {
    format!("{path}/.nsm/{ip}/clients/{client}")
}

#[test]
fn a_client_is_recorded_on_each() {
    let node = pair(ELSEWHERE);
    let there = |client: &str| {
        ["srv", "srv2"].map(|path| node.dir.path(&record(path, ELSEWHERE, client)).exists())
    };
    let call = |event: &str, client: &str| {
        node.dir.write(
            "nfsd/floating_ips",
            &format!("{}\nip={ELSEWHERE} confirm=yes clients=0\n", "x".repeat(60)),
        );
        node.run(&["callout", event, client, ELSEWHERE])
    };
    for path in ["srv", "srv2"] {
        fs::create_dir_all(node.dir.path(&format!("{path}/.nsm/{ELSEWHERE}/clients"))).unwrap();
    }
    let ran = call("add-client", "10.77.0.13");
    assert_eq!((ran.exit, there("10.77.0.13")), (0, [true; 2]), "{ran:?}");
    let ran = call("del-client", "10.77.0.13");
    assert_eq!((ran.exit, there("10.77.0.13")), (0, [false; 2]), "{ran:?}");
    // The kernel is not told before both are durable.
    fs::remove_dir_all(node.dir.path(&format!("srv2/.nsm/{ELSEWHERE}/clients"))).unwrap();
    let ran = call("add-client", "10.77.0.14");
    assert!(ran.err.contains("takeover s2"), "{ran:?}");
    assert_eq!(there("10.77.0.14"), [true, false]);
    assert!(node.dir.read("nfsd/floating_ips").starts_with("xxx"));
    fs::remove_file(
        node.dir
            .path(&format!("statd/sm/.nfs-failover-{ELSEWHERE}-10.77.0.14")),
    )
    .unwrap();
    // One that was not taken over yet has no place for it.
    marks(&node, &["1234"], ELSEWHERE);
    let ran = call("add-client", "10.77.0.16");
    assert_eq!(
        (ran.exit, there("10.77.0.16")),
        (0, [true, false]),
        "{ran:?}"
    );
    fs::remove_file(node.dir.path(&mark("1234"))).unwrap();
    // One that is not here has nobody's locks.
    let srv2 = node.dir.path("srv2").display().to_string();
    let mounts = node.dir.read("mountinfo");
    let first = mounts.split_inclusive('\n');
    let first: String = first.filter(|line| !line.contains(&srv2)).collect();
    node.dir.write("mountinfo", &first);
    let ran = call("add-client", "10.77.0.15");
    assert_eq!(
        (ran.exit, there("10.77.0.15")),
        (0, [true, false]),
        "{ran:?}"
    );
    // It gets the records of the other when it comes.
    node.dir.write("mountinfo", &mounts);
    node.dir.write("nfsd/floating_ips", "");
    node.run(&["takeover", "s1", "s2", "--no-notify"]);
    assert_eq!(there("10.77.0.15"), [true; 2]);
}

fn network() -> Network {
    let network = Network::new(IP, empty());
    beside(&network.node, IP);
    network.node.dir.write("nfsd/failover_status", BOTH_RECOVER);
    for (path, client) in [("srv", "10.99.0.1"), ("srv2", "10.99.0.2")] {
        network.node.dir.write(&record(path, IP, client), "");
        network.node.dir.write(&record(path, IP, "10.99.0.3"), "");
    }
    network
}

/// Once, whoever is on record on any, with a number that is new for all.
#[test]
fn the_clients_of_all_are_told_once() {
    let network = network();
    let dir = &network.node.dir;
    dir.write(&format!("srv2/.nsm/{IP}/state"), "2000000001\n");
    let script = format!(
        "responders 10.99.0.1 10.99.0.2 10.99.0.3
        $CTL --json notify --ip {IP} --timeout 20"
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    assert_eq!(ran.exit, 0, "{ran:?}");
    let state = json(&ran)["state"].to_string();
    assert_eq!(state, "2000000003");
    let told: Vec<_> = ["10.99.0.1", "10.99.0.2", "10.99.0.3"]
        .map(|client| [client.to_string(), IP.into(), IP.into(), state.clone()])
        .into();
    assert_eq!(network.log(), told);
    for path in ["srv", "srv2"] {
        let kept = dir.read(&format!("{path}/.nsm/{IP}/state"));
        assert_eq!(kept, format!("{state}\n"));
    }
}

/// The first one had NFSv4 clients only, who are through. Those of the second one would lose all.
#[test]
fn clients_are_told_when_one_is_through() {
    let network = network();
    let dir = &network.node.dir;
    let status = BOTH_RECOVER.split_inclusive('\n');
    let status: String = status.filter(|line| !line.contains("1234")).collect();
    dir.write("nfsd/failover_status", &status);
    // Behind what is asked of the file.
    let floating = format!("{}\nip={IP} confirm=no clients=0\n", "x".repeat(60));
    dir.write("nfsd/floating_ips", &floating);
    marks(&network.node, &["5678"], IP);
    let script = format!(
        "responders 10.99.0.1 10.99.0.2 10.99.0.3
        $CTL notify --ip {IP} --timeout 20 || echo $? >exit"
    );
    // It has begun at another time, or with the other; then it was over by time, or they are through.
    for (first, exit, told) in [
        ("\n0\nnfs4-clients\n", "1\n", 0),
        ("\n1\n", "3\n", 3),
        ("\n1\nnfs4-clients\n", "", 3),
    ] {
        dir.write(&mark("1234"), &format!("{BOOT}{first}"));
        dir.write("exit", "");
        dir.write("log", "");
        let Some(ran) = network.run(&script) else {
            return;
        };
        assert_eq!(dir.read("exit"), exit, "{ran:?}");
        assert_eq!(network.log().len(), told, "{ran:?}");
        let named = format!(
            "{} does not recover here any more",
            dir.path("srv").display()
        );
        assert_eq!(ran.out.contains(&named), exit == "3\n", "{ran:?}");
    }
}

/// The last one answers when the recovery of the first is over.
#[test]
fn who_answers_too_late_for_one_of_them_is_no_success() {
    let network = network();
    let dir = &network.node.dir;
    marks(&network.node, &["1234", "5678"], IP);
    let status = BOTH_RECOVER.split_inclusive('\n');
    let status: String = status.filter(|line| !line.contains("1234")).collect();
    dir.write("later", &status);
    let script = format!(
        "$CTL notify --ip {IP} --timeout 60 >said & told=$!
        until [ -s srv2/.nsm/{IP}/state ]; do sleep 0.1; done
        sleep 1
        mv later nfsd/failover_status
        responders 10.99.0.1 10.99.0.2 10.99.0.3
        wait $told || echo $? >exit"
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    let said = dir.read("said");
    assert!(said.contains("3 of 3 clients"), "{said} {ran:?}");
    let named = format!("the recovery of {} was over", dir.path("srv").display());
    assert!(said.contains(&named), "{said} {ran:?}");
    assert_eq!(dir.read("exit"), "3\n", "{ran:?}");
}

/// A client that is told reclaims on all of them.
#[test]
fn nobody_is_told_before_all_recover_and_are_exported() {
    let network = network();
    let dir = &network.node.dir;
    let both = dir.read("statd/etab");
    let one: Vec<_> = both.lines().take(1).collect();
    let without = BOTH_RECOVER.replace("fsid=5678 phase=recovering", "fsid=5678 phase=released");
    for (status, etab, why) in [
        (without.as_str(), both.as_str(), "does not recover here"),
        (
            BOTH_RECOVER,
            &format!("{}\n", one[0]),
            "is not exported here",
        ),
    ] {
        dir.write("nfsd/failover_status", status);
        dir.write("statd/etab", etab);
        let script = format!(
            "responders 10.99.0.1 10.99.0.2 10.99.0.3
            $CTL notify --ip {IP} --timeout 5 || echo $? >exit"
        );
        let Some(ran) = network.run(&script) else {
            return;
        };
        assert_eq!(dir.read("exit"), "1\n", "{ran:?}");
        assert!(
            ran.err
                .contains(&format!("{} {why}", dir.path("srv2").display())),
            "{ran:?}"
        );
        assert!(network.log().is_empty(), "{ran:?}");
    }
}

/// What cannot be read of one of them is said, and everybody else is told.
#[test]
fn one_that_cannot_be_read_keeps_nobody_from_being_told() {
    let network = network();
    let dir = &network.node.dir;
    fs::remove_dir_all(dir.path("srv2/.nsm")).unwrap();
    let script = format!(
        "responders 10.99.0.1 10.99.0.2 10.99.0.3
        $CTL notify --ip {IP} --timeout 20 || echo $? >exit"
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    assert_eq!(dir.read("exit"), "3\n", "{ran:?}");
    assert_eq!(network.log().len(), 2, "{ran:?}");
    let missing = dir.path(&format!("srv2/.nsm/{IP}"));
    let named = format!("NOT COMPLETE: cannot open {}", missing.display());
    assert!(ran.out.contains(&named), "{ran:?}");
    // Somebody is at it.
    dir.write("exit", "");
    let busy = format!("exec 8<srv/.nsm/{IP}; flock 8; {script}");
    let ran = network.run(&busy).unwrap();
    assert_eq!(dir.read("exit"), "1\n", "{ran:?}");
    assert!(ran.err.contains("being notified already"), "{ran:?}");
}

/// Who is removed by hand is removed from all.
#[test]
fn a_client_is_forgotten_on_each() {
    let node = pair(ELSEWHERE);
    for path in ["srv", "srv2"] {
        node.dir.write(&record(path, ELSEWHERE, "10.77.0.13"), "");
    }
    let ran = node.run(&["records", "--forget", "10.77.0.13", "--ip", ELSEWHERE]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    for path in ["srv", "srv2"] {
        assert!(!node
            .dir
            .path(&record(path, ELSEWHERE, "10.77.0.13"))
            .exists());
    }
}
