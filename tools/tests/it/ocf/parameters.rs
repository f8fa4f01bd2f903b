// SPDX-License-Identifier: GPL-2.0-only

//! What the cluster manager passes, and what the agent makes of what is wrong.

use super::{
    code,
    Agent, //
};
use crate::common::{
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::ocf::metadata;
use nfs_failoverctl::ocf::parameters::{
    Call,
    Parameters, //
};
use nfs_failoverctl::ocf::Code;
use std::fs;
use std::time::Duration;

fn parse(words: &[&str]) -> Result<Parameters, String> {
    Parameters::parse(&variables(words))
}

fn variables(words: &[&str]) -> Vec<(String, String)> {
    let split = |word: &&str| {
        let (name, value) = word.split_once('=').unwrap();
        (name.to_string(), value.to_string())
    };
    words.iter().map(split).collect()
}

#[test]
fn parameters_are_read() {
    let found = parse(&[
        "HOME=/root",
        "OCF_RESKEY_service= s1 ",
        "OCF_RESKEY_grace=45",
        "OCF_RESKEY_notify_timeout=10",
        "OCF_RESKEY_expire_nfs4=Yes",
        "OCF_RESKEY_config=/etc/x.toml",
        "OCF_RESKEY_CRM_meta_interval=10000",
        "OCF_RESKEY_crm_feature_set=3.20.0",
        "OCF_RESKEY_trace_ra=1",
        "OCF_RESKEY_trace_dir=/var/lib/heartbeat/trace_ra",
    ]);
    let found = found.unwrap();
    assert_eq!((found.service.as_str(), found.grace), ("s1", Some(45)));
    assert_eq!((found.notify_timeout, found.expire_nfs4), (10, true));
    assert_eq!(found.config.unwrap().to_str(), Some("/etc/x.toml"));
}

#[test]
fn parameters_that_are_wrong_are_refused() {
    let service = "OCF_RESKEY_service=s1";
    for (words, why) in [
        (&[][..], "service is not set"),
        (&["OCF_RESKEY_service= "], "service is not set"),
        (&[service, "OCF_RESKEY_serivce=s2"], "no parameter serivce"),
        (&[service, "OCF_RESKEY_Grace=9"], "no parameter Grace"),
        (&[service, "OCF_RESKEY_grace=0"], "grace is \"0\""),
        (&[service, "OCF_RESKEY_grace="], "grace is \"\""),
        (&[service, "OCF_RESKEY_grace=60s"], "without a unit"),
        (&[service, "OCF_RESKEY_config=x"], "beginning with /"),
        (&[service, "OCF_RESKEY_expire_nfs4=2"], "yes or no"),
    ] {
        let said = parse(words).unwrap_err();
        assert!(said.contains(why), "{words:?}: {said}");
    }
}

#[test]
fn a_look_is_a_probe_unless_it_is_repeated() {
    let probe = |words: &[&str]| Call::parse(&variables(words)).probe;
    assert!(probe(&[]));
    assert!(probe(&["OCF_RESKEY_CRM_meta_interval=0"]));
    assert!(probe(&["OCF_RESKEY_CRM_meta_interval=?"]));
    assert!(!probe(&["OCF_RESKEY_CRM_meta_interval=10000"]));
}

/// Others have the turn. Who waits for it longer than it has itself is killed, and the node is fenced.
#[test]
fn others_are_waited_for_as_long_as_there_is_time() {
    let turn = |words: &[&str]| Call::parse(&variables(words)).turn().as_secs();
    assert_eq!(turn(&[]), 480);
    assert_eq!(turn(&["OCF_RESKEY_CRM_meta_timeout=600000"]), 480);
    assert_eq!(turn(&["OCF_RESKEY_CRM_meta_timeout=120000"]), 60);
    let slow = |words: &[&str]| Call::parse(&variables(words)).slowness().as_secs();
    // All who wait for the turn wait so long, too.
    assert_eq!(slow(&[]), 60);
    assert_eq!(slow(&["OCF_RESKEY_CRM_meta_timeout=60000"]), 30);
    // A stop that fails has the node fenced, so it takes what is left.
    let stop = |spent| Call::parse(&variables(&[])).slowness_of_stop(Duration::from_secs(spent));
    assert_eq!(
        [0, 300, 480].map(|spent| stop(spent).as_secs()),
        [480, 180, 60]
    );
    let actions = metadata::text();
    for action in ["start", "stop"] {
        let line = format!("<action name=\"{action}\" timeout=\"600s\" />");
        assert!(actions.contains(&line), "{actions}");
    }
    let agent = Agent::new("", &[]);
    let lock = agent.node.dir.write("root/run/nfs-failover/moves.lock", "");
    let other = fs::File::open(lock).unwrap();
    let other = nix::fcntl::Flock::lock(other, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let short = [("OCF_RESKEY_CRM_meta_timeout", "2000")];
    let (exit, why) = agent.act_with("stop", &short);
    assert_eq!(exit, code(Code::Generic), "{why}");
    assert!(why.contains("still at work after 1 s"), "{why}");
    drop(other);
    assert_eq!(agent.act_with("stop", &short).0, code(Code::Success));
}

#[test]
fn wrong_parameters_are_refused_by_all_nodes() {
    let agent = Agent::new("", &[]);
    for action in ["start", "monitor", "notify", "validate-all"] {
        for wrong in [("OCF_RESKEY_service", ""), ("OCF_RESKEY_servce", "s1")] {
            let (exit, why) = agent.act_with(action, &[wrong]);
            assert_eq!(exit, code(Code::Configured), "{action} {wrong:?} {why}");
        }
    }
    // There is nothing to be stopped.
    let wrong = [("OCF_RESKEY_servce", "s1")];
    assert_eq!(agent.act_with("stop", &wrong).0, code(Code::Success));
    assert_eq!(agent.act("restart").0, code(Code::Unimplemented));
    assert_eq!(agent.act("validate-all").0, code(Code::Success));
}

/// A configuration that is wrong on one node must not end the resource on another.
#[test]
fn a_wrong_configuration_is_of_one_node() {
    let agent = Agent::new("", &[]);
    let file = agent.node.dir.path("config");
    let good = fs::read_to_string(&file).unwrap();
    let with = |action: &str, text: &str| {
        fs::write(&file, text).unwrap();
        agent.act(action).0
    };
    for action in ["start", "monitor", "validate-all"] {
        let arguments = code(Code::Arguments);
        assert_eq!(with(action, "[[service]"), arguments, "{action}");
        assert_eq!(with(action, &good.replace("s1", "s2")), arguments);
        assert_eq!(with(action, &good.replace("fsid =", "#")), arguments);
        let twice = good[good.find("[[service]]").unwrap()..].replace("s1", "s2");
        let other = twice.replace("/srv\"", "/srv2\"");
        assert_eq!(with(action, &format!("{good}{other}")), arguments);
        let other = twice.replace(ELSEWHERE, "203.0.113.78");
        let other = other.replace("1234", "1235");
        assert_eq!(with(action, &format!("{good}{other}")), arguments);
        assert_eq!(with(action, ""), arguments, "{action}");
        fs::remove_file(&file).unwrap();
        assert_eq!(agent.act(action).0, code(Code::Installed), "{action}");
    }
    assert_eq!(agent.act("stop").0, code(Code::Success));
}

/// Who edits the file makes mistakes. That ends nothing, and nothing is said to have ended.
#[test]
fn what_runs_is_not_ended_by_a_wrong_configuration() {
    let agent = Agent::new("", &[ELSEWHERE]);
    agent.node.dir.write("config", "[[service]");
    let repeated = [("OCF_RESKEY_CRM_meta_interval", "10000")];
    assert_eq!(agent.act_with("monitor", &repeated).0, code(Code::Degraded));
    // It can be read, and is refused: the section that is served has another name now, there is a new
    // one that was copied and lacks its fsid, or has the same ip.
    let up = Agent::at(HERE, "", &[HERE]);
    up.holds("08:01");
    let good = up.node.dir.read("config");
    let copied = &good[good.find("[[service]]").unwrap()..];
    let second = copied.replace("\"s1\"", "\"s2\"");
    for wrong in [
        good.replace("\"s1\"", "\"s2\""),
        format!("{good}{}", second.replace("fsid =", "#")),
        format!("{good}{}", second.replace("/srv\"", "/srv2\"")),
    ] {
        up.node.dir.write("config", &wrong);
        let (exit, why) = up.act_with("monitor", &repeated);
        assert_eq!(exit, code(Code::Degraded), "{wrong}: {why}");
        assert_eq!(up.act("monitor").0, code(Code::Arguments), "{wrong}");
    }
    let (exit, why) = agent.act("stop");
    assert_eq!(exit, code(Code::Generic));
    assert!(why.contains("is served"), "{why}");
    // Something is held, by whom nobody knows.
    let agent = Agent::new("", &[]);
    agent.node.dir.write("config", "[[service]");
    agent.holds("08:02");
    assert_eq!(agent.act("stop").0, code(Code::Generic));
    agent.has_no_module();
    assert_eq!(agent.act("stop").0, code(Code::Generic));
    agent.node.dir.write("root/proc/locks", "");
    assert_eq!(agent.act("stop").0, code(Code::Success));
}

/// A probe that fails has the resource stopped where it runs, and here, where that fails.
#[test]
fn a_probe_says_nothing_because_of_others() {
    let agent = Agent::at(HERE, "", &[HERE]);
    agent.holds("08:01");
    let of_another = [("OCF_RESKEY_service", "s11")];
    let (exit, why) = agent.act_with("monitor", &of_another);
    assert_eq!(exit, code(Code::Arguments), "{why}");
    // What is served by s1 is none of s11.
    assert_eq!(agent.act_with("stop", &of_another).0, code(Code::Success));
    agent.holds("08:02");
    assert_eq!(agent.act_with("stop", &of_another).0, code(Code::Generic));
    agent.node.dir.write("config", "[[service]");
    assert_eq!(agent.act("monitor").0, code(Code::Arguments));
    fs::remove_file(agent.node.dir.path("config")).unwrap();
    assert_eq!(agent.act("monitor").0, code(Code::Installed));
    // Something is served that nobody knows, or that may be s11 by its new name: when a resource is to
    // stop, its address is down.
    let agent = Agent::at(HERE, "", &[HERE, ELSEWHERE]);
    assert_eq!(agent.act_with("stop", &of_another).0, code(Code::Generic));
    let agent = Agent::at(ELSEWHERE, "", &[ELSEWHERE]);
    let (exit, why) = agent.act_with("stop", &of_another);
    assert_eq!(exit, code(Code::Generic), "{why}");
    let unit = "unit fsid=1235 phase=recovering left=60";
    let agent = Agent::at(HERE, unit, &[HERE]);
    assert_eq!(agent.act_with("stop", &of_another).0, code(Code::Generic));
    let agent = Agent::at(HERE, &unit.replace("1235", "1234"), &[HERE]);
    assert_eq!(agent.act_with("stop", &of_another).0, code(Code::Success));
}

#[test]
fn meta_data_names_all_parameters() {
    let agent = Agent::new("", &[]);
    let ran = agent.ran("meta-data", &[("OCF_RESKEY_service", "")]);
    assert_eq!((ran.exit, ran.out.as_str()), (0, metadata::text().as_str()));
    for name in [
        "service",
        "config",
        "grace",
        "notify_timeout",
        "expire_nfs4",
    ] {
        let line = format!("<parameter name=\"{name}\"");
        assert_eq!(ran.out.matches(&line).count(), 1, "{name}");
    }
    assert_eq!(ran.out.matches("<parameter ").count(), 5);
}
