// SPDX-License-Identifier: GPL-2.0-only

//! The configuration file was edited while something was served. Who does that ends nothing, and nothing
//! is dropped under clients who use what was there before.

use super::{
    code,
    Agent,
    MANIFEST, //
};
use crate::common::{
    ELSEWHERE,
    HERE,
    OTHER_BOOT, //
};
use crate::group::{
    mark,
    marks,
    without_second, //
};
use nfs_failoverctl::ocf::Code;
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

/// The address that was written into the file.
const NEW: &str = "203.0.113.78";

/// Of which what is slow may have half.
const LONG: [(&str, &str); 1] = [("OCF_RESKEY_CRM_meta_timeout", "20000")];

impl Agent {
    fn replaces(&self, old: &str, new: &str) {
        let file = self.node.dir.read("config");
        self.node.dir.write("config", &file.replace(old, new));
    }

    /// It is seen, and nothing is begun or ended.
    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        let files = ["nlm_unlock", "nlm_set_igrace", "floating_ips"];
        let look = || files.map(|file| self.node.dir.read(&format!("nfsd/{file}")));
        let before = look();
        for (action, wanted) in [
            ("monitor", Code::Degraded),
            ("stop", Code::Generic),
            ("start", Code::Generic),
        ] {
            let (exit, why) = self.act(action);
            assert_eq!(exit, code(wanted), "{action}: {why}");
            for word in words {
                assert!(why.contains(word), "{action}: {word}: {why}");
            }
            assert_eq!(look(), before, "{action}");
        }
    }
}

/// The one of before is up: clients have their locks by it.
#[test]
fn another_address_is_written_into_the_file() {
    for several in [false, true] {
        let agent = match several {
            true => Agent::pair_at(HERE, "", &[HERE]),
            false => Agent::at(HERE, "", &[HERE]),
        };
        marks(&agent.node, &["1234"], HERE);
        agent.replaces(HERE, NEW);
        let (exit, why) = agent.act("monitor");
        assert_eq!(exit, code(Code::Degraded), "{why}");
        assert!(why.contains(HERE), "{why}");
        let before = agent.node.dir.read("nfsd/nlm_unlock");
        for action in ["stop", "start"] {
            let (exit, why) = agent.act(action);
            assert_eq!(exit, code(Code::Generic), "{action}: {why}");
            assert!(
                why.contains(&format!("take {HERE} down first")),
                "{action}: {why}"
            );
        }
        assert_eq!(agent.node.dir.read("nfsd/nlm_unlock"), before);
        assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "");
        assert!(agent.node.dir.read("nfsd/floating_ips").contains(HERE));
    }
}

/// So it is if that is by now the address of something else, whose it looks like then.
#[test]
fn the_address_of_before_is_written_for_another_filesystem() {
    let agent = Agent::at(HERE, "", &[HERE]);
    marks(&agent.node, &["1234"], HERE);
    let file = agent.node.dir.read("config");
    let first = &file[file.find("[[service]]").unwrap()..];
    let other = first
        .replace("\"s1\"", "\"s9\"")
        .replace("/srv\"", "/srv9\"")
        .replace("1234", "9");
    agent.replaces(HERE, NEW);
    let edited = agent.node.dir.read("config");
    agent.node.dir.write("config", &format!("{edited}{other}"));
    agent.refuses(&[&format!("take {HERE} down first")]);
}

/// It is exported still, and would be left behind the address that goes.
#[test]
fn a_filesystem_is_taken_out_of_the_file() {
    for (from, to) in [(ELSEWHERE, ELSEWHERE), (ELSEWHERE, NEW)] {
        let agent = Agent::pair("", &[ELSEWHERE]);
        without_second(&agent.node);
        agent.replaces(from, to);
        let file = agent.node.dir.path(&mark("5678")).display().to_string();
        let (exit, why) = agent.act("monitor");
        assert_eq!(exit, code(Code::Degraded), "{why}");
        let before = agent.node.dir.read("nfsd/nlm_unlock");
        let (exit, why) = agent.act("stop");
        assert_eq!(exit, code(Code::Generic), "{why}");
        assert!(why.contains(&file) && why.contains("fsid 5678"), "{why}");
        assert_eq!(agent.node.dir.read("nfsd/nlm_unlock"), before);
        assert!(agent.node.dir.read("nfsd/floating_ips").contains(ELSEWHERE));
    }
    let agent = Agent::pair("", &[ELSEWHERE]);
    without_second(&agent.node);
    agent.refuses(&["fsid 5678"]);
    // It is not of this boot.
    let old = format!("{OTHER_BOOT}\n1\nip={ELSEWHERE}\n");
    agent.node.dir.write(&mark("5678"), &old);
    let (_, why) = agent.act("monitor");
    assert!(!why.contains("5678"), "{why}");
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.lists(), [MANIFEST, ""]);
    // Of what others have here nobody is kept from anything.
    let agent = Agent::pair("", &[ELSEWHERE]);
    marks(&agent.node, &["9"], NEW);
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
}

/// A mark alone, as of what was released by hand, is no reason to fence a node.
#[test]
fn what_is_not_here_any_more_is_not_left_behind() {
    let gone = |unit: &str| {
        let agent = Agent::new(unit, &[ELSEWHERE]);
        agent.node.has_manifest();
        marks(&agent.node, &["1234", "5678"], ELSEWHERE);
        agent
    };
    let agent = gone("");
    let (_, why) = agent.act("monitor");
    assert!(!why.contains("5678"), "{why}");
    let (exit, why) = agent.act("stop");
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.list(), MANIFEST);
    let (_, why) = gone("").act("start");
    assert!(!why.contains("5678"), "{why}");
    // It is exported, or was used by a client.
    for file in [
        "root/var/lib/nfs/etab",
        "root/proc/net/rpc/nfsd.export/content",
    ] {
        let agent = gone("");
        agent.node.dir.write(file, "/srv8\t*(rw,fsid=5678)\n");
        agent.refuses(&["fsid 5678"]);
    }
    // It has a unit.
    let agent = gone("unit fsid=5678 phase=recovered left=9");
    agent.refuses(&["fsid 5678"]);
    // It is a UUID, which an export without fsid= may have.
    let file = mark("00112233-4455-6677-8899-aabbccddeeff");
    for (etab, is_here) in [("", false), ("/srv8\t*(rw)\n", true)] {
        let agent = gone("");
        let etab = agent.node.dir.read("statd/etab") + etab;
        agent.node.dir.write("statd/etab", &etab);
        let from = agent.node.dir.path(&mark("5678"));
        std::fs::rename(from, agent.node.dir.path(&file)).unwrap();
        let (exit, why) = agent.act("stop");
        assert_eq!(exit != 0, is_here, "{why}");
    }
    // It is mounted where the configuration file has it, by another address.
    for is_mounted in [true, false] {
        let agent = Agent::pair("", &[ELSEWHERE]);
        let file = agent.node.dir.read("config");
        let at = file.rfind("[[service]]").unwrap();
        let edited = file[..at].to_string() + &file[at..].replace(ELSEWHERE, NEW);
        agent.node.dir.write("config", &edited);
        for (file, lines) in [
            ("statd/etab", 1),
            ("mountinfo", 1 + usize::from(is_mounted)),
        ] {
            let text = agent.node.dir.read(file);
            let text: String = text.split_inclusive('\n').take(lines).collect();
            agent.node.dir.write(file, &text);
        }
        let (exit, why) = agent.act("stop");
        assert_eq!(exit != 0, is_mounted, "{why}");
        assert_eq!(why.contains("fsid 5678"), is_mounted, "{why}");
    }
    // What cannot be seen may be here.
    let agent = gone("");
    std::fs::create_dir_all(agent.node.dir.path("root/var/lib/nfs/etab")).unwrap();
    let (exit, why) = agent.act("stop");
    assert!(exit != 0 && why.contains("fsid 5678"), "{why}");
}

/// So is the one by which the resource is named, while the others are served by that address.
#[test]
fn the_filesystem_that_is_named_is_taken_out_of_the_file() {
    let agent = Agent::pair_at(HERE, "", &[HERE]);
    let file = agent.node.dir.read("config");
    let sections: Vec<_> = file.split("[[service]]").collect();
    let edited = format!("{}[[service]]{}", sections[0], sections[2]);
    agent.node.dir.write("config", &edited);
    for action in ["stop", "start"] {
        let (exit, why) = agent.act(action);
        assert_ne!(exit, 0, "{action}: {why}");
    }
    let (_, why) = agent.act("stop");
    assert!(why.contains("fsid 1234"), "{why}");
    let repeated = [("OCF_RESKEY_CRM_meta_interval", "10000")];
    let (exit, why) = agent.act_with("monitor", &repeated);
    assert_eq!(exit, code(Code::Degraded), "{why}");
    // All that was taken over here is of others.
    let agent = Agent::pair_at(HERE, "", &[HERE]);
    let (exit, why) = agent.act_with("stop", &[("OCF_RESKEY_service", "s8")]);
    assert_eq!(exit, 0, "{why}");
}

/// What is fenced when it gives up waits for what may change by itself, as long as it may.
#[test]
fn a_stop_uses_its_time_before_it_fails() {
    // nfsd is forgetting what clients hold.
    let agent = Agent::pair("", &[ELSEWHERE]);
    agent.node.has_manifest();
    agent.holds("08:02");
    let file = agent.node.dir.path("root/proc/locks");
    let begun = Instant::now();
    let forgets = thread::spawn(move || {
        thread::sleep(Duration::from_secs(8));
        std::fs::write(file, "").unwrap();
    });
    let (exit, why) = agent.act_with("stop", &LONG);
    forgets.join().unwrap();
    assert_eq!((exit, why.as_str()), (0, ""));
    assert!(begun.elapsed() >= Duration::from_secs(8));
    // It does not wait for ever, and for each filesystem once.
    let agent = Agent::pair("", &[ELSEWHERE]);
    agent.node.has_manifest();
    agent.holds("08:02");
    let begun = Instant::now();
    let (exit, why) = agent.act_with("stop", &LONG);
    assert_eq!(exit, code(Code::Generic), "{why}");
    let took = begun.elapsed().as_secs();
    assert!((9..16).contains(&took), "{took}");
    // What cannot be seen may be seen in a moment.
    let agent = Agent::pair("", &[ELSEWHERE]);
    agent.node.has_manifest();
    let status = agent.node.dir.path("nfsd/failover_status");
    let good = std::fs::read_to_string(&status).unwrap();
    std::fs::write(&status, "").unwrap();
    let appears = thread::spawn(move || {
        thread::sleep(Duration::from_secs(2));
        std::fs::write(status, good).unwrap();
    });
    let (exit, why) = agent.act_with("stop", &LONG);
    appears.join().unwrap();
    assert_eq!((exit, why.as_str()), (0, ""));
    assert_eq!(agent.lists(), [MANIFEST, MANIFEST]);
}
