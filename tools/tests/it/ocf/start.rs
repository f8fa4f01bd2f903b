// SPDX-License-Identifier: GPL-2.0-only

//! `start`.

use super::{
    code,
    Agent,
    MANIFEST, //
};
use crate::common::{
    as_root,
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::ocf::Code;
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

#[test]
fn start_takes_over_and_leaves_a_notifier() {
    let agent = Agent::new("", &[]);
    agent.has_list(MANIFEST);
    let told = format!("root/run/nfs-failover/told-{ELSEWHERE}");
    agent.node.dir.write(&told, "");
    let (exit, why) = agent.act_with("start", &[("OCF_RESKEY_grace", "45")]);
    assert_eq!((exit, why.as_str()), (0, ""));
    assert!(!agent.node.dir.path(&told).exists());
    assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "1234 45\n");
    assert_eq!(agent.node.dir.read("nfsd/lock_manifest"), MANIFEST);
    assert_eq!(agent.list(), "");
    assert_eq!(agent.act("monitor").0, code(Code::Success));
    // The address is down, so nobody was told, and somebody waits.
    let state = format!("srv/.nsm/{ELSEWHERE}/state");
    assert!(!agent.node.dir.path(&state).exists());
    assert!(agent.notifier_lives());
    assert_eq!(agent.act("stop").0, code(Code::Success));
    assert!(!agent.notifier_lives());
    assert!(!agent.node.dir.path(&state).exists());
}

impl Agent {
    fn notifier_lives(&self) -> bool {
        let lock = self
            .node
            .dir
            .path(&format!("root/run/nfs-failover/notify-{ELSEWHERE}.lock"));
        let free = Command::new("flock")
            .arg("-n")
            .arg(lock)
            .arg("true")
            .status();
        !free.unwrap().success()
    }
}

/// While one that does not hear of it is waited for, the address is down.
#[test]
fn a_notifier_hears_signals() {
    let agent = Agent::new("", &[]);
    assert_eq!(agent.act("start").0, 0);
    let lock = format!("root/run/nfs-failover/notify-{ELSEWHERE}.lock");
    let number = agent.node.dir.read(&lock).parse().unwrap();
    let number = nix::unistd::Pid::from_raw(number);
    nix::sys::signal::kill(number, nix::sys::signal::Signal::SIGTERM).unwrap();
    for _ in 0..100 {
        if !agent.notifier_lives() {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("it lives");
}

/// Nobody waits for an address any more when its clients cannot reclaim.
#[test]
fn a_notifier_ends_with_the_recovery() {
    let agent = Agent::new("", &[]);
    assert_eq!(agent.act("start").0, 0);
    agent.node.dir.write("nfsd/nlm_set_igrace", "1234 0\n");
    for _ in 0..100 {
        if !agent.notifier_lives() {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("it lives");
}

/// What recovers, or is released, here may be of a time before the filesystem was elsewhere.
#[test]
fn start_goes_on_with_nothing_that_is_old() {
    let unit = "left=60 reclaimed=1 refused=0 waits=0 manifest=9 outstanding=5";
    for (phase, floating) in [
        ("recovering", &[ELSEWHERE][..]),
        ("recovering", &[]),
        ("recovered", &[]),
        ("released", &[]),
        ("released", &[ELSEWHERE]),
    ] {
        let agent = Agent::new(&format!("unit fsid=1234 phase={phase} {unit}"), floating);
        agent.has_list(MANIFEST);
        // Unlike a kernel, ours takes a moment: rpc.statd has ten clients to forget meanwhile, each of
        // which takes it a tenth of a second, unless it was told before.
        agent.node.services.slow(100_024);
        for client in 0..10 {
            agent.node.dir.write(
                &format!("statd/sm/c{client}"),
                &format!("0100007f 000186b5 00000003 00000010 ab 10.77.0.{client} {ELSEWHERE}\n"),
            );
        }
        let (exit, why) = agent.act("start");
        assert_eq!(exit, 0, "{phase} {floating:?} {why}");
        assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "1234\n");
        if floating.is_empty() {
            assert_eq!(agent.node.dir.read("nfsd/lock_manifest"), MANIFEST);
        }
    }
}

#[test]
fn start_of_what_is_served_does_nothing() {
    let agent = Agent::at(HERE, "", &[HERE]);
    assert_eq!(agent.act("start").0, 0);
    assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "");
}

#[test]
fn start_needs_the_module() {
    let agent = Agent::new("", &[]);
    agent.has_no_module();
    let (exit, why) = agent.act("start");
    assert_eq!(exit, code(Code::Installed), "{why}");
    assert!(why.contains("has no module nfs_failover"), "{why}");
    assert_eq!(agent.node.dir.read("nfsd/cmd.modprobe"), "nfs_failover\n");
    // It says that it was loaded, and is not there.
    agent.node.fake(&["modprobe"], "");
    assert_eq!(agent.act("start").0, code(Code::Generic));
    assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "");
}

#[test]
fn start_needs_its_place_in_the_group() {
    let agent = Agent::at(HERE, "", &[]);
    let (exit, why) = agent.act("start");
    assert_eq!(exit, code(Code::Arguments), "{why}");
    assert!(why.contains("in front of its addresses"), "{why}");
    let agent = Agent::new("", &[]);
    agent.node.dir.write("statd/etab", "");
    let (exit, why) = agent.act("start");
    assert_eq!(exit, code(Code::Generic), "{why}");
    assert!(why.contains("is not exported"), "{why}");
    agent.node.dir.write("mountinfo", "");
    let (exit, why) = agent.act("start");
    assert_eq!(exit, code(Code::Generic), "{why}");
    assert!(why.contains("is not mounted"), "{why}");
    assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "");
}

/// By another address of the node: the filesystem is exported before the recovery begins.
#[test]
fn start_refuses_what_somebody_has_already() {
    let refused = |agent: &Agent, words: &str| {
        agent.has_list(MANIFEST);
        let (exit, why) = agent.act("start");
        assert_eq!(exit, code(Code::Generic), "{why}");
        assert!(why.contains(words), "{why}");
        assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "");
        assert_eq!(agent.list(), MANIFEST);
    };
    let unit = "unit fsid=1234 phase=recovering left=60 reclaimed=0 refused=0 waits=0";
    for (unit, floating) in [("", &[][..]), (unit, &[ELSEWHERE])] {
        let agent = Agent::new(unit, floating);
        agent.holds("08:01");
        refused(&agent, "1 locks of NFSv3 clients");
    }
    let agent = Agent::new("", &[]);
    let states = "- 0x1: { type: open, superblock: \"08:01:13\", owner: \"x\" }\n";
    agent.node.dir.write("nfsd/clients/7/states", states);
    refused(&agent, "NFSv4 client");
    // Of others.
    let other = states.replace("08:01", "08:02");
    agent.node.dir.write("nfsd/clients/7/states", &other);
    agent.holds("08:02");
    assert_eq!(agent.act("start").0, 0);
    let agent = Agent::new("", &[ELSEWHERE]);
    fs::remove_file(agent.node.dir.path("root/proc/locks")).unwrap();
    refused(&agent, "cannot be seen whether");
}

#[test]
fn start_fails_on_a_node_that_cannot_serve() {
    let agent = Agent::new("", &[]);
    agent.has_list(MANIFEST);
    agent.node.services.gone(100_024);
    let (exit, why) = agent.act("start");
    assert_eq!(exit, code(Code::Generic), "{why}");
    assert!(why.contains("rpc.statd is not running"), "{why}");
    // Nothing was begun, nothing is lost.
    assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
    assert_eq!(agent.act("stop").0, 0);
    assert_eq!(agent.list(), MANIFEST);
}

/// lockd has one thread, which waits for statd's callout for each client that is new.
#[test]
fn start_waits_for_a_busy_lockd() {
    let agent = Agent::new("", &[]);
    agent.node.services.silent(100_021);
    let services = agent.node.services.clone();
    let busy = std::thread::spawn(move || {
        sleep(Duration::from_secs(7));
        services.loud(100_021);
    });
    let (exit, why) = agent.act("start");
    assert_eq!((exit, why.as_str()), (0, ""));
    busy.join().unwrap();
    // For half of its time.
    let agent = Agent::new("", &[]);
    agent.node.services.silent(100_021);
    let (exit, why) = agent.act("start");
    assert_eq!(exit, code(Code::Generic), "{why}");
    assert!(why.contains("lockd is not running"), "{why}");
    // Others reclaim, for however long that takes.
    let unit = "unit fsid=1235 phase=recovering left=60 reclaimed=0 refused=0 waits=0";
    let agent = Agent::new(unit, &[]);
    agent.node.services.silent(100_021);
    let (exit, why) = agent.act("start");
    assert_eq!((exit, why.as_str()), (0, ""));
}

/// A list of another filesystem cannot be used, and one that stays would be found again.
#[test]
fn start_leaves_no_list_behind() {
    let agent = Agent::new("", &[]);
    agent.has_list(&MANIFEST.replace("fsid=1234", "fsid=1235"));
    let (exit, why) = agent.act("start");
    assert_eq!((exit, agent.list().as_str()), (0, ""), "{why}");
    assert_eq!(agent.node.dir.read("nfsd/lock_manifest"), "");
}

/// Read-only, or damaged: who removes nothing would find it again at the next start.
#[test]
fn start_fails_beside_a_list_that_stays() {
    let agent = Agent::new("", &[]);
    agent.has_list(MANIFEST);
    let script = agent.node.script(
        "mount --bind srv/.nsm/manifest srv/.nsm/manifest
        export PATH=$PWD/bin:$PATH OCF_RESKEY_service=s1
        $CTL $OPTIONS --quiet ocf start || exit $?",
    );
    let Some(ran) = as_root(&[], &script, &agent.node.dir.path("")) else {
        return;
    };
    assert_eq!(ran.exit, code(Code::Generic), "{ran:?}");
    assert!(ran.err.contains("is still there"), "{ran:?}");
}

#[test]
fn notify_only_tells_who_can_reclaim() {
    let recovering = "unit fsid=1234 phase=recovering left=60 reclaimed=0 refused=0 waits=0";
    let with = |ip: &str, unit: &str, floating: &[&str]| {
        let agent = Agent::at(ip, unit, floating);
        agent
            .node
            .dir
            .write(&format!("srv/.nsm/{ip}/clients/10.77.0.13"), "");
        let short = [("OCF_RESKEY_notify_timeout", "1")];
        let (exit, why) = agent.act_with("notify", &short);
        let sent = agent.node.dir.path(&format!("srv/.nsm/{ip}/state"));
        (exit, sent.exists(), why)
    };
    let generic = code(Code::Generic);
    for (ip, unit, floating, words) in [
        (ELSEWHERE, recovering, &[ELSEWHERE][..], "nothing was sent"),
        (HERE, "", &[HERE], "nothing was sent"),
        (HERE, recovering, &[], "nothing was sent"),
        (
            HERE,
            &recovering.replace("recovering", "released"),
            &[HERE],
            "nothing was sent",
        ),
    ] {
        let (exit, sent, why) = with(ip, unit, floating);
        assert_eq!((exit, sent), (generic, false), "{why}");
        assert!(why.contains(words), "{why}");
    }
    // It is told, and does not answer.
    let (exit, sent, why) = with(HERE, recovering, &[HERE]);
    assert_eq!((exit, sent), (generic, true), "{why}");
    assert!(why.contains("0 of 1 clients"), "{why}");
    // Of other resources there is nothing to be told.
    let agent = Agent::new("", &[]);
    let others = [("OCF_RESKEY_CRM_meta_notify_type", "pre")];
    assert_eq!(agent.act_with("notify", &others).0, 0);
}
