// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    as_root,
    Node,
    CTL,
    ELSEWHERE, //
};
use nix::fcntl::{
    Flock,
    FlockArg, //
};
use std::fs::{
    self,
    File, //
};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

fn ready(options: &str) -> Node {
    let node = Node::new(ELSEWHERE, options);
    fs::create_dir_all(node.dir.path(&format!("srv/.nsm/{ELSEWHERE}/clients"))).unwrap();
    // Commands are written over the first line.
    node.dir.write(
        "nfsd/floating_ips",
        &format!("{}\nip={ELSEWHERE} confirm=yes clients=0\n", "x".repeat(60)),
    );
    node
}

fn record(client: &str) -> String {
    format!("srv/.nsm/{ELSEWHERE}/clients/{client}")
}

#[test]
fn clients_are_recorded_and_confirmed() {
    for options in ["", "on_record_failure = \"refuse\""] {
        let node = ready(options);
        for _ in 0..2 {
            let ran = node.run(&["callout", "add-client", "10.77.0.13", ELSEWHERE]);
            assert_eq!((ran.exit, ran.err.as_str()), (0, ""), "{ran:?}");
            assert!(node.dir.path(&record("10.77.0.13")).is_file());
            assert!(node
                .dir
                .read("nfsd/floating_ips")
                .starts_with(&format!("={ELSEWHERE} 10.77.0.13\n")));
            // Again: it is confirmed again.
            node.dir.write(
                "nfsd/floating_ips",
                &format!("{}\nip={ELSEWHERE} confirm=yes clients=0\n", "x".repeat(60)),
            );
        }
        assert_eq!(
            node.run(&["callout", "del-client", "10.77.0.13", ELSEWHERE])
                .exit,
            0
        );
        assert!(!node.dir.path(&record("10.77.0.13")).exists());
    }
}

#[test]
fn statd_calls_by_another_name() {
    let node = ready("");
    let name = node.dir.path("statd-callout");
    symlink(CTL, &name).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&name);
        // statd gives no options; the configuration is where it always is.
        command.args(arguments).output().unwrap().status.code()
    };
    assert_eq!(run(&["sm-notify", "c1", "10.0.0.1", "5"]), Some(0));
    assert_eq!(run(&["add-client", "c1", "nodeA"]), Some(0));
    assert_eq!(run(&["status"]), Some(2));
}

#[test]
fn other_names_of_ours_are_not_our_business() {
    let node = ready("on_record_failure = \"refuse\"");
    let before = node.dir.read("nfsd/floating_ips");
    for name in ["nodeA", "10.0.0.1", "", "fd00::1"] {
        for event in ["add-client", "del-client"] {
            assert_eq!(node.run(&["callout", event, "10.77.0.13", name]).exit, 0);
        }
    }
    assert_eq!(node.dir.read("nfsd/floating_ips"), before);
    assert!(!node.dir.path(&record("10.77.0.13")).exists());
}

#[test]
fn records_of_another_node_are_kept() {
    let node = ready("");
    node.dir.write(&record("10.77.0.13"), "");
    for floating in [Some("ip=10.0.0.9 confirm=no clients=0\n"), Some(""), None] {
        match floating {
            Some(text) => drop(node.dir.write("nfsd/floating_ips", text)),
            None => fs::remove_file(node.dir.path("nfsd/floating_ips")).unwrap(),
        }
        assert_eq!(
            node.run(&["callout", "del-client", "10.77.0.13", ELSEWHERE])
                .exit,
            0
        );
        assert!(node.dir.path(&record("10.77.0.13")).exists());
    }
}

#[test]
fn whom_the_kernel_knows_stays_on_record() {
    let node = ready("");
    node.dir.write(&record("10.77.0.13"), "");
    let answer = |answer: &str| {
        // What is read after a question goes on behind it.
        let asked = "x".repeat(format!("?{ELSEWHERE} 10.77.0.13\n").len());
        node.dir.write(
            "nfsd/floating_ips",
            &format!("{asked}{answer} lost=0 ip={ELSEWHERE}\n"),
        );
    };
    let gone = || {
        let ran = node.run(&["callout", "del-client", "10.77.0.13", ELSEWHERE]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        !node.dir.path(&record("10.77.0.13")).exists()
    };
    // nfsd was stopped: the client believes that it has locks.
    answer("client=10.77.0.13 monitored=no recorded=yes\nend clients=1");
    assert!(!gone());
    // It has given them up.
    answer("end clients=0");
    assert!(gone());
}

#[test]
fn nobody_waits_for_a_filesystem_that_does_not_answer() {
    let node = ready("");
    let path = node
        .dir
        .write(&format!("statd/sm/.nfs-failover-{ELSEWHERE}"), "");
    let file = File::options().write(true).open(path).unwrap();
    let turn = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    let took = |client: &str| {
        let start = Instant::now();
        let ran = node.run(&["callout", "add-client", client, ELSEWHERE]);
        assert!(ran.exit == 1 && ran.err.contains("NOT RECORDED"), "{ran:?}");
        start.elapsed()
    };
    // Somebody has just begun to write: it may be over in a moment.
    assert!(took("10.77.0.13") >= Duration::from_secs(3));
    // By now it is known that it is not.
    for client in ["10.77.0.14", "10.77.0.15"] {
        assert!(took(client) < Duration::from_secs(3));
    }
    let ran = node.run(&["callout", "del-client", "10.77.0.13", ELSEWHERE]);
    assert!(
        ran.exit == 1 && ran.err.contains("stays on record"),
        "{ran:?}"
    );
    drop(turn);
    let start = Instant::now();
    while !["10.77.0.13", "10.77.0.14", "10.77.0.15"]
        .iter()
        .all(|client| node.dir.path(&record(client)).exists())
    {
        assert!(start.elapsed() < Duration::from_secs(20), "not recorded");
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn nothing_is_created_without_the_filesystem() {
    let node = Node::new(ELSEWHERE, "");
    let ran = node.run(&["callout", "add-client", "10.77.0.13", ELSEWHERE]);
    assert!(
        ran.exit == 1 && ran.err.contains("takeover s1\" creates it"),
        "{ran:?}"
    );
    node.dir.write("mountinfo", "");
    fs::create_dir_all(node.dir.path(&format!("srv/.nsm/{ELSEWHERE}/clients"))).unwrap();
    let ran = node.run(&["callout", "add-client", "10.77.0.13", ELSEWHERE]);
    assert!(
        ran.exit == 1 && ran.err.contains("nothing is mounted"),
        "{ran:?}"
    );
    assert!(!node.dir.path(&record("10.77.0.13")).exists());
    let ran = node.run(&["callout", "add-client", "../x", ELSEWHERE]);
    assert_eq!(ran.exit, 1);
    node.dir.write("config", "rubbish");
    let ran = node.run(&["callout", "add-client", "10.77.0.13", ELSEWHERE]);
    assert!(ran.exit == 1 && ran.err.contains("NOT RECORDED"), "{ran:?}");
}

#[test]
fn what_could_not_be_recorded_is_tried_again() {
    let node = ready("on_record_failure = \"refuse\"");
    let clients = node.dir.path(&format!("srv/.nsm/{ELSEWHERE}/clients"));
    fs::remove_dir(&clients).unwrap();
    let start = Instant::now();
    let ran = node.run(&["callout", "add-client", "10.77.0.13", ELSEWHERE]);
    assert!(
        ran.exit == 1 && start.elapsed() < Duration::from_secs(5),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("ENOLCK")
            && ran.err.contains("client 10.77.0.13")
            && ran.err.contains(ELSEWHERE)
    );
    fs::create_dir(&clients).unwrap();
    while !node.dir.read("nfsd/floating_ips").starts_with('=') {
        assert!(start.elapsed() < Duration::from_secs(20), "not tried again");
        sleep(Duration::from_millis(50));
    }
    assert!(node.dir.path(&record("10.77.0.13")).exists());
}

#[test]
fn one_tries_again_and_can_be_stopped() {
    let node = ready("");
    let clients = node.dir.path(&format!("srv/.nsm/{ELSEWHERE}/clients"));
    fs::remove_dir(&clients).unwrap();
    let lock = format!("statd/sm/.nfs-failover-{ELSEWHERE}-10.77.0.13");
    let wait = |what: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !what() {
            assert!(start.elapsed() < Duration::from_secs(20));
            sleep(Duration::from_millis(20));
        }
    };
    for _ in 0..2 {
        node.run(&["callout", "add-client", "10.77.0.13", ELSEWHERE]);
        wait(&|| node.dir.path(&lock).exists());
    }
    // The second has given way, and left the first one's lock in place.
    sleep(Duration::from_millis(200));
    fs::remove_file(node.dir.path(&lock)).unwrap();
    sleep(Duration::from_millis(1500));
    fs::create_dir(&clients).unwrap();
    sleep(Duration::from_millis(1500));
    assert!(!node.dir.path(&record("10.77.0.13")).exists());
}

/// A filesystem that is full, then has room; and one that is read-only.
#[test]
fn full_and_read_only_filesystems() {
    let script = r#"
        # An empty file needs no room but its inode.
        mount -t tmpfs -o nr_inodes=6 none "$SRV"
        now_mounted
        mkdir -p "$SRV/.nsm/$IP/clients"
        touch "$SRV/fill" "$SRV/full"
        "$CTL" $OPTIONS callout add-client 10.77.0.13 $IP && exit 10
        [ -z "$(ls -A "$SRV/.nsm/$IP/clients")" ] || exit 11
        rm "$SRV/fill" "$SRV/full"
        for i in $(seq 200); do [ ! -e "$SRV/.nsm/$IP/clients/10.77.0.13" ] || break; sleep 0.1; done
        [ -e "$SRV/.nsm/$IP/clients/10.77.0.13" ] || exit 12
        mount -o remount,ro "$SRV"
        "$CTL" $OPTIONS callout add-client 10.77.0.13 $IP || exit 13
        "$CTL" $OPTIONS callout add-client 10.77.0.14 $IP && exit 14
        # Who tries again holds it.
        mount -o remount,rw "$SRV"
        for i in $(seq 200); do [ ! -e "$SRV/.nsm/$IP/clients/10.77.0.14" ] || exit 0; sleep 0.1; done
        exit 15"#;
    let node = ready("");
    if let Some(ran) = as_root(&[], &node.script(script), &node.dir.path("")) {
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert!(
            ran.err.contains("No space left on device")
                && ran.err.contains("LOST if this node crashes"),
            "{ran:?}"
        );
        assert!(ran.err.contains("Read-only file system"), "{ran:?}");
    }
}
