// SPDX-License-Identifier: GPL-2.0-only

//! What `takeover` does, and in which order.

use crate::common::{
    Node,
    ELSEWHERE,
    HERE,
    MANIFEST, //
};
use nfs_failoverctl::manifest::holders;
use std::process::Command;
use std::thread;
use std::time::Duration;

const RECOVERING: &str = "unit fsid=1234 phase=recovering left=9 reclaimed=0 refused=0 waits=0";
const LONG: &str = "unit fsid=1234 phase=recovering left=40 reclaimed=0 refused=0 waits=0";

#[test]
fn takeover_in_order() {
    let node = Node::new(ELSEWHERE, "on_record_failure = \"refuse\"");
    node.dir.write("srv/.nsm/manifest", MANIFEST);
    node.dir.write("nfsd/failover_status", &format!("{LONG}\n"));
    node.dir
        .write(&format!("srv/.nsm/{ELSEWHERE}/clients/10.77.0.13"), "");
    node.fake(&["ip", "exportfs"], "");
    let arguments = [
        "--json",
        "takeover",
        "s1",
        "--export",
        "--address",
        "--grace",
        "30",
    ];
    let (ran, mut seen) = node.watched("srv/.nsm", &arguments);
    // The directories are made as they have to be.
    seen.retain(|name| !["chown ", "chown 203.0.113.77"].contains(&name.as_str()));
    assert_eq!(
        seen,
        [
            "nlm_set_igrace",
            "floating_ips",
            "chown floating_ips",
            "floating_ips",
            "-manifest",
            "lock_manifest",
            "reserve",
            "cmd.exportfs",
            "cmd.ip"
        ],
        "{ran:?}"
    );
    // The fake ip brings no address up.
    assert_eq!(
        (ran.exit, ran.result("notify").as_str()),
        (3, "incomplete"),
        "{ran:?}"
    );
    assert!(
        ran.out
            .contains(&format!("nfs-failoverctl notify --ip {ELSEWHERE}")),
        "{ran:?}"
    );
    let command = format!("={ELSEWHERE} 10.77.0.13\n");
    assert_eq!(node.dir.read("nfsd/floating_ips"), command);
    assert_eq!(node.dir.read("nfsd/lock_manifest"), MANIFEST);
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "1234 30\n");
    assert_eq!(
        node.dir.read("nfsd/cmd.ip"),
        format!("addr add {ELSEWHERE}/24 dev eth9\n")
    );
    let path = node.dir.path("srv").display().to_string();
    assert_eq!(
        node.dir.read("nfsd/cmd.exportfs"),
        format!("-o rw,fsid=1234,mountpoint 10.0.0.0/8:{path}\n")
    );
}

#[test]
fn takeover_creates_the_state_directory() {
    let node = Node::new(HERE, "on_record_failure = \"refuse\"");
    node.dir
        .write("nfsd/failover_status", &format!("{RECOVERING}\n"));
    let ran = node.run(&["--json", "takeover", "s1", "--expect-none"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(node.dir.path(&format!("srv/.nsm/{HERE}/clients")).is_dir());
    assert_eq!(
        node.dir.read("nfsd/floating_ips"),
        format!("+{HERE} confirm\n")
    );
    assert_eq!(
        (
            ran.result("manifest").as_str(),
            ran.result("notify").as_str()
        ),
        ("skipped", "done")
    );
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "1234\n");
    // Nobody was told, so no number was used.
    assert!(!node.dir.path(&format!("srv/.nsm/{HERE}/state")).exists());
}

#[test]
fn nobody_on_record_has_to_be_expected() {
    let node = Node::new(HERE, "");
    let take = |unit: &str, more: &[&str]| {
        node.dir.write("nfsd/failover_status", &format!("{unit}\n"));
        let ran = node.run(&[&["--json", "takeover", "s1"], more].concat());
        (ran.exit, ran.result("notify"))
    };
    let (done, incomplete) = ((0, "done".to_string()), (3, "incomplete".to_string()));
    assert_eq!(take(RECOVERING, &[]), incomplete);
    assert_eq!(take(RECOVERING, &["--expect-none"]), done);
    // Nobody held anything when it was released.
    let empty = RECOVERING.replace("recovering", "recovered") + " manifest=0 outstanding=0";
    assert_eq!(take(&empty, &[]), done);
    let two = format!("{RECOVERING} manifest=2 outstanding=2");
    assert_eq!(take(&two, &[]), incomplete);
}

#[test]
fn takeover_needs_the_filesystem() {
    let node = Node::new(ELSEWHERE, "");
    node.is_not_mounted();
    node.fake(&["exportfs"], "");
    let ran = node.run(&["--json", "takeover", "s1", "--export"]);
    assert_eq!(
        (
            ran.exit,
            ran.result("mount").as_str(),
            ran.result("export").as_str()
        ),
        (1, "failed", "not done")
    );
    assert!(!node.dir.path("srv/.nsm").exists());
    assert!(ran.out.contains("mount the filesystem first"), "{ran:?}");
    let ran = node.run(&["--json", "takeover", "s1", "--mount", "--no-notify"]);
    let device = node.dir.path("sdz").display().to_string();
    assert_eq!(
        (ran.exit, ran.result("mount").as_str()),
        (0, "done"),
        "{ran:?}"
    );
    let path = node.dir.path("srv").display().to_string();
    assert_eq!(
        node.dir.read("nfsd/cmd.mount"),
        format!("{device} {path}\n")
    );
}

#[test]
fn takeover_leaves_a_recovery_with_manifest_alone() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write(
        "nfsd/failover_status",
        &format!("{LONG} manifest=5 outstanding=2\n"),
    );
    node.dir.write(
        "nfsd/floating_ips",
        &format!("ip={ELSEWHERE} confirm=no clients=0\n"),
    );
    // A client that was recorded since: were statd made to forget it, its record would go.
    let line = format!("0100007f 000186b5 00000003 00000010 ab 10.77.0.13 {ELSEWHERE}\n");
    node.dir.write("statd/sm/c1", &line);
    let ran = node.run(&["--json", "takeover", "s1", "--no-notify"]);
    assert_eq!(node.dir.read("statd/sm/c1"), line);
    for step in ["statd", "manifest", "grace"] {
        assert_eq!(ran.result(step), "already", "{step} {ran:?}");
    }
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "");
    // Without one the time starts again.
    node.dir
        .write("nfsd/failover_status", &format!("{RECOVERING}\n"));
    assert_eq!(
        node.run(&["--json", "takeover", "s1", "--no-notify"])
            .result("grace"),
        "done"
    );
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "1234\n");
}

/// A takeover that was killed and is repeated when the time is nearly over.
#[test]
fn a_recovery_that_is_nearly_over_starts_anew() {
    let node = Node::new(ELSEWHERE, "");
    let grace = |left: u32, lockd: &[(&str, u32)], more: &[&str]| {
        let unit = LONG.replace("left=40", &format!("left={left}"));
        node.dir.write(
            "nfsd/failover_status",
            &format!("{unit} manifest=5 outstanding=2\n"),
        );
        for (name, value) in lockd {
            let name = format!("root/sys/module/lockd/parameters/{name}");
            node.dir.write(&name, &format!("{value}\n"));
        }
        let ran = node.run(&[&["--json", "takeover", "s1", "--no-notify"], more].concat());
        ran.result("grace")
    };
    assert_eq!(grace(30, &[], &["--grace", "60"]), "already");
    assert_eq!(grace(29, &[], &["--grace", "60", "--dry-run"]), "would");
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "");
    assert_eq!(grace(29, &[], &["--grace", "60"]), "done");
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "1234 60\n");
    // What the kernel takes if it is not told.
    assert_eq!(grace(25, &[], &[]), "already");
    assert_eq!(grace(24, &[], &[]), "done");
    assert_eq!(grace(24, &[("nlm_timeout", 8)], &[]), "already");
    assert_eq!(grace(19, &[], &[]), "done");
    assert_eq!(grace(8, &[("nlm_grace_period", 11)], &[]), "already");
    assert_eq!(grace(7, &[], &[]), "done");
}

/// Clients who come by an address that is up reclaim, and lose what they may not reclaim.
#[test]
fn an_address_stays_down_if_nothing_recovers() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("nfsd/failover_status", &format!("{LONG}\n"));
    // The time is over when all is exported.
    let status = node.dir.path("nfsd/failover_status").display().to_string();
    node.fake(
        &["exportfs"],
        &format!("echo 'totals units=0 hooks=live nmissed=0' >{status}"),
    );
    node.fake(&["ip"], "");
    let take = |more: &[&str]| {
        let take = [
            "--json",
            "takeover",
            "s1",
            "--export",
            "--address",
            "--no-notify",
        ];
        node.run(&[&take[..], more].concat())
    };
    let ran = take(&[]);
    assert_eq!(
        (ran.exit, ran.result("address").as_str()),
        (1, "failed"),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("does not recover here any more"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/cmd.ip"), "");
    // There is nobody whose locks could be lost.
    let ran = take(&["--expect-none"]);
    assert_eq!(
        (ran.exit, ran.result("address").as_str()),
        (0, "done"),
        "{ran:?}"
    );
}

/// What the kernel refuses when the file is closed, nobody hears.
#[test]
fn a_manifest_that_the_kernel_has_not_taken_was_not_used() {
    let node = Node::new(ELSEWHERE, "");
    let [first, second, ..] = MANIFEST.lines().collect::<Vec<_>>()[..] else {
        panic!();
    };
    node.dir
        .write("srv/.nsm/manifest", &format!("{first}\n{second}\n"));
    node.dir.write("nfsd/failover_status", &format!("{LONG}\n"));
    let ran = node.run(&["--json", "takeover", "s1", "--no-notify"]);
    assert_eq!(
        (ran.exit, ran.result("manifest").as_str()),
        (0, "skipped"),
        "{ran:?}"
    );
    assert!(
        ran.err
            .contains("has not taken it: the text is damaged, cut off"),
        "{ran:?}"
    );
    assert!(!node.dir.path("srv/.nsm/manifest").exists());
}

#[test]
fn without_fsid_it_is_resume_ip() {
    let node = Node::new(ELSEWHERE, "");
    let path = node.dir.path("srv").display().to_string();
    let ran = node.run(&[
        "--json",
        "takeover",
        "--path",
        &path,
        "--ip",
        "203.0.113.5",
        "--grace",
        "9",
        "--no-notify",
    ]);
    assert_eq!(
        (ran.exit, node.dir.read("nfsd/resume_ip")),
        (0, format!("203.0.113.5 {path} 9\n")),
        "{ran:?}"
    );
    let ran = node.run(&["release", "--path", &path, "--ip", "203.0.113.5"]);
    assert!(ran.exit == 1 && ran.out.contains("give --fsid"), "{ran:?}");
    let ran = node.run(&["release", "nobody"]);
    assert!(
        ran.exit == 1 && ran.err.contains("there are: s1"),
        "{ran:?}"
    );
}

#[test]
fn a_manifest_tells_who_has_to_be_told() {
    let shares = "share fsid=1234 fh=01 client=10.77.0.16 name=c4 server=10.77.0.100 owner=61 access=1 deny=0\n";
    let text = MANIFEST.replace("end ", &format!("{shares}later x=1\nend "));
    let text = text.replacen("server=10.77.0.100", "server=10.77.0.101", 1);
    let of = |ip: &str| {
        let found = holders(text.as_bytes(), ip.parse().unwrap());
        let found = found.into_iter().map(|(ip, name)| format!("{ip} {name}"));
        found.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(of("10.77.0.101"), "10.77.0.13 c1");
    assert!(of("10.77.0.100").starts_with("10.77.0.14 c2"));
    assert_eq!(of("10.77.0.102"), "");
}

/// Only the first address of a filesystem sees the list. Clients of the others have to be told, too.
#[test]
fn who_is_listed_is_on_record_for_its_own_address() {
    let second = "203.0.113.78";
    let node = Node::new(ELSEWHERE, "");
    let config = node.dir.read("config");
    let section = &config[config.find("[[service]]").unwrap()..];
    let section = section
        .replace(ELSEWHERE, second)
        .replace("\"s1\"", "\"s2\"");
    node.dir.write("config", &format!("{config}{section}"));
    let list = MANIFEST.replacen("10.77.0.100", ELSEWHERE, 1);
    let list = node.dir.write(
        "srv/.nsm/manifest",
        &list.replacen("10.77.0.100", second, 1),
    );
    let status = node.dir.write("nfsd/failover_status", &format!("{LONG}\n"));
    // The kernel has taken it when it was written: who writes waits until somebody reads.
    let given = node.dir.path("nfsd/lock_manifest");
    std::fs::remove_file(&given).unwrap();
    Command::new("mkfifo").arg(&given).status().unwrap();
    thread::spawn(move || {
        for _ in 0..2000 {
            if !list.exists() {
                let taken = format!("{LONG} manifest=2 outstanding=2\n");
                std::fs::write(status, taken).unwrap();
                return drop(std::fs::read(given));
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    let ran = node.run(&["takeover", "s1", "--no-notify"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(
        ran.out.contains("2 of its clients were not on record"),
        "{ran:?}"
    );
    for (ip, clients) in [(ELSEWHERE, [true, false]), (second, [false, true])] {
        let is_there = |client: &str| {
            let record = format!("srv/.nsm/{ip}/clients/{client}");
            node.dir.path(&record).exists()
        };
        assert_eq!(["10.77.0.13", "10.77.0.14"].map(is_there), clients, "{ip}");
    }
}
