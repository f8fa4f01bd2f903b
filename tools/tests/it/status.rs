// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    Node,
    ELSEWHERE,
    HERE,
    MANIFEST, //
};
use nfs_failoverctl::policy::fsid::Fsid;
use nfs_failoverctl::status::line::Status;
use nfs_failoverctl::status::reclaims::{
    Known,
    Reclaims, //
};
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
    assert_eq!(ran.exit, 3, "{ran:?}");
    for expected in [
        "s1 ",
        "37 s",
        "fsid=1234: released=0 address=1 unlisted=2 conflict=0 new=x",
        "fsid=1234: RECLAIMS REFUSED",
        "path=/srv/a\\040b ip=10.77.0.100",
        "0 of 5 left",
        "gauge depth=3 flag",
        "floating ip=10.77.0.101 confirm=yes clients=4 more=1",
        "totals units=3 hooks=live nmissed=0",
    ] {
        assert!(ran.out.contains(expected), "{expected}: {}", ran.out);
    }
    assert_eq!(ran.out.matches("REFUSED,").count(), 1, "{}", ran.out);
    let ran = node.run(&["status", "--json"]);
    assert_eq!(ran.exit, 3, "{ran:?}");
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
    // They may have had no locks any more: that is nothing that went wrong.
    assert!(!ran.out.contains("REFUSED,"), "{}", ran.out);
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

#[test]
fn nfs4_clients_are_counted() {
    let node = Node::new(ELSEWHERE, "");
    let client = |number: u32, info: &str, states: &str| {
        node.dir.write(&format!("nfsd/clients/{number}/info"), info);
        node.dir
            .write(&format!("nfsd/clients/{number}/states"), states);
    };
    client(
        3,
        "clientid: 0x1\naddress: \"10.77.0.13:878\"\nstatus: confirmed\nseconds from last renew: 4\n\
         name: \"Linux NFSv4.2 c1@203.0.113.77\"\nminor version: 2\n",
        "- 0x1: { type: open, access: rw, deny: --, superblock: \"08:01:12\", filename: \"f\", owner: \"o\" }\n\
         - 0x2: { type: lock, superblock: \"08:01:12\", filename: \"type: deleg, \", owner: \"o\" }\n\
         - 0x3: { type: lock, superblock: \"08:01:12\", filename: \"g\", owner: \"o\" }\n\
         - 0x4: { type: deleg, access: w, superblock: \"08:02:12\" }\n",
    );
    // Nothing here.
    client(
        4,
        "address: \"10.77.0.14:1\"\n",
        "- 0x1: { type: open, superblock: \"08:02:9\" }\n",
    );
    let ran = node.run(&["status"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let line = format!(
        "nfs4 path={} client=10.77.0.13:878 ip=203.0.113.77 version=4.2 open=1 lock=2 deleg=0 layout=0 elsewhere=1 \
         status=confirmed renewed=4 name=Linux\\040NFSv4.2\\040c1@203.0.113.77\ntotals ",
        node.dir.path("srv").display()
    );
    let out = ran.out.replace("\n    ", " ");
    assert!(out.contains(&line), "{}", ran.out);
    assert_eq!(ran.out.matches("\nnfs4 ").count(), 1, "{}", ran.out);
    let ran = node.run(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["nfs4"][0]["lock"], 2);
    assert_eq!(json["nfs4"][0]["version"], "4.2");
    assert_eq!(json["nfs4"][0]["ip"], ELSEWHERE);
    // It has mounted otherwise, whatever its name looks like, and that may be a number.
    for (name, expected) in [("77", "77"), ("c1@home", "c1@home"), ("c1@::", "c1@::")] {
        client(
            3,
            &format!("address: \"10.77.0.13:878\"\nname: \"{name}\"\nminor version: 1\n"),
            "- 0x1: { type: open, superblock: \"08:01:12\", filename: \"f\", owner: \"o\" }\n",
        );
        let ran = node.run(&["status", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(json["nfs4"][0]["name"], expected, "{}", ran.out);
        assert_eq!(
            json["nfs4"][0]["ip"],
            serde_json::Value::Null,
            "{}",
            ran.out
        );
    }
}

/// What the kernel says of the clients of two units.
const CLIENTS: &str = "\
client fsid=1234 completed=no files=12 name=Linux\\040NFSv4.2\\040c1@10.77.0.100
client fsid=1234 completed=yes name=c2@10.77.0.100
client fsid=77 completed=no name=c3
client fsid=1234 completed=no name=44
";

#[test]
fn who_has_completed_its_reclaims() {
    let unit = |words: &str| {
        Status::parse(format!("unit {words}\n").as_bytes())
            .lines
            .remove(0)
    };
    let of = |words: &str, clients: &str, versions: &str| {
        Reclaims::parse(clients.as_bytes(), versions.as_bytes()).of(&unit(words))
    };
    let served = "+3 +4 +4.1\n";
    assert_eq!(
        of("fsid=1234 phase=recovering", CLIENTS, served),
        Known::Clients(
            3,
            vec!["Linux\\040NFSv4.2\\040c1@10.77.0.100".into(), "44".into()]
        )
    );
    let all = CLIENTS.replace("completed=no", "completed=yes");
    for phase in ["recovering", "recovered"] {
        let words = format!("fsid=1234 phase={phase}");
        assert_eq!(of(&words, &all, served), Known::Clients(3, Vec::new()));
    }
    // What a later module says may be anything but that it has.
    let later = CLIENTS.replace("completed=yes", "completed=partly");
    let Known::Clients(3, missing) = of("fsid=1234 phase=recovering", &later, served) else {
        panic!()
    };
    assert_eq!(missing.len(), 3);
    // After a crash there is no list.
    assert_eq!(
        of("fsid=5 phase=recovering", CLIENTS, served),
        Known::Unknown
    );
    assert_eq!(
        of("path=/srv/a ip=10.0.0.1 phase=recovering", CLIENTS, served),
        Known::Unknown
    );
    for (words, versions) in [
        ("fsid=5 phase=recovering", "+3 -4 -4.1\n"),
        // NFSv4 clients had nothing.
        ("fsid=5 phase=recovering manifest=3 outstanding=1", served),
        ("fsid=5 phase=recovered", served),
        ("fsid=5 phase=released", served),
        ("fsid=1234 phase=released", served),
    ] {
        assert_eq!(of(words, CLIENTS, versions), Known::Nobody, "{words}");
    }
}

#[test]
fn nfs4_clients_that_are_missing_are_named() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write(
        "nfsd/failover_status",
        "unit fsid=1234 phase=recovering left=37 reclaimed=1 refused=0 waits=0\ntotals units=1 hooks=live nmissed=0\n",
    );
    let out = |clients: &str| {
        node.dir.write("nfsd/nfs4_clients", clients);
        let ran = node.run(&["status"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        ran.out.replace("\n    ", " ")
    };
    assert!(out("").contains("\nfsid=1234: not known which NFSv4 clients have not reclaimed yet\n"));
    let text = out(CLIENTS);
    for expected in [
        "\nfsid=1234: has not reclaimed yet: Linux\\040NFSv4.2\\040c1@10.77.0.100, 44 (2 of 3 NFSv4 clients)\n",
        "\nreclaims fsid=1234 completed=no files=12 name=Linux\\040NFSv4.2\\040c1@10.77.0.100\n",
        "\nreclaims fsid=1234 completed=yes name=c2@10.77.0.100\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let line = |number| format!("client fsid=1234 completed=no name=c{number}\n");
    let many: Vec<_> = (0..9).map(line).collect();
    assert!(out(&many.concat()).contains("c0, c1, c2, c3, c4 and 4 more (9 of 9 NFSv4 clients)"));
    assert!(out("client fsid=1234 completed=yes name=c1\n")
        .contains("\nfsid=1234: all NFSv4 clients on the list have reclaimed (1)\n"));
}

#[test]
fn it_fits_a_terminal_and_begins_with_what_matters() {
    let node = Node::new("10.77.0.100", "");
    let ran = node.run(&["status"]);
    assert_eq!(
        ran.out.lines().next(),
        Some("All is well: nothing is released or recovering; 0 clients on record.")
    );
    node.dir.write("nfsd/failover_status", UNITS);
    node.dir.write(
        "nfsd/floating_ips",
        "ip=2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff confirm=yes clients=4 refused=0 and=1 still=2 more=3 words=4\n",
    );
    let ran = node.run(&["status"]);
    assert_eq!(
        ran.out.lines().next(),
        Some("NOT WELL, see below; 1 released, 2 recovering.")
    );
    for line in ran.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // A long name has a line of its own.
    assert!(
        ran.out
            .contains("\nfsid=30313233-3435-3637-3839-616263646566\n"),
        "{}",
        ran.out
    );
}

#[test]
fn dead_hooks_are_not_well() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write(
        "nfsd/failover_status",
        "totals units=0 hooks=dead nmissed=0\n",
    );
    let ran = node.run(&["status"]);
    assert!(
        ran.exit == 3 && ran.out.contains("HOOKS ARE DEAD"),
        "{ran:?}"
    );
}

#[test]
fn dead_hooks_are_shown_while_something_recovers() {
    let node = Node::new(ELSEWHERE, "");
    let text = "unit fsid=1234 phase=recovering left=9 reclaimed=0 refused=0 waits=0\n\
                totals units=1 hooks=dead nmissed=0\n";
    node.dir.write("nfsd/failover_status", text);
    // The kernel says that there is no such device.
    std::fs::remove_file(node.dir.path("nfsd/lock_manifest")).unwrap();
    let ran = node.run(&["status"]);
    assert!(
        ran.exit == 3 && ran.out.contains("HOOKS ARE DEAD"),
        "{ran:?}"
    );
    let ran = node.run(&["status", "--prometheus"]);
    assert!(
        ran.exit == 0 && ran.out.contains("hooks_live 0\n"),
        "{ran:?}"
    );
}

#[test]
fn locks_that_were_taken_away_are_not_well() {
    let status = |ip: &str, taken_away: &str| {
        let node = Node::new(ip, "");
        let totals = format!("totals units=0 hooks=live nmissed=0 {taken_away}\n");
        node.dir.write("nfsd/failover_status", &totals);
        let ran = node.run(&["status"]);
        (ran.exit, ran.out.contains("LOCKS WERE TAKEN AWAY"))
    };
    assert_eq!(status(HERE, "taken_away=2"), (3, true));
    assert_eq!(status(HERE, "taken_away=0"), (0, false));
    assert_eq!(status(HERE, ""), (0, false));
    // Nobody comes here.
    assert_eq!(status(ELSEWHERE, "taken_away=2"), (0, false));
}
