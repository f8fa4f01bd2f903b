// SPDX-License-Identifier: GPL-2.0-only

//! Signals in the middle of a move, and before and after it.

use crate::common::{
    Node,
    ELSEWHERE, //
};
use crate::network::{
    Network,
    IP, //
};
use nix::sys::signal::{
    killpg,
    Signal, //
};
use nix::unistd::Pid;
use std::iter::once;
use std::os::unix::process::{
    CommandExt,
    ExitStatusExt, //
};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

/// A node with one export.
fn exported() -> Node {
    let node = Node::new(ELSEWHERE, "");
    node.has_manifest();
    let path = node.dir.path("srv").display().to_string();
    node.dir
        .write("statd/etab", &format!("{path}\t10.0.0.0/8(rw,fsid=1234)\n"));
    node
}

#[test]
fn signals_do_not_stop_a_move_in_the_middle() {
    let node = exported();
    let signals =
        "for signal in HUP INT QUIT TERM TSTP PIPE; do kill -$signal $PPID; done; sleep 0.3";
    node.fake(
        &["exportfs"],
        &format!("grep Sig /proc/self/status >$0.saw; {signals}"),
    );
    node.fake(&["umount"], "");
    let ran = node.run(&["release", "s1", "--unexport", "--umount"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.out.contains("umount: umount"), "{ran:?}");
    let last = ran.out.lines().last().unwrap();
    assert!(
        last.starts_with("now: s1 is ")
            && last.ends_with("; held back until now: SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP"),
        "{ran:?}"
    );
    assert!(node.dir.read("nfsd/cmd.umount").starts_with('/'));
    // Programs get theirs as always.
    let saw = node.dir.read("bin/exportfs.saw");
    let mask = |name: &str| {
        let word = saw
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        u64::from_str_radix(word.trim(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk:"), 0, "{saw}");
    assert_eq!(mask("SigIgn:") & (1 << 12), 0, "{saw}");
}

/// Control-C goes to all that a terminal has in the foreground.
#[test]
fn programs_of_a_move_do_not_hear_the_terminal() {
    let node = exported();
    node.fake(
        &["exportfs"],
        "touch $0.began; sleep 1; echo well >$0.ended",
    );
    let mut command = node.command();
    let mut child = command
        .args(["release", "s1", "--unexport"])
        .process_group(0)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !node.dir.path("bin/exportfs.began").exists() {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(10));
    }
    killpg(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(node.dir.read("bin/exportfs.ended"), "well\n");
}

#[test]
fn a_signal_before_the_first_change_ends_the_command() {
    let node = Node::new(ELSEWHERE, "");
    // It is asked in the first look.
    node.dir.write("root/proc/77/cmdline", "rpc.statd\0");
    node.fake(&["nfsconf"], "kill -TERM $PPID; sleep 3");
    let mut command = node.command();
    command.args(["takeover", "s1", "--no-notify"]);
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.signal(), Some(15), "{status:?}");
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "");
    assert_eq!(node.dir.read("nfsd/floating_ips"), "");
}

/// It may take a quarter of an hour, and nothing is moved by it.
#[test]
fn telling_clients_can_be_ended() {
    let network = Network::new(IP, once("10.98.0.1".to_string()));
    let status = "unit fsid=1234 phase=recovering left=90 reclaimed=0 refused=0 waits=0\n\
         totals units=1 hooks=live nmissed=0\n";
    network.node.dir.write("nfsd/failover_status", status);
    let script = "
        $CTL takeover s1 --force --notify-timeout 200 >out 2>err &
        pid=$!
        sleep 4
        kill -TERM $pid
        wait $pid || echo $? >exit";
    let begun = Instant::now();
    let Some(ran) = network.run(script) else {
        return;
    };
    let took = begun.elapsed();
    let (out, exit) = (network.node.dir.read("out"), network.node.dir.read("exit"));
    assert_eq!(exit, "3\n", "{ran:?} {out}");
    assert!(took < Duration::from_secs(60), "{took:?} {out}");
    assert!(out.contains("ended as SIGTERM came"), "{out}");
    assert!(out.ends_with("; held back until now: SIGTERM\n"), "{out}");
}
