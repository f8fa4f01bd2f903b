// SPDX-License-Identifier: GPL-2.0-only

//! Two filesystems behind one address: one resource is for both.

use super::kernel::Kernel;
use super::{
    code,
    Agent,
    MANIFEST, //
};
use crate::common::{
    Node,
    ELSEWHERE,
    HERE, //
};
use crate::group::{
    beside,
    mark,
    marks, //
};
use nfs_failoverctl::config::Config;
use nfs_failoverctl::ocf::judge::{
    of_all,
    State, //
};
use nfs_failoverctl::ocf::services;
use nfs_failoverctl::ocf::Code;
use std::fs;
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

const SECOND: &str = "203.0.113.78";

fn unit(fsid: u32, words: &str) -> String {
    format!("unit fsid={fsid} {words} left=60 reclaimed=0 refused=0 waits=0")
}

impl Agent {
    pub(super) fn pair(unit: &str, floating: &[&str]) -> Self {
        Self::pair_at(ELSEWHERE, unit, floating)
    }

    pub(super) fn pair_at(ip: &str, unit: &str, floating: &[&str]) -> Self {
        let node = Node::new(ip, "");
        node.dir.write("root/proc/locks", "");
        node.dir.write("root/sys/module/lockd/refcnt", "1");
        node.dir.write("root/proc/88/comm", "lockd\n");
        beside(&node, ip);
        if !floating.is_empty() {
            marks(&node, &["1234", "5678"], ip);
        }
        node.fake(&["modprobe"], "exit 1");
        node.has_manifest();
        let kernel = Kernel::start(&node, &["1234", "5678"], unit, floating);
        Self {
            node,
            _kernel: kernel,
        }
    }

    pub(super) fn lists(&self) -> [String; 2] {
        ["srv", "srv2"].map(|path| self.node.dir.read(&format!("{path}/.nsm/manifest")))
    }

    fn has_lists(&self, first: &str, second: &str) {
        for (path, text) in [("srv", first), ("srv2", second)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
        {
            self.node.dir.write(&format!("{path}/.nsm/manifest"), text);
        }
    }

    /// s2 was written into the file since the takeover.
    fn second_is_new(&self) {
        fs::remove_file(self.node.dir.path(&mark("5678"))).unwrap();
    }

    /// Something was done to a filesystem of s2 without us.
    fn without(&self, file: &str) {
        let text = self.node.dir.read(file);
        let srv2 = self.node.dir.path("srv2").display().to_string();
        let left = text.split_inclusive('\n');
        let left: String = left.filter(|line| !line.contains(&srv2)).collect();
        self.node.dir.write(file, &left);
    }
}

fn of_second(list: &str) -> String {
    list.replace("fsid=1234", "fsid=5678")
}

#[test]
fn both_are_taken_over_and_released() {
    let agent = Agent::pair("", &[]);
    agent.has_lists(MANIFEST, &of_second(MANIFEST));
    assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
    let (exit, why) = agent.act("start");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.lists(), ["", ""]);
    let floating = agent.node.dir.read("nfsd/floating_ips");
    assert_eq!(floating.matches(ELSEWHERE).count(), 1, "{floating}");
    assert_eq!(agent.act("monitor").0, code(Code::Success));
    for path in ["srv", "srv2"] {
        let clients = format!("{path}/.nsm/{ELSEWHERE}/clients");
        assert!(agent.node.dir.path(&clients).is_dir(), "{path}");
    }
    agent.node.has_manifest();
    let (exit, why) = agent.act_with("stop", &[("OCF_RESKEY_service", "s2")]);
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.node.dir.read("nfsd/floating_ips"), "");
    assert_eq!(agent.lists(), [MANIFEST, MANIFEST]);
    assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
    assert!(["1234", "5678"].map(|fsid| agent.node.dir.path(&mark(fsid)).exists()) == [false; 2]);
}

#[test]
fn start_needs_both() {
    for (file, words) in [
        ("mountinfo", "srv2 is not mounted"),
        ("statd/etab", "srv2 is not exported"),
    ] {
        let agent = Agent::pair("", &[]);
        agent.without(file);
        let (exit, why) = agent.act("start");
        assert_eq!(exit, code(Code::Generic), "{why}");
        assert!(why.contains(words), "{why}");
        assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "");
    }
    // A client has got something on the second one already.
    let agent = Agent::pair("", &[]);
    agent.holds("08:02");
    let (exit, why) = agent.act("start");
    assert!(exit == code(Code::Generic) && why.contains("srv2"), "{why}");
}

#[test]
fn half_of_it_does_not_run() {
    // It is exported still.
    let agent = Agent::pair("", &[ELSEWHERE]);
    agent.without("mountinfo");
    assert_eq!(agent.act("monitor").0, code(Code::Generic));
    let released = unit(5678, "phase=released");
    let agent = Agent::pair(&released, &[ELSEWHERE]);
    let (exit, why) = agent.act("monitor");
    assert_eq!(exit, code(Code::Generic), "{why}");
    assert!(why.contains("has not been finished"), "{why}");
}

/// Who edits the file ends nothing by that.
#[test]
fn a_filesystem_is_written_into_the_file() {
    let agent = Agent::pair("", &[ELSEWHERE]);
    agent.second_is_new();
    agent.without("mountinfo");
    agent.without("statd/etab");
    let (exit, why) = agent.act("monitor");
    assert_eq!(exit, code(Code::Degraded), "{why}");
    assert!(why.contains("srv2 is of this resource now"), "{why}");
    // Clients have something on what is not mounted any more.
    agent.holds("08:02");
    assert_eq!(agent.act("monitor").0, code(Code::Generic));
    agent.holds("");
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.lists(), [MANIFEST, ""]);
    assert_eq!(agent.node.dir.read("nfsd/floating_ips"), "");
}

/// It is mounted and exported already. What clients have got there since is not what all of them have, and the
/// list of its last node is not either.
#[test]
fn a_filesystem_waits_for_its_takeover_beside_the_other() {
    let agent = Agent::pair("", &[ELSEWHERE]);
    agent.second_is_new();
    agent.has_lists("", "an old one");
    let (exit, why) = agent.act("monitor");
    assert_eq!(exit, code(Code::Degraded), "{why}");
    assert!(why.contains("srv2 is of this resource now"), "{why}");
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.lists(), [MANIFEST, ""]);
}

/// Whoever edits the address of the first as well, or gives it one more, ends nothing either.
#[test]
fn addresses_and_a_filesystem_are_written_into_the_file() {
    let new = "203.0.113.78";
    for one_more in [false, true] {
        let agent = Agent::pair("", &[ELSEWHERE]);
        agent.second_is_new();
        agent.without("mountinfo");
        agent.without("statd/etab");
        let file = agent.node.dir.read("config");
        let edited = match one_more {
            false => file.replace(ELSEWHERE, new),
            true => {
                let first = file.split("[[service]]").nth(1).unwrap();
                let first = first.replace("\"s1\"", "\"s1-0\"").replace(ELSEWHERE, new);
                format!("{file}[[service]]{first}")
            }
        };
        agent.node.dir.write("config", &edited);
        let (exit, why) = agent.act("monitor");
        assert_eq!(exit, code(Code::Degraded), "{one_more} {why}");
        if one_more {
            // Our kernel does not hear what is said at once of two.
            continue;
        }
        let (exit, why) = agent.act("stop");
        assert_eq!((exit, why.as_str()), (0, ""));
        assert_eq!(agent.node.dir.read("nfsd/floating_ips"), "");
    }
}

/// The address of the first was written for the second, which clients use by its own. It is seen although
/// that of the first is served, and nothing is dropped under them.
#[test]
fn the_address_of_the_other_is_written_for_the_second() {
    let agent = Agent::pair("", &[ELSEWHERE, HERE]);
    marks(&agent.node, &["5678"], HERE);
    let (exit, why) = agent.act("monitor");
    assert_eq!(exit, code(Code::Degraded), "{why}");
    let named = format!("srv2 was taken over by {HERE}");
    assert!(why.contains(&named), "{why}");
    let before = agent.node.dir.read("nfsd/nlm_unlock");
    let (exit, why) = agent.act("stop");
    assert_eq!(exit, code(Code::Generic), "{why}");
    assert!(why.contains(&format!("take {HERE} down first")), "{why}");
    assert_eq!(agent.node.dir.read("nfsd/nlm_unlock"), before);
    // It is down.
    let agent = Agent::pair("", &[ELSEWHERE, SECOND]);
    marks(&agent.node, &["5678"], SECOND);
    agent.statd_takes_its_time();
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.lists(), [MANIFEST, MANIFEST]);
    assert_eq!(agent.node.dir.read("nfsd/floating_ips"), "");
}

/// What is slow has half of the time for all of them, not each.
#[test]
fn a_busy_lockd_is_waited_for_once() {
    let agent = Agent::pair("", &[]);
    let services = agent.node.services.clone();
    services.silent(100_021);
    let begun = Instant::now();
    let busy = thread::spawn(move || {
        thread::sleep(Duration::from_secs(7));
        services.once(100_021);
    });
    let (exit, why) = agent.act("start");
    let took = begun.elapsed();
    busy.join().unwrap();
    assert_eq!(exit, code(Code::Generic), "{why}");
    assert!(why.contains("lockd is not running"), "{why}");
    // The first one got its answer, and the second one no more than what was left, and the last try.
    assert!((7..16).contains(&took.as_secs()), "{took:?}");
}

/// It was killed after the list of the first was written.
#[test]
fn stop_goes_on_with_the_second() {
    let own = MANIFEST.replace("locks=2", "locks=2 ");
    let units = [unit(1234, "phase=released"), unit(5678, "phase=released")].join("\n");
    let agent = Agent::pair(&units, &[ELSEWHERE]);
    agent.has_lists(&own, "");
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.lists(), [own.as_str(), MANIFEST]);
}

/// A start failed when the recovery of the first had begun: the lists of both are what clients have.
#[test]
fn stop_of_a_failed_start_keeps_both_lists() {
    let agent = Agent::pair(&unit(1234, "phase=recovering"), &[]);
    let second = of_second(MANIFEST);
    agent.has_lists(MANIFEST, &second);
    agent.node.dir.write("nfsd/lock_manifest", "");
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.lists(), [MANIFEST, second.as_str()]);
    assert!(agent.node.dir.read("nfsd/nlm_unlock").starts_with("xxx"));
    assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "1234 0\n");
}

/// Whoever edits the path of one of them ends neither, and both are stopped where they are.
#[test]
fn another_path_is_written_for_the_second() {
    let agent = Agent::pair("", &[ELSEWHERE]);
    let file = agent.node.dir.read("config");
    let edited = file.replace("/srv2\"", "/srv-new\"");
    agent.node.dir.write("config", &edited);
    let (exit, why) = agent.act("monitor");
    assert_eq!(exit, code(Code::Degraded), "{why}");
    assert!(why.contains("path of the configuration file"), "{why}");
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.lists(), [MANIFEST, MANIFEST]);
    assert_eq!(agent.node.dir.read("nfsd/floating_ips"), "");
}

/// The addresses stay as the trace of what cannot be told, however often it is tried, and nothing is done
/// to the other one.
#[test]
fn stop_of_one_that_is_unmounted_from_a_disk_that_nobody_knows() {
    for also in ["", "statd/etab"] {
        stop_without_disk(also);
    }
}

fn stop_without_disk(also: &str) {
    let agent = Agent::pair("", &[ELSEWHERE]);
    agent.without("mountinfo");
    // Nothing of it is left, but it was taken over here.
    if !also.is_empty() {
        agent.without(also);
    }
    assert_eq!(agent.act("monitor").0, code(Code::Generic));
    let disk = agent.node.dir.path("sdy").display().to_string();
    let file = agent.node.dir.read("config");
    let unknown = file.replace(&format!("device = \"{disk}\"\n"), "");
    agent.node.dir.write("config", &unknown);
    for _ in 0..2 {
        let (exit, why) = agent.act("stop");
        assert_eq!(exit, code(Code::Generic), "{why}");
        assert!(why.contains("is still in use cannot be seen"), "{why}");
        assert!(agent.node.dir.read("nfsd/floating_ips").contains(ELSEWHERE));
    }
    let unlock = agent.node.dir.read("nfsd/nlm_unlock");
    assert!(unlock.starts_with("5678 fence="), "{unlock}");
    agent.node.dir.write("config", &file);
    agent.node.has_manifest();
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.node.dir.read("nfsd/floating_ips"), "");
    assert!(!agent.node.dir.path(&mark("5678")).exists());
}

/// A start was killed before it came to the list of the second, which is what its clients have still. Those
/// of the first, whose recovery is over, are listed as long as the address is there.
#[test]
fn what_is_taken_back_takes_nothing_from_the_list_of_the_other() {
    let agent = Agent::pair(&unit(5678, "phase=recovering"), &[ELSEWHERE]);
    let second = of_second(MANIFEST);
    agent.has_lists("", &second);
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.lists(), [MANIFEST, second.as_str()]);
    assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "5678 0\n");
}

/// What is held on what is not mounted is of neither of them.
#[test]
fn a_probe_does_not_fail_for_others() {
    let agent = Agent::pair("", &[]);
    let other = "30 1 8:3 / /other rw - ext4 /dev/sdx rw\n";
    agent.node.dir.write("mountinfo", other);
    agent.holds("08:04");
    assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
    let repeated = [("OCF_RESKEY_CRM_meta_interval", "10000")];
    let (exit, why) = agent.act_with("monitor", &repeated);
    assert_eq!(exit, code(Code::Generic), "{why}");
}

/// Clients can reclaim on one of them only: nobody told them in time.
#[test]
fn that_nobody_tells_the_clients_of_both_is_seen() {
    let recovers = unit(5678, "phase=recovering");
    for (unit, exit) in [(recovers.as_str(), Code::Degraded), ("", Code::Success)] {
        let agent = Agent::pair_at(HERE, unit, &[HERE]);
        let (seen, why) = agent.act("monitor");
        assert_eq!(seen, code(exit), "{why}");
        assert_eq!(why.contains("nobody tells them"), !unit.is_empty(), "{why}");
    }
}

/// The first one had NFSv4 clients only, who are through.
#[test]
fn clients_of_both_are_told_when_one_is_through() {
    for (fsids, exit) in [(&["1234", "5678"][..], 0), (&["5678"], 1)] {
        let agent = Agent::pair_at(HERE, &unit(5678, "phase=recovering"), &[HERE]);
        for fsid in ["1234", "5678"] {
            fs::remove_file(agent.node.dir.path(&mark(fsid))).unwrap();
        }
        marks(&agent.node, fsids, HERE);
        for path in ["srv", "srv2"] {
            let clients = format!("{path}/.nsm/{HERE}/clients");
            fs::create_dir_all(agent.node.dir.path(&clients)).unwrap();
        }
        let (seen, why) = agent.act("notify");
        assert_eq!(seen, exit, "{why}");
        assert_eq!(why.contains("does not recover here"), exit == 1, "{why}");
    }
}

#[test]
fn what_several_are_together() {
    use State::{
        Running,
        Stopped, //
    };
    let broken = || State::Broken("b".into());
    let edited = || State::Edited("e".into());
    let unseen = || State::Unseen("u".into());
    for (all, wanted) in [
        (vec![Running, Running], Running),
        (vec![Stopped, Stopped], Stopped),
        (vec![Running, edited()], edited()),
        (vec![Running, broken(), edited()], broken()),
        (vec![Stopped, broken()], broken()),
        (vec![broken(), unseen()], unseen()),
    ] {
        assert_eq!(of_all(&all), wanted, "{all:?}");
    }
    for other in [Running, edited()] {
        assert!(matches!(of_all(&[Stopped, other]), State::Broken(_)));
    }
}

#[test]
fn all_that_shares_an_address_is_one_resource() {
    let service = |name: &str, path: &str, fsid: &str, ip: &str| {
        format!("[[service]]\nname = \"{name}\"\npath = \"{path}\"\n{fsid}ip = \"10.0.0.{ip}\"\n")
    };
    let first = service("s1", "/srv/s1", "fsid = \"1\"\n", "1");
    let of = |more: &str| {
        let config = Config::parse(&(first.clone() + more)).unwrap();
        services::of(&config, "s1")
            .map(|found| {
                found
                    .into_iter()
                    .map(|service| service.name)
                    .collect::<Vec<_>>()
            })
            .map_err(|answer| answer.reason)
    };
    let second = service("s2", "/srv/s2", "fsid = \"2\"\n", "1");
    assert_eq!(of(&second).unwrap(), ["s1", "s2"]);
    // One of others concerns nobody.
    let others = service("s8", "/srv/s8", "", "8") + &service("s8", "/srv/s9", "", "9");
    assert_eq!(of(&others).unwrap(), ["s1"]);
    for (more, words) in [
        (service("s2", "/srv/s2", "", "1"), "s2 has no fsid"),
        (second.replace("\"s2\"", "\"s1\""), "have the name \"s1\""),
        (
            second.clone() + &second.replace("/srv/s2", "/srv/s3"),
            "have the name \"s2\"",
        ),
        (
            service("s2", "/srv/s1", "fsid = \"1\"\n", "1"),
            "the same path and the same ip",
        ),
        (
            service("s2", "/srv/s1", "fsid = \"2\"\n", "2"),
            "another fsid",
        ),
        (
            second + "state_dir = \"/srv/s1/.nsm\"\n",
            "the same state_dir",
        ),
    ] {
        let why = of(&more).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}
