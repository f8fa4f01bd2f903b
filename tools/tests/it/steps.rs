// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    Node,
    Ran,
    ELSEWHERE,
    HERE,
    MANIFEST, //
};
use nix::sys::inotify::{
    AddWatchFlags,
    InitFlags,
    Inotify, //
};
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

const RECOVERING: &str = "unit fsid=1234 phase=recovering left=9 reclaimed=0 refused=0 waits=0";

/// The order in which files are written and removed while `node` runs a command.
fn watched(node: &Node, also: &str, arguments: &[&str]) -> (Ran, Vec<String>) {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    let events = AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_ATTRIB;
    for dir in ["nfsd", also] {
        fs::create_dir_all(node.dir.path(dir)).unwrap();
        inotify.add_watch(&node.dir.path(dir), events).unwrap();
    }
    let ran = node.run(arguments);
    let mut seen = Vec::new();
    while let Ok(events) = inotify.read_events() {
        for event in events {
            let name = event.name.unwrap_or_default().into_string().unwrap();
            let mark = if event.mask.contains(AddWatchFlags::IN_DELETE) {
                "-"
            } else if event.mask.contains(AddWatchFlags::IN_ATTRIB) {
                "chown "
            } else {
                ""
            };
            let name = format!("{mark}{name}");
            if !name.contains(".new") && seen.last() != Some(&name) {
                seen.push(name);
            }
        }
    }
    (ran, seen)
}

#[test]
fn release_in_order() {
    let node = Node::new(HERE, "");
    node.has_manifest();
    node.dir.write("srv/.nsm/manifest", "an old one");
    node.fake(&["ip", "ss", "exportfs", "umount"], "");
    let arguments = [
        "--json",
        "release",
        "s1",
        "--address",
        "--unexport",
        "--umount",
    ];
    let (ran, seen) = watched(&node, "srv/.nsm", &arguments);
    assert_eq!(
        seen,
        [
            "nlm_unlock",
            "floating_ips",
            "cmd.ss",
            "cmd.ip",
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
    assert_eq!(node.dir.read("nfsd/floating_ips"), format!("-{HERE}\n"));
    assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST);
    assert_eq!(node.dir.read("nfsd/cmd.ss"), format!("-K -t src {HERE}\n"));
    assert_eq!(
        node.dir.read("nfsd/cmd.ip"),
        format!("addr del {HERE}/24 dev eth9\n")
    );
    let path = node.dir.path("srv").display().to_string();
    assert_eq!(
        node.dir.read("nfsd/cmd.exportfs"),
        format!("-u 10.0.0.0/8:{path}\n")
    );
    assert_eq!(node.dir.read("nfsd/cmd.umount"), format!("{path}\n"));
}

#[test]
fn release_leaves_to_the_cluster_manager() {
    let node = Node::new(ELSEWHERE, "");
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
fn release_refuses_half_a_manifest() {
    let node = Node::new(ELSEWHERE, "");
    let half = &MANIFEST[..MANIFEST.len() - 40];
    node.dir
        .write("nfsd/lock_manifest", &format!("1234\n{half}"));
    let ran = node.run(&["--json", "release", "s1", "--umount"]);
    assert_eq!(
        (
            ran.exit,
            ran.result("manifest").as_str(),
            ran.result("umount").as_str()
        ),
        (1, "failed", "not done")
    );
    assert!(!node.dir.path("srv/.nsm/manifest").exists());
    assert!(ran.err.contains("umount: not done"), "{ran:?}");
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
        let (ran, seen) = watched(
            &node,
            "srv/.nsm",
            &[command, "s1", "--dry-run", "--address"],
        );
        assert!(
            ran.exit == 0 && ran.out.contains("would be done"),
            "{ran:?}"
        );
        assert_eq!(seen, [""; 0], "{ran:?}");
    }
}

#[test]
fn takeover_in_order() {
    let node = Node::new(ELSEWHERE, "on_record_failure = \"refuse\"");
    node.dir.write("srv/.nsm/manifest", MANIFEST);
    node.dir
        .write(&format!("srv/.nsm/{ELSEWHERE}/clients/10.77.0.13"), "");
    node.fake(&["ip", "exportfs", "arping"], "");
    let arguments = [
        "--json",
        "takeover",
        "s1",
        "--export",
        "--address",
        "--grace",
        "30",
    ];
    let (ran, mut seen) = watched(&node, "srv/.nsm", &arguments);
    // It is not waited for.
    seen.retain(|name| name != "cmd.arping" && name != "chown 203.0.113.77");
    assert_eq!(
        seen,
        [
            "floating_ips",
            "chown floating_ips",
            "floating_ips",
            "-manifest",
            "lock_manifest",
            "nlm_set_igrace",
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
        format!("-o rw,fsid=1234 10.0.0.0/8:{path}\n")
    );
}

#[test]
fn takeover_creates_the_state_directory() {
    let node = Node::new(HERE, "on_record_failure = \"refuse\"");
    node.dir
        .write("nfsd/failover_status", &format!("{RECOVERING}\n"));
    let ran = node.run(&["--json", "takeover", "s1"]);
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
fn takeover_needs_the_filesystem() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("mountinfo", "");
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
    node.fake(&["mount"], "");
    let ran = node.run(&["--json", "takeover", "s1", "--mount", "--no-notify"]);
    assert_eq!(
        (ran.exit, ran.result("mount").as_str()),
        (0, "done"),
        "{ran:?}"
    );
    let path = node.dir.path("srv").display().to_string();
    assert_eq!(
        node.dir.read("nfsd/cmd.mount"),
        format!("/dev/sdz {path}\n")
    );
}

#[test]
fn takeover_leaves_a_recovery_with_manifest_alone() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write(
        "nfsd/failover_status",
        &format!("{RECOVERING} manifest=5 outstanding=2\n"),
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
fn busy_filesystems_are_waited_for() {
    let node = Node::new(ELSEWHERE, "");
    node.has_manifest();
    let count = node.dir.path("count").display().to_string();
    node.fake(&["umount"], &format!("echo x >>{count}\n[ $(wc -l <{count}) -gt 2 ] || {{ echo 'umount: target is busy.' >&2; exit 32; }}"));
    let ran = node.run(&["--json", "release", "s1", "--umount"]);
    assert_eq!(
        (ran.exit, ran.result("umount").as_str()),
        (0, "done"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read("count").lines().count(), 3);
}

#[test]
fn nobody_listens() {
    let node = Node::new(ELSEWHERE, "");
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
