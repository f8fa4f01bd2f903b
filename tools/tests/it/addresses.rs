// SPDX-License-Identifier: GPL-2.0-only

//! One filesystem with two floating IPs.

use crate::network::{
    json,
    Network,
    IP, //
};
use std::fs;
use std::iter::once;

const OTHER: &str = "10.77.0.102";

/// A client of the first address is dead, one of the second lives.
fn two() -> Network {
    let network = Network::new(IP, once("10.98.0.1".to_string()));
    let dir = &network.node.dir;
    let at = |name: &str| dir.path(name).display().to_string();
    let service = |name: &str, path: &str, fsid: &str, ip: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\npath = \"{}\"\nfsid = \"{fsid}\"\nip = \"{ip}\"\n",
            at(path)
        )
    };
    let config = dir.read("config")
        + &service("s1-0", "srv", "1234", OTHER)
        + &service("s2", "srv2", "5678", "10.77.0.103");
    dir.write("config", &config);
    fs::create_dir_all(dir.path(&format!("srv/.nsm/{OTHER}/clients"))).unwrap();
    dir.write(&format!("srv/.nsm/{OTHER}/clients/10.99.0.1"), "");
    dir.write(
        "nfsd/failover_status",
        "unit fsid=1234 phase=recovering left=90 reclaimed=0 refused=0 waits=0\n\
         totals units=1 hooks=live nmissed=0\n",
    );
    network
}

const SERVE: &str = "ip addr add 10.77.0.102/32 dev lo
    responders 10.99.0.1";

#[test]
fn clients_of_all_addresses_are_told_at_once() {
    let network = two();
    let script = format!(
        "{SERVE}
        $CTL --json --quiet takeover s1 s1-0 --force --notify-timeout 6 || echo $? >exit"
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    assert_eq!(network.node.dir.read("exit"), "3\n", "{ran:?}");
    let report = json(&ran);
    let services = report["services"].as_array().unwrap();
    let told: Vec<_> = services
        .iter()
        .map(|service| {
            let client = &service["notify"]["clients"][0];
            let last = service["steps"].as_array().unwrap().last().unwrap();
            (
                service["service"].as_str().unwrap(),
                last["result"].as_str().unwrap(),
                client["answered"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("s1", "incomplete", false), ("s1-0", "done", true)]);
    let last = |at: usize| services[at]["notify"]["seconds"].as_f64().unwrap();
    assert!(last(0) > 5.9 && last(1) < 4.0, "{report}");
    assert_eq!(report["exit"], 3);
    let sources: Vec<_> = network
        .log()
        .into_iter()
        .map(|line| line[1].clone())
        .collect();
    assert_eq!(sources, [OTHER]);
}

/// Who takes over one address after the other gets to the second one soon.
#[test]
fn the_dead_do_not_keep_the_clients_of_the_next_address_waiting() {
    let network = two();
    let script = format!(
        "{SERVE}
        $CTL takeover s1 --force --notify-timeout 100 >first 2>/dev/null || echo $? >>exit
        $CTL takeover s1-0 --force --notify-timeout 100 >second 2>/dev/null || echo $? >>exit"
    );
    let began = std::time::Instant::now();
    let Some(ran) = network.run(&script) else {
        return;
    };
    assert_eq!(network.node.dir.read("exit"), "3\n3\n", "{ran:?}");
    assert!(began.elapsed().as_secs() < 40, "{:?}", began.elapsed());
    let second = network.node.dir.read("second");
    assert!(second.contains("1 of 1 answered"), "{second}");
    let first = network.node.dir.read("first");
    assert!(first.contains("take over s1-0, too"), "{first}");
    assert!(
        first.contains("10.98.0.1: rpcbind does not answer"),
        "{first}"
    );
}

#[test]
fn another_filesystem_is_taken_over_by_another_command() {
    let node = two().node;
    for (names, why) in [
        (["s1", "s2"], "s2 is of another filesystem than s1"),
        (["s1", "s1"], "s1 is named twice"),
        (["s1", "nobody"], "nobody"),
    ] {
        let ran = node.run(&["takeover", names[0], names[1], "--no-notify"]);
        assert_eq!((ran.exit, ran.err.contains(why)), (1, true), "{ran:?}");
        assert_eq!(ran.out, "", "{ran:?}");
    }
    let ran = node.run(&["takeover", "s1", "s1-0", "--ip", OTHER]);
    assert_eq!(ran.exit, 2, "{ran:?}");
}

/// Whatever goes down in the same moment is another service's business, except what the kernel has
/// taken along.
#[test]
fn only_what_went_along_is_put_back() {
    let network = Network::new(IP, std::iter::empty());
    let node = &network.node;
    node.has_manifest();
    let real = "PATH=/usr/sbin:/usr/bin:/sbin:/bin ip";
    // Somebody else takes two addresses down: of another network, and of another interface.
    node.fake(
        &["ip"],
        &format!(
            "[ $2 != del ] || {{ {real} addr del 10.66.0.9/24 dev dead; {real} addr del 10.77.0.9/24 dev lo; }}
            {real} \"$@\""
        ),
    );
    node.fake(&["ss"], "");
    let script = "
        ip addr del 10.77.0.101/32 dev lo
        ip addr add 10.77.0.101/24 dev dead
        ip addr add 10.77.0.7/24 dev dead
        ip addr add 10.66.0.9/24 dev dead
        ip addr add 10.77.0.9/24 dev lo
        PATH=$PWD/bin:$PATH
        $CTL release s1 --address --force >out || echo $? >exit
        ip -o addr show >after";
    let Some(ran) = network.run(script) else {
        return;
    };
    let (out, after) = (node.dir.read("out"), node.dir.read("after"));
    assert!(
        out.contains("10.77.0.7/24 went along and was put back"),
        "{ran:?} {out}"
    );
    for (address, up) in [
        ("10.77.0.101/", false),
        ("10.77.0.7/", true),
        ("10.66.0.9/", false),
        ("10.77.0.9/", false),
    ] {
        assert_eq!(after.contains(address), up, "{address}: {out} {after}");
    }
}
