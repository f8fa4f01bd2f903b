// SPDX-License-Identifier: GPL-2.0-only

//! The cluster manager: one that fences, and not one that moves addresses alone.

use super::finding::{
    Finding,
    Sight, //
};
use super::sight;
use crate::host::Host;
use crate::inuse::processes::{
    comm,
    pids, //
};

const TWICE: &str = "when a node only seems to be dead, two nodes have the filesystem mounted: it is destroyed, all locks with it";

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Names of processes that matter.
    pub runs: Vec<String>,
    /// Whether Pacemaker fences; only if it runs.
    pub fences: Option<Sight<bool>>,
}

impl Facts {
    /// Looks.
    pub fn gather(host: &Host) -> Self {
        let managers = ["ctdbd", "pacemakerd", "keepalived"];
        let mut runs: Vec<_> = pids(host)
            .into_iter()
            .map(|pid| comm(host, pid))
            .filter(|name| managers.contains(&name.as_str()))
            .collect();
        runs.sort();
        runs.dedup();
        let pacemaker = runs.iter().any(|name| name == "pacemakerd");
        Self {
            runs,
            fences: pacemaker.then(fences),
        }
    }
}

fn fences() -> Sight<bool> {
    let said = sight::said(
        "crm_attribute",
        &[
            "--type",
            "crm_config",
            "--name",
            "stonith-enabled",
            "--query",
            "--quiet",
            "--default",
            "true",
        ],
    )?;
    Ok(!matches!(
        said.to_ascii_lowercase().as_str(),
        "false" | "no" | "off" | "0" | "n"
    ))
}

/// Judges.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let runs = |name: &str| facts.runs.iter().any(|known| known == name);
    let mut found = Vec::new();
    if runs("ctdbd") {
        found.push(Finding::error(
            "ctdb",
            "CTDB runs here, which moves addresses between nodes that all export the filesystem: not supported",
            "a recovery holds on one node only: the others give a rival the locks that clients are about to reclaim",
            "move the filesystem with its address, by Pacemaker or by hand; or use CTDB without nfs-failover",
        ));
    }
    match &facts.fences {
        Some(Ok(true)) => found.push(Finding::ok("fencing", "stonith-enabled is true")),
        Some(Ok(false)) => found.push(Finding::warning(
            "fencing",
            "stonith-enabled is false",
            TWICE,
            "configure a fence device, then crm configure property stonith-enabled=true",
        )),
        Some(Err(why)) => found.push(Finding::unknown(
            "fencing",
            why,
            TWICE,
            "crm_attribute -t crm_config -n stonith-enabled -q",
        )),
        None if runs("keepalived") => found.push(Finding::warning(
            "fencing",
            "keepalived runs here, which does not fence",
            TWICE,
            "use a disk that lets one node in only, such as DRBD with a quorum",
        )),
        None => found.push(Finding::info(
            "fencing",
            "no cluster manager runs here: before a takeover after a crash, make sure that the other node is off",
        )),
    }
    found
}
