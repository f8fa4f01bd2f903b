// SPDX-License-Identifier: GPL-2.0-only

//! `monitor`: what runs, what does not, and what cannot be seen.

use super::{
    code,
    Agent, //
};
use crate::common::{
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::ocf::Code;
use std::fs;

const REPEATED: [(&str, &str); 1] = [("OCF_RESKEY_CRM_meta_interval", "10000")];
const CLOSELY: [(&str, &str); 2] = [REPEATED[0], ("OCF_CHECK_LEVEL", "10")];

const RECOVERING: &str = "unit fsid=1234 phase=recovering left=60 reclaimed=0 refused=0 waits=0";
const RELEASED: &str =
    "unit fsid=1234 phase=released left=60 reclaimed=0 refused=0 waits=0 manifest=2";

#[track_caller]
fn expect(agent: &Agent, wanted: Code, words: &str) {
    for more in [&[][..], &REPEATED] {
        let (exit, why) = agent.act_with("monitor", more);
        assert_eq!(exit, code(wanted), "{why}");
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn what_is_served_runs() {
    expect(&Agent::new(RECOVERING, &[ELSEWHERE]), Code::Success, "");
    let agent = Agent::at(HERE, "", &[HERE]);
    expect(&agent, Code::Success, "");
    agent.holds("08:01");
    expect(&agent, Code::Success, "");
}

#[test]
fn what_is_seen_not_to_run_does_not() {
    expect(&Agent::new("", &[]), Code::NotRunning, "");
    expect(&Agent::new(RELEASED, &[]), Code::NotRunning, "");
    // Others are served.
    let agent = Agent::new("", &["203.0.113.78"]);
    let file = agent.node.dir.path("config");
    let text = fs::read_to_string(&file).unwrap();
    let other = text[text.find("[[service]]").unwrap()..].replace("/srv\"", "/srv2\"");
    let other = other
        .replace("\"s1\"", "\"s2\"")
        .replace(ELSEWHERE, "203.0.113.78");
    fs::write(&file, text + &other).unwrap();
    agent.holds("08:02");
    expect(&agent, Code::NotRunning, "");
    agent
        .node
        .dir
        .write("mountinfo", "30 1 8:2 / /other rw - ext4 /dev/sdy rw\n");
    expect(&agent, Code::NotRunning, "");
}

#[test]
fn what_is_half_here_is_broken() {
    let broken = |agent: &Agent, words| expect(agent, Code::Generic, words);
    broken(&Agent::new(RELEASED, &[ELSEWHERE]), "has not been finished");
    broken(&Agent::new(RECOVERING, &[]), "takeover was not finished");
    let agent = Agent::new("", &[]);
    agent.holds("08:01");
    broken(&agent, "1 locks of NFSv3 clients");
    broken(&Agent::at(HERE, "", &[]), "was not taken over");
    let agent = Agent::new("", &[ELSEWHERE]);
    agent.node.dir.write("mountinfo", "");
    broken(&agent, "not mounted any more");
    // It is unmounted, and lockd has it still.
    let agent = Agent::new("", &[]);
    agent
        .node
        .dir
        .write("mountinfo", "30 1 8:2 / /other rw - ext4 /dev/sdy rw\n");
    agent.holds("08:01");
    let (exit, why) = agent.act_with("monitor", &REPEATED);
    assert_eq!(exit, code(Code::Generic), "{why}");
    assert!(why.contains("1 locks of NFSv3 clients"), "{why}");
    // It was not expected here, the module does not know it, and its disk is free: it is another one.
    assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
    let file = agent.node.dir.read("config");
    let device = file.lines().find(|line| line.starts_with("device"));
    agent
        .node
        .dir
        .write("config", &file.replace(device.unwrap(), ""));
    broken(&agent, "1 locks of NFSv3 clients");
    let agent = Agent::new(RECOVERING, &[]);
    agent
        .node
        .dir
        .write("mountinfo", "30 1 8:2 / /other rw - ext4 /dev/sdy rw\n");
    broken(&agent, "takeover was not finished");
    // NFSv4 clients.
    let agent = Agent::new("", &[]);
    agent.node.dir.write(
        "nfsd/clients/7/states",
        "- 0x1: { type: open, superblock: \"08:01:13\", owner: \"x\" }\n",
    );
    broken(&agent, "NFSv4 client");
}

#[test]
fn what_cannot_be_seen_is_no_answer() {
    let cannot = |agent: &Agent| expect(agent, Code::Generic, "cannot be seen");
    let agent = Agent::new("", &[]);
    agent.node.dir.write("nfsd/failover_status", "");
    cannot(&agent);
    let agent = Agent::new("", &[]);
    agent.node.dir.write("nfsd/floating_ips", "ip=?\n");
    cannot(&agent);
    let agent = Agent::new("", &[]);
    fs::remove_file(agent.node.dir.path("mountinfo")).unwrap();
    cannot(&agent);
    let agent = Agent::new("", &[]);
    fs::remove_file(agent.node.dir.path("root/proc/locks")).unwrap();
    cannot(&agent);
    // Loaded, but its files are nowhere; or not even that is known.
    let agent = Agent::new("", &[]);
    agent.has_no_module();
    agent
        .node
        .dir
        .write("root/sys/module/nfs_failover/refcnt", "");
    cannot(&agent);
    fs::remove_dir_all(agent.node.dir.path("root/sys")).unwrap();
    cannot(&agent);
}

#[test]
fn a_node_without_module() {
    let agent = Agent::new("", &[]);
    agent.has_no_module();
    // There is none for this kernel: closed before it is needed.
    let (exit, why) = agent.act("monitor");
    assert_eq!(exit, code(Code::Installed), "{why}");
    assert!(why.contains("has no module nfs_failover"), "{why}");
    agent.node.fake(&["modprobe"], "");
    assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
    // It was unloaded, and what was served still is.
    agent.holds("08:01");
    assert_eq!(agent.act("monitor").0, code(Code::Generic));
    let agent = Agent::at(HERE, "", &[]);
    agent.has_no_module();
    assert_eq!(agent.act("monitor").0, code(Code::Generic));
}

/// nfsd was restarted, stopped, or nobody can come.
#[test]
fn what_serves_nobody_is_not_well() {
    let agent = Agent::at(HERE, "", &[HERE]);
    let totals = "totals units=0 hooks=live nmissed=0 taken_away=";
    agent
        .node
        .dir
        .write("nfsd/failover_status", &format!("{totals}2\n"));
    expect(&agent, Code::Degraded, "taken_away");
    agent
        .node
        .dir
        .write("nfsd/failover_status", &format!("{totals}0\n"));
    expect(&agent, Code::Success, "");
    agent.node.dir.write("nfsd/threads", "0\n");
    expect(&agent, Code::Generic, "nfsd has no threads");
    // It does not run: then nfsd is nothing to it.
    let agent = Agent::new("", &[]);
    agent.node.dir.write("nfsd/threads", "0\n");
    expect(&agent, Code::NotRunning, "");
    let agent = Agent::new("", &[ELSEWHERE]);
    expect(&agent, Code::Degraded, "is down, and its recovery is over");
}

#[test]
fn what_is_to_be_mended_does_not_end_it() {
    let agent = Agent::at(HERE, "", &[HERE]);
    agent
        .node
        .dir
        .write("root/proc/77/cmdline", "rpc.statd\0-H\0/bin/sh\0");
    expect(&agent, Code::Degraded, "is not nfs-failoverctl");
    let agent = Agent::at(HERE, "", &[HERE]);
    agent.node.dir.write(
        "nfsd/failover_status",
        "totals units=0 hooks=dead nmissed=0 taken_away=0\n",
    );
    expect(&agent, Code::Degraded, "hooks=dead");
    // rpc.statd does not answer, lockd does not: only the second is healed by a move.
    let agent = Agent::at(HERE, "", &[HERE]);
    agent.node.services.gone(100_024);
    expect(&agent, Code::Success, "");
    let (exit, why) = agent.act_with("monitor", &CLOSELY);
    assert_eq!(exit, code(Code::Degraded), "{why}");
    assert!(why.contains("rpc.statd is not running"), "{why}");
    agent.node.services.gone(100_021);
    let (exit, why) = agent.act_with("monitor", &CLOSELY);
    assert_eq!(exit, code(Code::Generic), "{why}");
}

/// lockd has one thread, which waits for statd's callout for each client that is new.
#[test]
fn a_busy_lockd_does_not_end_it() {
    let agent = Agent::at(HERE, "", &[HERE]);
    let services = agent.node.services.clone();
    services.silent(100_021);
    let busy = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(7));
        services.loud(100_021);
    });
    let (exit, why) = agent.act_with("monitor", &CLOSELY);
    assert_eq!((exit, why.as_str()), (0, ""));
    busy.join().unwrap();
    // It is silent for half of the time that the look may take.
    agent.node.services.silent(100_021);
    let short = [CLOSELY[0], CLOSELY[1], ("OCF_RESKEY_CRM_meta_timeout", "2")];
    let (exit, why) = agent.act_with("monitor", &short);
    assert_eq!(exit, code(Code::Generic), "{why}");
    // Somebody reclaims.
    let other = RECOVERING.replace("1234", "1235");
    let agent = Agent::at(HERE, &other, &[HERE]);
    agent.node.services.silent(100_021);
    let (exit, why) = agent.act_with("monitor", &CLOSELY);
    assert_eq!(exit, code(Code::Degraded), "{why}");
    assert!(why.contains("lockd is not running"), "{why}");
}
