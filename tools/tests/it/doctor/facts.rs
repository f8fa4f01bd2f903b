// SPDX-License-Identifier: GPL-2.0-only

//! What it judges by facts.

use crate::common::HERE;
use nfs_failoverctl::config::Config;
use nfs_failoverctl::doctor::finding::{
    exit,
    fold,
    Finding,
    Verdict, //
};
use nfs_failoverctl::doctor::kernel::by_number;
use nfs_failoverctl::doctor::{
    address,
    exports,
    server,
    statd, //
};
use std::cmp::Ordering;

#[test]
fn what_is_served_here_has_to_be_whole() {
    let facts = |mounted, exported, address| exports::Facts {
        name: "s1".into(),
        path: "/srv/s1".into(),
        ip: HERE.into(),
        kind: Ok(Some("ext4".into())),
        mounted: Ok(mounted),
        address: Ok(address),
        exported: Ok(exported),
        at_boot: Ok(None),
        fstab: Ok(false),
        managed: false,
        disk: false,
        room: Ok((1 << 30, Some(1000))),
    };
    let verdict = |mounted, exported, address| {
        let found = exports::judge(&facts(mounted, exported, address));
        let served = found.iter().find(|finding| finding.check == "served");
        served.unwrap().verdict
    };
    for (mounted, exported, address, expected) in [
        (true, true, true, Verdict::Ok),
        (false, false, false, Verdict::Ok),
        (false, true, true, Verdict::Error),
        (false, false, true, Verdict::Error),
        (true, false, true, Verdict::Error),
        (false, true, false, Verdict::Warning),
        (true, true, false, Verdict::Warning),
        (true, false, false, Verdict::Warning),
    ] {
        assert_eq!(
            verdict(mounted, exported, address),
            expected,
            "{mounted} {exported} {address}"
        );
    }
    let boot = |at_boot| {
        let facts = exports::Facts {
            at_boot,
            managed: true,
            ..facts(true, false, true)
        };
        let found = exports::judge(&facts);
        let served = found.iter().find(|finding| finding.check == "served");
        assert!(served.unwrap().heal.contains("resource cleanup"));
        let boot = found.iter().find(|finding| finding.check == "boot");
        boot.unwrap().verdict
    };
    assert_eq!(boot(Err("?".into())), Verdict::Unknown);
    assert_eq!(boot(Ok(Some("/etc/exports".into()))), Verdict::Error);
    let device = |managed, disk| {
        let facts = exports::Facts {
            managed,
            disk,
            ..facts(true, true, true)
        };
        let found = exports::judge(&facts);
        found.iter().any(|finding| finding.check == "device")
    };
    // Only a stop by Pacemaker has to know it.
    assert!(device(true, false) && !device(true, true) && !device(false, false));
    let full = |room| {
        let facts = exports::Facts {
            room,
            ..facts(true, true, true)
        };
        exports::judge(&facts)
            .iter()
            .map(|finding| finding.verdict)
            .max()
            .unwrap()
    };
    assert_eq!(full(Ok((1 << 30, Some(0)))), Verdict::Error);
    assert_eq!(full(Ok((1 << 20, Some(9)))), Verdict::Warning);
    assert_eq!(full(Ok((1 << 30, None))), Verdict::Ok);
    assert_eq!(full(Err("?".into())), Verdict::Unknown);
    for kind in ["gfs2", "ocfs2", "ceph", "fuse.glusterfs"] {
        let facts = exports::Facts {
            kind: Ok(Some(kind.into())),
            ..facts(true, true, true)
        };
        let refused = &exports::judge(&facts)[0];
        assert!(
            refused.verdict == Verdict::Error && refused.what.contains(kind),
            "{refused:?}"
        );
    }
}

#[test]
fn fstab_and_network_files_are_read_as_they_are_meant() {
    let text = "[[service]]\nname = \"s1\"\npath = \"/srv/s 1\"\nip = \"10.77.0.1\"\n";
    let config = Config::parse(text).unwrap();
    let at_boot = |fstab: &str| exports::mounts_at_boot(fstab, &config.services[0]);
    assert!(at_boot("# x\nUUID=1 /srv/s\\0401 xfs defaults 0 0\n"));
    assert!(at_boot("UUID=1 /srv/s\\0401\n"));
    assert!(!at_boot("UUID=1 /srv/s\\0401 xfs rw,noauto 0 0\n"));
    assert!(!at_boot(
        "#UUID=1 /srv/s\\0401 xfs rw 0 0\nUUID=1 /srv/s xfs rw\n"
    ));
    for (text, there) in [
        ("address 10.77.0.1\n", true),
        ("Address=10.77.0.1/24\n", true),
        ("address1=10.77.0.1/24,10.77.0.254\n", true),
        ("- \"10.77.0.1/24\"\n", true),
        ("address 10.77.0.10\naddress 110.77.0.1\n", false),
        ("# address 10.77.0.1\n", false),
    ] {
        let ip = "10.77.0.1".parse().unwrap();
        assert_eq!(address::names(text, ip), there, "{text}");
    }
    let ip = "fd00::a5".parse().unwrap();
    for (text, there) in [
        ("Address=fd00::a5/64", true),
        ("Address=FD00:0:0:0::A5/64", true),
        (
            "addresses: [\"fd00:0000:0000:0000:0000:0000:0000:00a5/64\"]",
            true,
        ),
        ("fd00::a5%eth0", true),
        ("- fd00::a5/64:\n", true),
        ("Address=fd00::a55/64", false),
        ("address1=fd00::1:a5/64,fd00::1", false),
    ] {
        assert_eq!(address::names(text, ip), there, "{text}");
    }
}

#[test]
fn releases_are_ordered_by_number() {
    for (one, other, order) in [
        ("7.3.10+deb13-amd64", "7.3.4+deb13-amd64", Ordering::Greater),
        ("7.3.4+deb13-amd64", "7.3.4+deb13-amd64", Ordering::Equal),
        ("7.2.12+deb13-amd64", "7.3.4+deb13-amd64", Ordering::Less),
        (
            "7.3.4+deb13-amd64",
            "7.3.4+deb13-cloud-amd64",
            Ordering::Less,
        ),
        ("7.3.4+deb13", "7.3.4+deb13-amd64", Ordering::Less),
    ] {
        assert_eq!(by_number(one, other), order, "{one} {other}");
    }
}

#[test]
fn processes_know_when_they_began() {
    let stat = "77 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 500 20";
    assert_eq!(statd::started(stat, "cpu 1\nbtime 1000\n"), Some(1005));
    assert_eq!(statd::started(stat, "cpu 1\n"), None);
    assert_eq!(statd::started("77 (a) S 1", "btime 1\n"), None);
    let threads = "pool-threads: 8\nleasetime: 90\n\tscope: my cluster\n";
    assert_eq!(server::scope_in(threads), Some("my cluster".into()));
    assert_eq!(server::scope_in("pool-threads: 8\n"), None);
}

#[test]
fn lines_are_folded() {
    assert_eq!(fold("", 9, 9), "\n");
    let words = "word ".repeat(30);
    let folded = fold(words.trim(), 9, 4);
    let lines: Vec<_> = folded.lines().collect();
    assert!(lines[0].len() <= 71 && lines[1].starts_with("    word") && lines[1].len() <= 80);
    let long = "x".repeat(100);
    assert_eq!(
        fold(&format!("a {long} b"), 0, 2),
        format!("a\n  {long}\n  b\n")
    );
    assert_eq!(exit(&[]), 0);
    assert_eq!(exit(&[Finding::info("x", ""), Finding::ok("x", "")]), 0);
    assert_eq!(
        exit(&[Finding::unknown("x", "", "", ""), Finding::ok("x", "")]),
        3
    );
}
