// SPDX-License-Identifier: GPL-2.0-only

//! Whoever tells clients may fail, or die, and nobody reads what it says.

use super::{
    code,
    Agent, //
};
use crate::common::HERE;
use nfs_failoverctl::ocf::Code;
use std::fs;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

const RECOVERING: &str = "unit fsid=1234 phase=recovering left=60 reclaimed=0 refused=0 waits=0";

/// The process that start leaves behind.
fn notifier(agent: &Agent) -> Child {
    let mut command = agent.node.command();
    command
        .args(["--quiet", "ocf", "notify", "--wait"])
        .env("OCF_RESKEY_service", "s1")
        .env("NFS_FAILOVER_NOTIFY", "s1");
    command.spawn().unwrap()
}

#[test]
fn what_fails_is_tried_again() {
    let agent = Agent::at(HERE, RECOVERING, &[HERE]);
    // There is no directory of records.
    let mut child = notifier(&agent);
    sleep(Duration::from_millis(1500));
    assert_eq!(child.try_wait().unwrap(), None);
    // Somebody is at it.
    assert_eq!(agent.act("monitor").0, code(Code::Success));
    let clients = agent.node.dir.path(&format!("srv/.nsm/{HERE}/clients"));
    fs::create_dir_all(clients).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(agent.act("monitor").0, code(Code::Success));
}

#[test]
fn that_nobody_tells_them_is_seen() {
    let agent = Agent::at(HERE, RECOVERING, &[HERE]);
    let silent = |agent: &Agent| {
        let (exit, why) = agent.act("monitor");
        assert_eq!(exit, code(Code::Degraded), "{why}");
        assert!(why.contains("nobody tells them"), "{why}");
    };
    let mut child = notifier(&agent);
    sleep(Duration::from_millis(1500));
    child.kill().unwrap();
    child.wait().unwrap();
    silent(&agent);
    // By hand.
    let clients = agent.node.dir.path(&format!("srv/.nsm/{HERE}/clients"));
    fs::create_dir_all(clients).unwrap();
    assert_eq!(agent.act("notify").0, code(Code::Success));
    let (exit, why) = agent.act("monitor");
    assert_eq!((exit, why.as_str()), (0, ""));
    let mark = format!("root/run/nfs-failover/told-{HERE}");
    fs::remove_file(agent.node.dir.path(&mark)).unwrap();
    silent(&agent);
    // Clients cannot reclaim any more.
    let agent = Agent::at(HERE, "", &[HERE]);
    assert_eq!(agent.act("monitor").0, code(Code::Success));
}
