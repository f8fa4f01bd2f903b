// SPDX-License-Identifier: GPL-2.0-only

//! Who records clients, and who must not tell them too much: rpc.statd, its callout, sm-notify.

use super::finding::{
    Finding,
    Sight, //
};
use super::sight;
use crate::check;
use crate::config::Config;
use crate::host::{
    self,
    Host, //
};
use crate::inuse::processes::{
    comm,
    pids, //
};
use crate::names;
use crate::services::{
    self,
    Problem, //
};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{
    Path,
    PathBuf, //
};

const NOT_RECORDED: &str =
    "no NFSv3 client is on record: after a crash of this node none is told to reclaim, and all of them lose their locks";

const TOO_LATE: &str =
    "at boot it ends lockd's grace period of the whole node: clients of filesystems that do not move lose what they have not reclaimed by then";

const TELLS: &str =
    "at boot clients are told that floating IPs have restarted which another node serves by then: they reclaim outside of a recovery and lose their locks";

/// `getconf CLK_TCK`, which is the same on all machines that the module runs on.
const TICKS: u64 = 100;

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The rpc.statd that runs, if one is seen.
    pub pid: Option<u32>,
    /// What is wrong with its callout.
    pub callout: Option<Problem>,
    /// What keeps its user from running that.
    pub closed: Sight<Vec<String>>,
    /// When it started, and when its configuration was last changed, in seconds.
    pub since: Sight<(u64, u64)>,
    /// Whether it works in another directory than the one that we know.
    pub elsewhere: Option<Finding>,
    /// Which name servers it asks.
    pub asks: Option<String>,
    /// What keeps it from doing anything, by SELinux.
    pub selinux: Option<Finding>,
    /// `lift-grace` of sm-notify.
    pub lift_grace: Sight<Option<String>>,
    /// What systemd runs before sm-notify.
    pub before_notify: Sight<String>,
}

impl Facts {
    /// Looks.
    pub fn gather(host: &Host, config: &Config) -> Self {
        let pid = statd(host);
        Self {
            callout: services::callout(host),
            closed: closed(config),
            since: since(host, pid),
            elsewhere: check::statd_elsewhere(&host.proc(), &config.statd_dir),
            asks: names::statd_asks(&host.proc()),
            selinux: check::selinux(&host.sys().join("fs/selinux/enforce")),
            lift_grace: sight::nfs_conf("sm-notify", "lift-grace"),
            before_notify: sight::said(
                "systemctl",
                &["show", "-p", "ExecStartPre", "rpc-statd-notify.service"],
            ),
            pid,
        }
    }
}

/// What keeps statd's user from running our program.
fn closed(config: &Config) -> Sight<Vec<String>> {
    let user = host::statd_user(&config.statd_dir).map_err(|error| error.to_string())?;
    let ours = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(check::cannot_run(&ours, user))
}

/// When statd started, and when what it reads then was changed.
fn since(host: &Host, pid: Option<u32>) -> Sight<(u64, u64)> {
    let pid = pid.ok_or("no rpc.statd is seen")?;
    let stat = sight::text(&host.proc().join(format!("{pid}/stat")))?;
    let boot = sight::text(&host.proc().join("stat"))?;
    let started = started(&stat, &boot).ok_or(format!("cannot read /proc/{pid}/stat"))?;
    let etc = host.root.join("etc");
    // The directory itself: a file may have been removed, or have come with the times it had elsewhere.
    let mut files = vec![etc.join("nfs.conf"), etc.join("nfs.conf.d")];
    let more = fs::read_dir(etc.join("nfs.conf.d"));
    files.extend(more.into_iter().flatten().flatten().map(|file| file.path()));
    Ok((
        started,
        files
            .iter()
            .filter_map(|file| changed(file))
            .max()
            .unwrap_or(0),
    ))
}

/// By the time that nobody can set.
fn changed(file: &Path) -> Option<u64> {
    fs::metadata(file).ok()?.ctime().try_into().ok()
}

/// When a process started, by `/proc/PID/stat` and `/proc/stat`, in seconds since 1970.
pub fn started(process: &str, machine: &str) -> Option<u64> {
    // The name of the process may have blanks.
    let (_, words) = process.rsplit_once(')')?;
    let ticks: u64 = words.split_whitespace().nth(19)?.parse().ok()?;
    let boot = machine
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<u64>().ok()? + ticks / TICKS)
}

/// Whether a process has read what its files were before. The kernel rounds when it was booted.
fn is_stale(started: u64, changed: u64) -> bool {
    changed > started + 1
}

/// Judges.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![callout(facts)];
    found.extend(user(facts));
    found.extend(facts.elsewhere.clone());
    found.push(names(facts));
    found.extend(facts.selinux.clone());
    found.push(lift_grace(facts));
    found.push(before_notify(facts));
    found
}

/// Only the callout, for the moment after boot.
pub fn callout(facts: &Facts) -> Finding {
    const HEAL: &str = "nfs-failoverctl setup";
    if let Some(problem) = &facts.callout {
        return problem.finding("callout", NOT_RECORDED);
    }
    match (facts.pid, &facts.since) {
        (None, _) => Finding::unknown(
            "callout",
            "no rpc.statd is seen, so nobody knows what it runs; it may be in another PID namespace",
            NOT_RECORDED,
            "systemctl start rpc-statd",
        ),
        (Some(pid), Ok((started, changed))) if is_stale(*started, *changed) => Finding::warning(
            "callout",
            format!("nfs.conf says it, but was changed after rpc.statd (process {pid}) had read it"),
            NOT_RECORDED,
            "systemctl restart rpc-statd",
        ),
        (Some(_), Ok(_)) => Finding::ok("callout", "rpc.statd runs nfs-failoverctl"),
        (Some(pid), Err(why)) => Finding::unknown(
            "callout",
            format!("nfs.conf says it, but when rpc.statd (process {pid}) has read that cannot be seen: {why}"),
            NOT_RECORDED,
            HEAL,
        ),
    }
}

fn user(facts: &Facts) -> Vec<Finding> {
    match &facts.closed {
        Ok(ways) if ways.is_empty() => {
            vec![Finding::ok("statd's user", "can run the callout")]
        }
        Ok(ways) => ways
            .iter()
            .map(|path| {
                Finding::error(
                    "statd's user",
                    format!("rpc.statd's user cannot run what is in {path}"),
                    NOT_RECORDED,
                    format!("chmod o+rx {path}"),
                )
            })
            .collect(),
        Err(why) => vec![Finding::unknown(
            "statd's user",
            why,
            NOT_RECORDED,
            "nfsconf --get statd state-directory-path",
        )],
    }
}

fn names(facts: &Facts) -> Finding {
    match (&facts.asks, facts.pid) {
        (Some(asks), _) => Finding::warning(
            "names",
            asks,
            "locks of all NFSv3 clients wait while name servers do not answer",
            "systemctl daemon-reload; systemctl restart rpc-statd",
        ),
        (None, Some(_)) => Finding::ok("names", "rpc.statd asks no name servers"),
        (None, None) => Finding::unknown(
            "names",
            "no rpc.statd is seen",
            "locks of all NFSv3 clients may wait while name servers do not answer",
            "systemctl start rpc-statd",
        ),
    }
}

fn lift_grace(facts: &Facts) -> Finding {
    const HEAL: &str = "nfs-failoverctl setup";
    match &facts.lift_grace {
        Ok(Some(word)) if is_no(word) => Finding::ok("lift-grace", word),
        Ok(set) => Finding::error(
            "lift-grace",
            format!(
                "sm-notify may end grace periods (lift-grace in the section [sm-notify] of nfs.conf is {}, not n)",
                set.as_deref().unwrap_or("not set")
            ),
            TOO_LATE,
            HEAL,
        ),
        Err(why) => Finding::unknown("lift-grace", why, TOO_LATE, HEAL),
    }
}

/// As nfs.conf(5) has it.
fn is_no(word: &str) -> bool {
    matches!(
        word.to_ascii_lowercase().as_str(),
        "0" | "f" | "false" | "n" | "no" | "off"
    )
}

fn before_notify(facts: &Facts) -> Finding {
    const HEAL: &str = "make tools_install; systemctl daemon-reload";
    match &facts.before_notify {
        Ok(said) if said.contains("nfs-failoverctl") => Finding::ok(
            "sm-notify",
            "floating IPs are taken out of its list before it runs",
        ),
        Ok(_) => Finding::error(
            "sm-notify",
            "systemd does not run \"nfs-failoverctl boot\" before it",
            TELLS,
            HEAL,
        ),
        Err(why) => Finding::unknown("sm-notify", why, TELLS, HEAL),
    }
}

/// The callout by nfs.conf, before rpc.statd has been started.
pub fn configured() -> Sight<Option<PathBuf>> {
    Ok(sight::nfs_conf("statd", "ha-callout")?
        .filter(|word| !word.is_empty())
        .map(PathBuf::from))
}

/// The rpc.statd that runs, and whether it calls us, as far as it has read what nfs.conf says.
pub fn runs(host: &Host) -> (Option<u32>, bool) {
    let pid = statd(host);
    let current = since(host, pid).is_ok_and(|(started, changed)| !is_stale(started, changed));
    (pid, current && services::callout(host).is_none())
}

/// Whether rpc.statd calls us. [`None`] if none is seen, or not what it has read.
pub fn calls(host: &Host) -> Option<bool> {
    let pid = statd(host)?;
    if services::callout(host).is_some() {
        return Some(false);
    }
    let (started, changed) = since(host, Some(pid)).ok()?;
    Some(!is_stale(started, changed))
}

fn statd(host: &Host) -> Option<u32> {
    pids(host)
        .into_iter()
        .find(|pid| comm(host, *pid) == "rpc.statd")
}
