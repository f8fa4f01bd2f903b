// SPDX-License-Identifier: GPL-2.0-only

//! What `release` does, and in which order.

use crate::common::{
    Node,
    BOOT,
    ELSEWHERE,
    HERE,
    MANIFEST,
    OTHER_BOOT, //
};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

#[test]
fn release_in_order() {
    let node = Node::new(HERE, "");
    node.was_taken_over(HERE);
    node.has_manifest();
    node.dir.write("srv/.nsm/manifest", "an old one");
    node.fake(&["ip", "ss", "exportfs", "umount"], "");
    let path = node.dir.path("srv").display().to_string();
    node.dir.write(
        "statd/etab",
        &format!(
            "{path}\t10.0.0.0/8(rw,fsid=1234)\n{path}\tfd00::/8(rw,fsid=1234)\n/other\t*(rw)\n"
        ),
    );
    let arguments = [
        "--json",
        "release",
        "s1",
        "--address",
        "--unexport",
        "--umount",
    ];
    let (ran, seen) = node.watched("srv/.nsm", &arguments);
    assert_eq!(
        seen,
        [
            "nlm_unlock",
            "floating_ips",
            "cmd.ip",
            "cmd.ss",
            "-manifest",
            "lock_manifest",
            "manifest",
            "cmd.exportfs",
            "cmd.umount"
        ],
        "{ran:?}"
    );
    assert_eq!(ran.exit, 0, "{ran:?}");
    let results: BTreeSet<_> = ran.steps().into_iter().map(|(_, result)| result).collect();
    assert_eq!(
        results,
        ["already", "done"].map(String::from).into(),
        "{ran:?}"
    );
    assert!(node
        .dir
        .read("nfsd/nlm_unlock")
        .starts_with("1234 fence=90\n"));
    let removed = node.dir.read("nfsd/floating_ips");
    assert!(removed.starts_with(&format!("-{HERE}\n")), "{removed}");
    assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST);
    assert_eq!(node.dir.read("nfsd/cmd.ss"), format!("-K -t src {HERE}\n"));
    assert_eq!(
        node.dir.read("nfsd/cmd.ip"),
        format!("addr del {HERE}/8 dev lo\n")
    );
    // All exports, whoever made them, and no others.
    assert_eq!(
        node.dir.read("nfsd/cmd.exportfs"),
        format!("-u 10.0.0.0/8:{path} [fd00::/8]:{path}\n")
    );
    assert_eq!(node.dir.read("nfsd/cmd.umount"), format!("{path}\n"));
}

#[test]
fn release_leaves_to_the_cluster_manager() {
    let node = Node::new(ELSEWHERE, "");
    node.was_taken_over(ELSEWHERE);
    node.has_manifest();
    node.dir.write(
        "nfsd/nlm_unlock",
        &format!(
            "{}locks=2 manifest=complete\n",
            "x".repeat("1234 fence=7\n".len())
        ),
    );
    let ran = node.run(&["--json", "release", "s1", "--fence", "7"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    for (step, result) in [
        ("fence", "done"),
        ("address", "already"),
        ("manifest", "done"),
        ("unexport", "skipped"),
        ("umount", "skipped"),
    ] {
        assert_eq!(ran.result(step), result, "{step} {ran:?}");
    }
    // On standard output there is nothing but the object.
    assert!(
        ran.err
            .contains("fence: nlm_unlock 1234 fence=7 ... done (locks=2 manifest=complete)"),
        "{ran:?}"
    );
}

#[test]
fn release_without_manifest_removes_an_old_one() {
    let node = Node::new(ELSEWHERE, "");
    node.was_taken_over(ELSEWHERE);
    node.dir.write(
        "nfsd/nlm_unlock",
        &format!(
            "{}locks=2 manifest=none\n",
            "x".repeat("1234 fence=90\n".len())
        ),
    );
    node.dir.write("srv/.nsm/manifest", "an old one");
    let ran = node.run(&["release", "s1"]);
    assert!(
        ran.exit == 0 && ran.out.contains("an old one was removed"),
        "{ran:?}"
    );
    assert!(!node.dir.path("srv/.nsm/manifest").exists());
}

#[test]
fn half_a_manifest_is_none() {
    let node = Node::new(ELSEWHERE, "");
    node.was_taken_over(ELSEWHERE);
    node.fake(&["umount"], "");
    let half = &MANIFEST[..MANIFEST.len() - 40];
    node.dir
        .write("nfsd/lock_manifest", &format!("1234\n{half}"));
    let ran = node.run(&["--json", "release", "s1", "--umount"]);
    // Clients wait, so the move goes on.
    assert_eq!(
        (
            ran.exit,
            ran.result("manifest").as_str(),
            ran.result("umount").as_str()
        ),
        (3, "incomplete", "done"),
        "{ran:?}"
    );
    assert!(!node.dir.path("srv/.nsm/manifest").exists());
    assert!(ran.err.contains("manifest is cut off"), "{ran:?}");
}

#[test]
fn release_of_what_is_gone_does_nothing() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("mountinfo", "");
    let unlock = node.dir.read("nfsd/nlm_unlock");
    let ran = node.run(&["release", "s1", "--umount", "--unexport", "--address"]);
    assert!(ran.out.contains("already released"), "{ran:?}");
    assert_eq!(node.dir.read("nfsd/nlm_unlock"), unlock);
    // Released and unmounted, but the fence is still in force.
    node.has_manifest();
    node.dir.write(
        "nfsd/failover_status",
        "unit fsid=1234 phase=released left=9\n",
    );
    let ran = node.run(&["--json", "release", "s1"]);
    assert_eq!(
        (
            ran.exit,
            ran.result("fence").as_str(),
            ran.result("manifest").as_str()
        ),
        (0, "already", "already")
    );
    // The directory below the mount point is not ours.
    assert!(!node.dir.path("srv/.nsm").exists());
}

#[test]
fn dry_runs_change_nothing() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("srv/.nsm/manifest", MANIFEST);
    for command in ["release", "takeover"] {
        let (ran, seen) = node.watched("srv/.nsm", &[command, "s1", "--dry-run", "--address"]);
        assert!(
            ran.exit == 0 && ran.out.contains("would be done"),
            "{ran:?}"
        );
        assert_eq!(seen, [""; 0], "{ran:?}");
    }
}

#[test]
fn busy_filesystems_are_waited_for() {
    // Not beyond the fence: others may be granted what was dropped here.
    for (left, exit, result, tries) in [(60, 0, "done", 3), (0, 1, "failed", 2)] {
        let node = Node::new(ELSEWHERE, "");
        node.has_manifest();
        let count = node.dir.path("count").display().to_string();
        node.fake(&["umount"], &format!("echo x >>{count}\n[ $(wc -l <{count}) -gt 2 ] || {{ echo 'umount: target is busy.' >&2; exit 32; }}"));
        node.dir.write(
            "nfsd/failover_status",
            &format!("unit fsid=1234 phase=released left={left}\n"),
        );
        let ran = node.run(&["--json", "release", "s1", "--umount"]);
        let was = (ran.exit, ran.result("umount"));
        assert_eq!(was, (exit, result.to_string()), "{ran:?}");
        assert_eq!(node.dir.read("count").lines().count(), tries);
    }
}

#[test]
fn nobody_listens() {
    let node = Node::new(ELSEWHERE, "");
    node.was_taken_over(ELSEWHERE);
    node.has_manifest();
    let pipe = || {
        UnixStream::pair()
            .map(|(end, _)| OwnedFd::from(end))
            .unwrap()
    };
    let mut command = node.command();
    command
        .args(["release", "s1"])
        .stdout(pipe())
        .stderr(pipe());
    assert_eq!(command.status().unwrap().code(), Some(0));
    assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST);
}

/// Who has something here has got it by another way, and what clients have the other node has listed.
#[test]
fn release_of_what_was_not_taken_over_lists_nothing() {
    let list = |ip: &str, floating: &[&str], unit: &str, old: &str| {
        let node = Node::new(ip, "");
        node.has_manifest();
        node.fake(&["ss", "ip"], "");
        floating.iter().for_each(|ip| node.was_taken_over(ip));
        if !unit.is_empty() {
            let status = format!("unit fsid=1234 phase={unit} left=9\n");
            node.dir.write("nfsd/failover_status", &status);
        }
        if !old.is_empty() {
            node.dir.write("srv/.nsm/manifest", old);
            node.dir.write("srv/.nsm/manifest.nfs4", old);
        }
        let mut words = vec!["--json", "release", "s1", "--address"];
        if ip == HERE && floating.is_empty() {
            // Whom it has served since the module was loaded is on no record: there is time to mend it.
            let ran = node.run(&words);
            let told = ran
                .out
                .contains("echo +127.0.0.1 >/proc/fs/nfsd/floating_ips");
            assert_eq!((ran.exit, told), (1, true), "{ran:?}");
            assert_eq!(ran.result("fence"), "not done", "{ran:?}");
            words.push("--force");
        }
        let ran = node.run(&words);
        assert_eq!(ran.result("fence"), "done", "{ran:?}");
        let list = node.dir.read("srv/.nsm/manifest");
        if !old.is_empty() {
            assert_eq!(node.dir.read("srv/.nsm/manifest.nfs4") == old, list == old);
        }
        list
    };
    for old in ["", "an old one"] {
        assert_eq!(list(ELSEWHERE, &[], "", old), old);
        assert_eq!(list(ELSEWHERE, &["203.0.113.78"], "", old), old);
        // Its clients could come, and none of them is on that list.
        assert_eq!(list(HERE, &[], "", old), "");
    }
    for unit in ["recovered", "released"] {
        assert_eq!(list(ELSEWHERE, &[], unit, ""), MANIFEST);
    }
    assert_eq!(list(ELSEWHERE, &[ELSEWHERE], "", "an old one"), MANIFEST);
}

/// It was taken over, whatever is left of that by now: clients could come, and a list of before is not what
/// they have.
#[test]
fn what_has_a_mark_does_not_keep_its_list() {
    for (mark, left) in [
        (None, "an old one"),
        (Some(format!("{OTHER_BOOT}\n1\n")), "an old one"),
        (Some(format!("{BOOT}\n1\nip={ELSEWHERE}\n")), ""),
    ] {
        let node = Node::new(ELSEWHERE, "");
        node.has_manifest();
        node.fake(&["ss", "ip"], "");
        node.dir.write("srv/.nsm/manifest", "an old one");
        let file = "root/run/nfs-failover/taken-over-1234";
        mark.iter()
            .for_each(|text| drop(node.dir.write(file, text)));
        // The second time the mark is gone.
        for status in ["", "unit fsid=1234 phase=released left=9\n"] {
            let totals = "totals units=0 hooks=live nmissed=0\n";
            let status = format!("{status}{totals}");
            node.dir.write("nfsd/failover_status", &status);
            let ran = node.run(&["release", "s1", "--address"]);
            assert_eq!(ran.exit, 0, "{ran:?}");
            assert_eq!(node.dir.read("srv/.nsm/manifest"), left, "{ran:?}");
        }
    }
}

#[test]
fn release_that_is_repeated_does_not_take_its_own_unit_for_a_takeover() {
    let node = Node::new(ELSEWHERE, "");
    node.has_manifest();
    node.fake(&["ss", "ip"], "");
    node.dir.write("srv/.nsm/manifest", "an old one");
    let again = |phase: &str| {
        let status = format!("unit fsid=1234 phase={phase} left=9\n");
        node.dir.write("nfsd/failover_status", &status);
        let ran = node.run(&["release", "s1", "--address"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        node.dir.read("srv/.nsm/manifest")
    };
    let ran = node.run(&["release", "s1", "--address"]);
    assert!(ran.out.contains("was not taken over here"), "{ran:?}");
    assert_eq!(again("released"), "an old one");
    assert_eq!(again("released"), "an old one");
    // A mark that is not whole could be of one to which clients could come.
    node.dir.write("root/run/nfs-failover/foreign-1234", "");
    assert_eq!(again("released"), "");
    // It has been since.
    assert_eq!(again("recovered"), MANIFEST);
    assert_eq!(again("released"), MANIFEST);
    // Nothing is done if that cannot be kept in mind.
    let marks = node.dir.path("root/run/nfs-failover/foreign-1234");
    std::fs::create_dir_all(marks.join("in the way")).unwrap();
    let ran = node.run(&["release", "s1", "--address"]);
    assert!(ran.out.contains("fence: FAILED"), "{ran:?}");
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST);
}

/// Each address for itself: the filesystem may be known by another one.
#[test]
fn clients_come_by_an_address_that_is_up() {
    let second = |dir: &Path| {
        let path = dir.join("srv").display().to_string();
        format!(
            "\n[[service]]\nname = \"s1-0\"\npath = \"{path}\"\nfsid = \"1234\"\nip = \"{HERE}\"\n"
        )
    };
    for (floating, unit, exit) in [
        (&[ELSEWHERE][..], "", 1),
        (&[ELSEWHERE, HERE], "", 0),
        (&[], "", 1),
        // It is gone on with.
        (&[], "unit fsid=1234 phase=released left=9\n", 0),
    ] {
        let node = Node::new(ELSEWHERE, "");
        let config = node.dir.read("config") + &second(&node.dir.path(""));
        node.dir.write("config", &config);
        node.has_manifest();
        let lines = floating
            .iter()
            .map(|ip| format!("ip={ip} confirm=no clients=0 refused=0\n"));
        node.dir
            .write("nfsd/floating_ips", &lines.collect::<String>());
        if !unit.is_empty() {
            node.dir.write("nfsd/failover_status", unit);
        }
        let ran = node.run(&["release", "s1"]);
        assert_eq!(ran.exit, exit, "{floating:?} {ran:?}");
        let told = ran.out.contains("127.0.0.1 is up, but not in floating_ips");
        assert_eq!(told, exit == 1, "{ran:?}");
    }
}

/// Who reclaims behind the fence is refused, gives the lock up, and nobody is told.
#[test]
fn the_address_goes_first_while_clients_reclaim() {
    let first = |unit: &str, ip: &str, more: &[&str]| {
        let node = Node::new(ip, "");
        node.was_taken_over(ip);
        node.has_manifest();
        node.fake(&["ip", "ss"], "");
        let status = format!("unit fsid=1234 {unit}\n");
        node.dir.write("nfsd/failover_status", &status);
        let (ran, seen) = node.watched("srv/.nsm", &[&["release", "s1"], more].concat());
        (ran, seen.first().cloned().unwrap_or_default())
    };
    let recovering = "phase=recovering left=9 reclaimed=1 manifest=3 outstanding=2";
    let recovered = "phase=recovered left=9 reclaimed=3 manifest=3 outstanding=0";
    // Who has not seen an answer repeats it.
    for (unit, step) in [
        (recovering, "cmd.ip"),
        (recovered, "cmd.ip"),
        ("phase=released left=9", "nlm_unlock"),
    ] {
        let (ran, seen) = first(unit, HERE, &["--address"]);
        assert_eq!((ran.exit, seen.as_str()), (0, step), "{ran:?}");
    }
    // It is left to somebody who has not done it yet.
    let (ran, seen) = first(recovering, HERE, &[]);
    assert_eq!((ran.exit, seen.as_str()), (1, ""), "{ran:?}");
    assert!(
        ran.out.contains("Take it down first, or with --address"),
        "{ran:?}"
    );
    for (unit, ip, more) in [
        (recovering, ELSEWHERE, &[][..]),
        (recovered, HERE, &[]),
        (recovering, HERE, &["--force"]),
    ] {
        let (ran, seen) = first(unit, ip, more);
        assert_eq!(seen, "nlm_unlock", "{ran:?}");
    }
    // It is up again if nothing is dropped after that.
    let node = Node::new(HERE, "");
    node.was_taken_over(HERE);
    let status = format!("unit fsid=1234 {recovering}\n");
    node.dir.write("nfsd/failover_status", &status);
    let unlock = node.dir.path("nfsd/nlm_unlock");
    std::fs::remove_file(&unlock).unwrap();
    std::fs::create_dir(&unlock).unwrap();
    node.fake(&["ip", "ss"], "");
    let ran = node.run(&["release", "s1", "--address"]);
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert!(
        ran.out.ends_with("; the release was called off\n"),
        "{ran:?}"
    );
}
