// SPDX-License-Identifier: GPL-2.0-only

//! `doctor --quick`: what a node needs before anything can be moved to it, at boot and in a second.
//! It loads the module.

use super::finding::{
    Finding,
    Verdict, //
};
use super::statd;
use super::{
    kernel,
    module,
    Diagnosis, //
};
use crate::check;
use crate::config::Config;
use crate::host::Host;
use crate::program;
use std::path::Path;

impl Diagnosis {
    /// Loads the module if it is not there, and looks whether it is called, and whether rpc.statd will
    /// call us.
    pub fn quick(host: &Host, file: &Path) -> Self {
        let mut findings = Vec::new();
        if !host.sys().join("module/nfs_failover").exists() {
            findings.extend(load());
        }
        findings.extend(kernel::judge(&kernel::Facts::gather(host)));
        findings.extend(module::judge(&module::Facts::gather(host)));
        findings.push(match Config::load(Some(file)) {
            Ok(config) => callout(host, &config),
            Err(error) => check::broken(&error.to_string()),
        });
        for finding in &mut findings {
            // Nobody else looks at boot: what was not seen to be right has to be seen by somebody.
            if NEEDED.contains(&finding.check) && finding.verdict > Verdict::Info {
                finding.verdict = Verdict::Error;
            }
        }
        Self {
            findings,
            sheet: None,
        }
    }
}

/// Without these, nothing can be taken over with its locks.
const NEEDED: [&str; 3] = ["module", "hooks", "callout"];

fn load() -> Option<Finding> {
    let error = program::run("modprobe", &["nfs_failover"]).err()?;
    Some(Finding::error(
        "modprobe",
        error.to_string(),
        "nothing can be taken over by this node",
        "dmesg | tail",
    ))
}

/// At boot, rpc.statd may be started only later.
fn callout(host: &Host, config: &Config) -> Finding {
    let facts = statd::Facts::gather(host, config);
    if facts.pid.is_some() {
        return statd::callout(&facts);
    }
    const COST: &str =
        "no NFSv3 client will be on record: after a crash all of them lose their locks";
    const HEAL: &str = "nfs-failoverctl setup";
    match statd::configured() {
        Ok(Some(program)) if program.exists() => Finding::ok(
            "callout",
            format!("rpc.statd will run {}", program.display()),
        ),
        Ok(Some(program)) => Finding::error(
            "callout",
            format!(
                "rpc.statd is to run {}, which is not there",
                program.display()
            ),
            COST,
            HEAL,
        ),
        Ok(None) => Finding::error("callout", "nfs.conf has no ha-callout", COST, HEAL),
        Err(why) => Finding::unknown("callout", why, COST, HEAL),
    }
}
