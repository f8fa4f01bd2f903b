// SPDX-License-Identifier: GPL-2.0-only

//! The agent file itself, where the command is, and where it is not.

use super::Agent;
use crate::common::{
    as_root,
    CTL, //
};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ocf/nfslocks");

#[test]
fn the_agent_is_the_command() {
    let agent = Agent::new("", &[]);
    symlink(CTL, agent.node.dir.path("bin/nfs-failoverctl")).unwrap();
    let run = |action: &str| {
        let output = Command::new(FILE)
            .arg(action)
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", agent.node.dir.path("bin").display()),
            )
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), out)
    };
    let (exit, out) = run("meta-data");
    assert!(
        exit == Some(0) && out.contains("<resource-agent name=\"nfslocks\""),
        "{out}"
    );
    assert_eq!(run("dance").0, Some(3));
    assert_eq!(run("validate-all").0, Some(6));
}

/// What it says of a node on which the command is missing, with these files of the module.
#[test]
fn an_agent_without_its_command() {
    let agent = Agent::new("", &[]);
    // Elsewhere the command may be installed.
    if Path::new("/usr/sbin/nfs-failoverctl").exists() {
        return;
    }
    let run = |floating: Option<&str>, status: &str| {
        let dir = agent.node.dir.path("away");
        let _ = fs::remove_dir_all(&dir);
        agent.node.dir.write("away/failover_status", status);
        if let Some(text) = floating {
            agent.node.dir.write("away/floating_ips", text);
        }
        let script = format!(
            "mount -t tmpfs none /proc/fs; mkdir /proc/fs/nfsd; mount --bind away /proc/fs/nfsd
            for action in start stop monitor validate-all; do
                code=0; {FILE} $action 2>/dev/null || code=$?; printf '%s ' $code
            done"
        );
        as_root(&[], &script, &agent.node.dir.path("")).map(|ran| ran.out)
    };
    let totals = "totals units=0 hooks=live nmissed=0 taken_away=0\n";
    let unit = format!("unit fsid=1234 phase=recovering left=9\n{totals}");
    let Some(out) = run(Some(""), totals) else {
        return;
    };
    assert_eq!(out, "5 0 5 5 ");
    assert_eq!(
        run(Some("ip=10.77.0.100 confirm=no\n"), totals).unwrap(),
        "5 1 1 1 "
    );
    assert_eq!(run(Some(""), &unit).unwrap(), "5 1 1 1 ");
    // Not loaded.
    assert_eq!(run(None, totals).unwrap(), "5 0 5 5 ");
    // It was unloaded, and clients still have what they got.
    let states = "- 0x1: { type: open, superblock: \"08:01:13\", owner: \"x\" }\n";
    let has = |locks: &str, states: &str| {
        let script = format!(
            "mount -t tmpfs none /proc/fs; mkdir -p /proc/fs/nfsd/clients/7
            printf '%s' '{states}' >/proc/fs/nfsd/clients/7/states
            sh -c 'printf lockd >/proc/$$/comm; sleep 9; :' >/dev/null 2>&1 &
            until grep -q lockd /proc/$!/comm; do :; done
            printf '%s\n' \"{locks}\" >locks; mount --bind locks /proc/locks
            code=0; {FILE} stop 2>/dev/null || code=$?; kill $!; printf '%s' $code"
        );
        let ran = as_root(&[], &script, &agent.node.dir.path("")).unwrap();
        (ran.out, ran.err)
    };
    for (locks, states, wanted) in [
        ("1: POSIX  ADVISORY  WRITE 1 08:01:13 0 9", "", "0"),
        ("1: POSIX  ADVISORY  WRITE $! 08:01:13 0 9", "", "1"),
        ("1: -> POSIX  ADVISORY  WRITE $! 08:01:13 0 9", "", "0"),
        ("", states, "1"),
    ] {
        let (out, err) = has(locks, states);
        assert_eq!(out, wanted, "{locks} {err}");
    }
}
