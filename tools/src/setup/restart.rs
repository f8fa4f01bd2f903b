// SPDX-License-Identifier: GPL-2.0-only

//! What has to be restarted, and what is the case after that.

use super::served::Served;
use super::{
    Running,
    Setup, //
};
use crate::error::Result;
use crate::host::Host;
use crate::program;
use crate::services;
use crate::steps::{
    taken,
    Outcome,
    Taken, //
};
use std::fs;

const STATD: &str = "rpc-statd";
const SERVER: &str = "nfs-server";

/// What a restart of nfsd costs.
const COST: &str =
    "NFSv4 clients reclaim in nfsd's grace period; NFSv3 clients are not told and lose their locks";

impl Setup<'_> {
    pub(super) fn statd(&mut self) -> Result<Taken> {
        let what = format!("restart {STATD}");
        let port = self.wanted()?.statd;
        let Some(before) = &self.before else {
            return taken(what, Outcome::Skipped, "");
        };
        if !before.statd {
            return taken(
                what,
                Outcome::Skipped,
                "it does not run, and reads its files when it starts",
            );
        }
        let why: Vec<_> = [
            match (before.callout, self.reads_anew()) {
                (false, _) => Some("it has not read its ha-callout"),
                (true, true) => Some("what it has read has changed"),
                (true, false) => None,
            },
            before.is_elsewhere("statd/tcp", port).then_some("its port"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if why.is_empty() {
            return taken(what, Outcome::Already, "it runs as it has to");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, why.join(", "));
        }
        self.restarted.push(STATD);
        program::run("systemctl", &["restart", STATD])?;
        let after = Running::look(self.host);
        let left = match services::callout(self.host) {
            _ if !after.statd => Some("it does not run now: journalctl -u rpc-statd".into()),
            Some(problem) => Some(problem.to_string()),
            None if after.is_elsewhere("statd/tcp", port) => {
                Some(format!("it is not at port {port}"))
            }
            None => None,
        };
        match left {
            None => taken(what, Outcome::Done, why.join(", ")),
            Some(left) => taken(what, Outcome::Incomplete, left),
        }
    }

    /// Only a node that was seen to serve nobody is restarted, or one of which somebody wants it so.
    pub(super) fn server(&mut self) -> Result<Taken> {
        let what = format!("restart {SERVER}");
        let wanted = self.wanted()?.clone();
        let Some(before) = &self.before else {
            return taken(what, Outcome::Skipped, "");
        };
        if !before.nfsd {
            return taken(
                what,
                Outcome::Skipped,
                "it does not run, and reads its files when it starts",
            );
        }
        let why = before.why_not(&wanted);
        let unseen = before.unseen();
        match (why.is_empty(), unseen.is_empty()) {
            (true, true) => return taken(what, Outcome::Already, "it runs as it has to"),
            // What is not seen is no reason for a restart.
            (true, false) => {
                return taken(
                    what,
                    Outcome::Incomplete,
                    format!(
                        "{}: look for that, then \"nfs-failoverctl setup\" again",
                        unseen.join(", ")
                    ),
                )
            }
            (false, _) => {}
        }
        let why = format!("{}; {COST}", why.join(", "));
        // By now the module is loaded, but it has not seen who came before.
        let now = Served::look(self.host);
        let stop = match (&before.served, &now) {
            _ if self.restart => None,
            (Served::Nobody, Served::Nobody) => None,
            (Served::Somebody(who), _) | (_, Served::Somebody(who)) => Some(format!(
                "clients are served here ({who}): release that first"
            )),
            (Served::Unseen(unseen), _) | (_, Served::Unseen(unseen)) => Some(format!(
                "whether clients are served here cannot be seen ({unseen}): see that none are"
            )),
        };
        if let Some(stop) = stop {
            return taken(
                what,
                Outcome::Incomplete,
                format!("{why}. It was not restarted, as {stop}, then \"nfs-failoverctl setup --restart\""),
            );
        }
        if self.dry_run {
            return taken(what, Outcome::Would, why);
        }
        // Only a lockd that is loaded later reads its options.
        for name in ["nlm_tcpport", "nlm_udpport"] {
            let file = self.host.proc().join("sys/fs/nfs").join(name);
            // If it cannot be written, the port shows below.
            let Ok(had) = fs::read_to_string(&file) else {
                continue;
            };
            if fs::write(&file, wanted.lockd.to_string()).is_ok() {
                self.sysctls.push((file, had));
            }
        }
        self.restarted.push(SERVER);
        program::run("systemctl", &["restart", SERVER])?;
        let after = Running::look(self.host);
        let (left, unseen) = (after.why_not(&wanted), after.unseen());
        if !after.nfsd {
            return taken(
                what,
                Outcome::Incomplete,
                "it does not run now: journalctl -u nfs-server",
            );
        }
        match (left.is_empty(), unseen.is_empty()) {
            (true, true) => taken(what, Outcome::Done, why),
            (true, false) => taken(what, Outcome::Incomplete, unseen.join(", ")),
            (false, _) => taken(
                what,
                Outcome::Incomplete,
                format!("{}: reboot this node", left.join(", ")),
            ),
        }
    }
}

impl Running {
    /// Whether a service is at another port. What is not seen is no reason for a restart.
    fn is_elsewhere(&self, name: &str, wanted: u16) -> bool {
        match self.ports.get(name) {
            Some(Ok(port)) => *port != 0 && *port != wanted,
            _ => false,
        }
    }

    /// Why nfsd has to be restarted.
    fn why_not(&self, wanted: &super::Wanted) -> Vec<String> {
        let mut why = Vec::new();
        if let Some(scope) = self.scope.as_ref().ok().filter(|at| **at != wanted.scope) {
            why.push(format!("its scope is \"{scope}\""));
        }
        for (name, port) in [
            ("lockd/tcp", wanted.lockd),
            ("lockd/udp", wanted.lockd),
            // nfs-server is restarted with it in any case.
            ("mountd/tcp", wanted.mountd),
        ] {
            if let (true, Some(Ok(at))) = (self.is_elsewhere(name, port), self.ports.get(name)) {
                why.push(format!("{name} is at port {at}"));
            }
        }
        why
    }

    /// What of that could not be seen.
    fn unseen(&self) -> Vec<String> {
        let mut unseen = Vec::new();
        if let Err(error) = &self.scope {
            unseen.push(format!("its scope is not known ({error})"));
        }
        for name in ["lockd/tcp", "mountd/tcp"] {
            if let Some(Err(error)) = self.ports.get(name) {
                unseen.push(format!("the port of {name} is not known ({error})"));
            }
        }
        unseen
    }
}

/// The last line: what is the case now.
pub fn now(host: &Host) -> String {
    let running = Running::look(host);
    let mut words = vec![match (running.statd, running.callout) {
        (true, true) => "rpc.statd calls nfs-failoverctl".into(),
        (true, false) => "rpc.statd does NOT call nfs-failoverctl".to_string(),
        (false, _) => "rpc.statd does not run".into(),
    }];
    words.push(match (running.nfsd, &running.scope) {
        (false, _) => "nfsd does not run".into(),
        (true, Ok(scope)) => format!("the scope of nfsd is \"{scope}\""),
        (true, Err(_)) => "the scope of nfsd is not known".into(),
    });
    for name in ["lockd/tcp", "statd/tcp", "mountd/tcp"] {
        let short = name.split('/').next().unwrap_or(name);
        words.push(match running.ports.get(name) {
            Some(Ok(0)) => format!("{short} has no port"),
            Some(Ok(port)) => format!("{short} is at {port}"),
            _ => format!("the port of {short} is not known"),
        });
    }
    let loaded = host.sys().join("module/nfs_failover").exists();
    words.push(match loaded {
        true => "the module is loaded".into(),
        false => "the module is NOT loaded".into(),
    });
    format!("now: {}", words.join(", "))
}
