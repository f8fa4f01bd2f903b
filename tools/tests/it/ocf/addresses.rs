// SPDX-License-Identifier: GPL-2.0-only

//! One filesystem, several addresses: one resource is for all.

use super::{
    code,
    Agent,
    MANIFEST, //
};
use crate::common::{
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::ocf::Code;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

const SECOND: &str = "203.0.113.78";

impl Agent {
    fn with_second(self, ip: &str) -> Self {
        let file = self.node.dir.path("config");
        let text = fs::read_to_string(&file).unwrap();
        let first = text[text.find("[[service]]").unwrap()..].to_string();
        let second = first.replace(ELSEWHERE, ip).replace("\"s1\"", "\"s1-0\"");
        fs::write(&file, text + &second).unwrap();
        self.statd_takes_its_time();
        self
    }

    /// So that our kernel hears one after the other: for each address.
    pub(super) fn statd_takes_its_time(&self) {
        self.node.services.slow(100_024);
        for client in 0..6 {
            self.node.dir.write(
                &format!("statd/sm/c{client}"),
                &format!("0100007f 000186b5 00000003 00000010 ab 10.77.0.{client} {ELSEWHERE}\n"),
            );
        }
    }
}

#[test]
fn all_addresses_are_taken_over_and_released() {
    let agent = Agent::new("", &[]).with_second(SECOND);
    agent.has_list(MANIFEST);
    let (exit, why) = agent.act("start");
    assert_eq!((exit, why.as_str()), (0, ""));
    let floating = agent.node.dir.read("nfsd/floating_ips");
    assert!(floating.contains(ELSEWHERE) && floating.contains(SECOND));
    // The second has not begun the recovery anew, without the list.
    assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "1234\n");
    // Our kernel may not have heard it yet.
    let has_list = || {
        agent
            .node
            .dir
            .read("nfsd/failover_status")
            .contains("manifest=2")
    };
    assert!((0..100).any(|_| has_list() || {
        sleep(Duration::from_millis(50));
        false
    }));
    for ip in [ELSEWHERE, SECOND] {
        let clients = format!("srv/.nsm/{ip}/clients");
        assert!(agent.node.dir.path(&clients).is_dir(), "{ip}");
        let lock = format!("root/run/nfs-failover/notify-{ip}.lock");
        assert!(agent.node.dir.path(&lock).exists(), "{ip}");
    }
    agent.node.has_manifest();
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.node.dir.read("nfsd/floating_ips"), "");
    assert_eq!(agent.list(), MANIFEST);
}

#[test]
fn half_of_the_addresses_is_no_resource() {
    // It is up, and nobody records its clients.
    let agent = Agent::new("", &[ELSEWHERE]).with_second(HERE);
    let (exit, why) = agent.act("monitor");
    assert_eq!(exit, code(Code::Generic), "{why}");
    assert!(why.contains(HERE), "{why}");
    // One of them is up.
    let agent = Agent::new("", &[]).with_second(HERE);
    assert_eq!(agent.act("start").0, code(Code::Arguments));
    assert_eq!(agent.act("monitor").0, code(Code::Generic));
}

/// Who edits the file ends nothing by that, and nothing of before is forgotten.
#[test]
fn an_address_is_written_into_the_file() {
    let agent = Agent::at(HERE, "", &[HERE]);
    let file = agent.node.dir.path("config");
    let good = fs::read_to_string(&file).unwrap();
    let second = good[good.find("[[service]]").unwrap()..].to_string();
    let second = second.replace(HERE, SECOND).replace("\"s1\"", "\"s1-0\"");
    fs::write(&file, format!("{good}{second}")).unwrap();
    let (exit, why) = agent.act("monitor");
    assert_eq!(exit, code(Code::Degraded), "{why}");
    assert!(why.contains(SECOND), "{why}");
    assert_eq!(agent.act("start").0, code(Code::Success));
    // What is a failure stays one.
    agent.node.dir.write("nfsd/threads", "0\n");
    assert_eq!(agent.act("monitor").0, code(Code::Generic));
    // Instead of the one under which it was taken over, with and without locks.
    for held in ["", "08:01"] {
        let agent = Agent::new("", &[SECOND]);
        agent.holds(held);
        let (exit, why) = agent.act("monitor");
        assert_eq!(exit, code(Code::Degraded), "{why}");
        assert!(why.contains(SECOND), "{why}");
    }
    let agent = Agent::new("", &[SECOND]);
    agent.node.has_manifest();
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    // It may be of somebody else, so it cannot be told whether that is what clients have.
    assert_eq!(agent.list(), "");
    assert_eq!(agent.node.dir.read("nfsd/floating_ips"), "");
    assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
    // It is of somebody else: where nothing is exported, nothing is served.
    let agent = Agent::new("", &[SECOND]);
    agent.node.dir.write("statd/etab", "");
    assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
}

/// What is served is still where it is mounted, and that is where it is stopped.
#[test]
fn another_path_is_written_into_the_file() {
    for is_mounted in [false, true] {
        let agent = Agent::new("", &[ELSEWHERE]);
        agent.node.has_manifest();
        agent.holds("08:01");
        let file = agent.node.dir.path("config");
        let good = fs::read_to_string(&file).unwrap();
        fs::write(&file, good.replace("/srv\"", "/srv-new\"")).unwrap();
        if is_mounted {
            let there = agent.node.dir.path("srv-new").display().to_string();
            let mounts = agent.node.dir.read("mountinfo");
            let mounts = format!("{mounts}31 1 8:2 / {there} rw - ext4 /dev/sdy rw\n");
            agent.node.dir.write("mountinfo", &mounts);
        }
        let (exit, why) = agent.act("monitor");
        assert_eq!(exit, code(Code::Degraded), "{why}");
        assert!(why.contains("path of the configuration file"), "{why}");
        agent.drops_locks();
        let (exit, why) = agent.act("stop");
        assert_eq!((exit, why.as_str()), (0, ""));
        assert_eq!(agent.list(), MANIFEST);
        assert_eq!(agent.node.dir.read("nfsd/floating_ips"), "");
        assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
        // They were not dropped.
        let agent = Agent::new("", &[ELSEWHERE]);
        agent.node.has_manifest();
        agent.holds("08:01");
        let file = agent.node.dir.path("config");
        let good = fs::read_to_string(&file).unwrap();
        fs::write(&file, good.replace("/srv\"", "/srv-new\"")).unwrap();
        let (exit, why) = agent.act("stop");
        assert_eq!(exit, code(Code::Generic), "{why}");
    }
}

/// The address of another filesystem, which is in another file or in none, is not up yet.
#[test]
fn stop_leaves_the_addresses_of_others_alone() {
    let file = |agent: &Agent| agent.node.dir.read("nfsd/floating_ips");
    // Another address was written into the file, and it has its own.
    let agent = Agent::new("", &[ELSEWHERE, SECOND]).with_second("203.0.113.79");
    agent.node.has_manifest();
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert!(file(&agent).contains(SECOND) && !file(&agent).contains(ELSEWHERE));
    // Another filesystem recovers.
    let unit = "unit fsid=1235 phase=recovering left=60 reclaimed=0 refused=0 waits=0";
    let agent = Agent::new(unit, &[SECOND]);
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert!(file(&agent).contains(SECOND));
}
