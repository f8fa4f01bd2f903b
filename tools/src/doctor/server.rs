// SPDX-License-Identifier: GPL-2.0-only

//! nfsd as it runs: its scope, its ports, whether it waits for reclaims itself.

use super::finding::{
    Finding,
    Sight, //
};
use super::sight;
use crate::host::Host;
use crate::services::{
    self,
    Problem, //
};
use std::collections::BTreeMap;
use std::time::Duration;

const SCOPE: &str =
    "NFSv4 clients do not try to reclaim from a node with another scope: they lose all locks in a move";

const PORTS: &str = "clients that look for a service at its old port wait for a minute or more after a move, and firewalls may let none of them through";

const SETUP: &str = "nfs-failoverctl setup --scope NAME";

/// The kernel answers at once, unless nfsd is just being started or stopped. Clients may be waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// A service with a port: its name, and the section and key of nfs.conf by UDP and by TCP.
const FIXED: [(&str, &str, &str); 4] = [
    ("lockd", "tcp", "port"),
    ("lockd", "udp", "udp-port"),
    ("statd", "tcp", "port"),
    ("mountd", "tcp", "port"),
];

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What does not run that clients need.
    pub problems: Vec<Problem>,
    /// `/proc/sys/kernel/hostname`.
    pub hostname: Sight<String>,
    /// The scope that nfsd has now.
    pub scope: Sight<String>,
    /// The scope that nfs.conf says.
    pub set: Sight<Option<String>>,
    /// The ports at which services are reached now, by name and protocol.
    pub ports: BTreeMap<String, Sight<u16>>,
    /// What nfs.conf says, by the same names.
    pub fixed: BTreeMap<String, Sight<Option<String>>>,
    /// Who is in a grace period of the whole node.
    pub in_grace: Sight<Vec<&'static str>>,
}

impl Facts {
    /// Looks.
    pub fn gather(host: &Host) -> Self {
        let name = |service: &str, protocol: &str| format!("{service}/{protocol}");
        let ports = services::ports(host)
            .into_iter()
            .map(|(service, protocol, port)| (name(service, protocol), port));
        let fixed = FIXED.map(|(section, protocol, key)| {
            (name(section, protocol), sight::nfs_conf(section, key))
        });
        Self {
            problems: services::running(host),
            hostname: sight::text(&host.proc().join("sys/kernel/hostname")),
            scope: scope(),
            set: sight::nfs_conf("nfsd", "scope"),
            ports: ports.collect(),
            fixed: fixed.into(),
            in_grace: in_grace(host),
        }
    }
}

/// The scope that nfsd has, which only netlink tells.
pub fn scope() -> Sight<String> {
    let said = sight::said_within(PATIENCE, "nfsdctl", &["threads"])?;
    scope_in(&said).ok_or_else(|| "nfsdctl does not say which scope nfsd has".into())
}

/// The scope, as `nfsdctl threads` prints it.
pub fn scope_in(said: &str) -> Option<String> {
    let scope = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("scope:"))?;
    Some(scope.trim().into())
}

fn in_grace(host: &Host) -> Sight<Vec<&'static str>> {
    let files = [
        ("nfsd", host.nfsd.join("v4_end_grace")),
        ("lockd", host.proc().join("fs/lockd/nlm_end_grace")),
    ];
    let mut found = Vec::new();
    for (name, file) in files {
        if sight::text(&file)? == "N" {
            found.push(name);
        }
    }
    Ok(found)
}

/// Judges.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<_> = facts
        .problems
        .iter()
        .map(|problem| {
            problem.finding(
                "services",
                "no client of this node gets locks, and none can reclaim after a move to it",
            )
        })
        .collect();
    if found.is_empty() {
        found.push(Finding::ok(
            "services",
            "nfsd, lockd, rpc.statd and rpc.mountd answer",
        ));
    }
    found.push(judge_scope(facts));
    found.extend(judge_ports(facts));
    found.push(grace(facts));
    found
}

fn judge_scope(facts: &Facts) -> Finding {
    match (&facts.scope, &facts.hostname) {
        (Ok(scope), Ok(hostname)) if scope != hostname && !scope.is_empty() => match &facts.set {
            Ok(Some(set)) if set == scope => Finding::ok("scope", format!("nfsd has \"{scope}\"")),
            Ok(set) => Finding::warning(
                "scope",
                format!(
                    "nfsd has \"{scope}\", and nfs.conf has {}, which it has after its next start",
                    set.as_ref()
                        .map_or("none".into(), |set| format!("\"{set}\""))
                ),
                SCOPE,
                SETUP,
            ),
            Err(why) => Finding::unknown("scope", why, SCOPE, "nfsconf --get nfsd scope"),
        },
        (Ok(scope), Ok(_)) => Finding::error(
            "scope",
            format!("nfsd has that of this node alone, \"{scope}\""),
            SCOPE,
            SETUP,
        ),
        (Err(why), _) | (_, Err(why)) => Finding::unknown("scope", why, SCOPE, "nfsdctl threads"),
    }
}

fn judge_ports(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let (mut right, mut by_chance) = (Vec::new(), Vec::new());
    for (name, fixed) in &facts.fixed {
        let runs = facts.ports.get(name).cloned();
        match (fixed, runs.unwrap_or(Err("nobody has looked".into()))) {
            // The service is there by the other protocol, or what does not run was said.
            (Ok(Some(_)), Ok(0)) => {}
            (Ok(Some(set)), Ok(port)) if set.parse() == Ok(port) => {
                right.push(format!("{name} {port}"));
            }
            (Ok(Some(set)), Ok(port)) => found.push(Finding::warning(
                "ports",
                format!("{name} is at {port}, and nfs.conf has {set}"),
                PORTS,
                restart(name),
            )),
            (Ok(None), Ok(port)) => by_chance.push(format!("{name} is at {port}")),
            (Err(why), _) => found.push(unseen_port(name, why)),
            (_, Err(why)) => found.push(unseen_port(name, &why)),
        }
    }
    if !by_chance.is_empty() {
        found.push(Finding::warning(
            "ports",
            format!(
                "{}: by chance, or by options of whoever started it, as nfs.conf has none",
                by_chance.join(", ")
            ),
            PORTS,
            SETUP,
        ));
    }
    if found.is_empty() {
        found.push(match right.is_empty() {
            false => Finding::ok("ports", right.join(", ")),
            true => Finding::unknown(
                "ports",
                "rpcbind knows none of lockd, rpc.statd and rpc.mountd",
                PORTS,
                "rpcinfo -p",
            ),
        });
    }
    found
}

fn unseen_port(name: &str, why: &str) -> Finding {
    Finding::unknown("ports", format!("of {name}: {why}"), PORTS, "rpcinfo -p")
}

fn restart(name: &str) -> &'static str {
    match name.split('/').next() {
        Some("statd") => "systemctl restart rpc-statd",
        Some("mountd") => "systemctl restart nfs-mountd",
        _ => "nfs-failoverctl setup, which restarts nfs-server",
    }
}

fn grace(facts: &Facts) -> Finding {
    match &facts.in_grace {
        Ok(who) if who.is_empty() => {
            Finding::ok("grace", "the node is in no grace period of its own")
        }
        Ok(who) => Finding::info(
            "grace",
            format!(
                "{} is in a grace period of the whole node: move nothing here before it is over, or new locks wait on what moves, too",
                who.join(" and ")
            ),
        ),
        Err(why) => Finding::unknown(
            "grace",
            why,
            "new locks of everybody may be waiting",
            "cat /proc/fs/nfsd/v4_end_grace /proc/fs/lockd/nlm_end_grace",
        ),
    }
}
