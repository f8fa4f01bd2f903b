// SPDX-License-Identifier: GPL-2.0-only

//! `doctor`: everything that makes a node lose locks later, looked at before that.
//!
//! Each file gathers the facts about one noun, and judges them without looking any further.

pub mod address;
pub mod clock;
pub mod exports;
pub mod finding;
pub mod kernel;
pub mod layout;
pub mod manager;
pub mod module;
pub mod quick;
pub mod record;
pub mod server;
pub mod sheet;
pub(crate) mod sight;
pub mod statd;

use crate::check;
use crate::config::{
    Config,
    Service, //
};
use crate::error::Result;
use crate::host::Host;
use finding::{
    exit,
    Finding,
    Verdict, //
};
use serde_json::{
    json,
    Value, //
};
use sheet::{
    Seen,
    Sheet, //
};
use std::collections::BTreeSet;
use std::path::Path;

/// The version of what `--json` prints. It rises when something is not there any more, or means
/// something else.
pub const VERSION: u32 = 1;

/// What was found.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// One for each thing that was looked at.
    pub findings: Vec<Finding>,
    /// What the other node is compared with.
    pub sheet: Option<Sheet>,
}

impl Diagnosis {
    /// Looks at everything, for these services, or all.
    pub fn take(host: &Host, file: &Path, names: &[String]) -> Result<Self> {
        let config = match Config::load(Some(file)) {
            Ok(config) => config,
            Err(error) => {
                let mut findings = kernel_and_module(host);
                findings.push(check::broken(&error.to_string()));
                return Ok(Self {
                    findings,
                    sheet: None,
                });
            }
        };
        let services = named(&config, names)?;
        let mut findings = kernel_and_module(host);
        let server = server::Facts::gather(host);
        let synchronised = clock::synchronised();
        findings.extend(server::judge(&server));
        findings.extend(statd::judge(&statd::Facts::gather(host, &config)));
        findings.push(clock::judge(&synchronised));
        findings.extend(manager::judge(&manager::Facts::gather(host)));
        findings.extend(configuration(host, &config, file, &services));
        for service in &services {
            let facts = exports::Facts::gather(host, &config, service);
            findings.extend(exports::judge(&facts));
            findings.extend(address::judge(&address::Facts::gather(host, service)));
            let attempt = record::attempt(host, &config, service);
            findings.extend(record::judge(&service.name, attempt.as_ref()));
        }
        let seen = Seen {
            name: &server.hostname,
            synchronised: &synchronised,
            kernel: &sight::text(&host.proc().join("sys/kernel/osrelease")),
            scope: &server.scope,
            lease: sight::text(&host.nfsd.join("nfsv4leasetime"))
                .ok()
                .and_then(|word| word.parse().ok()),
            ports: &server.ports,
        };
        let sheet = Some(Sheet::new(&config, &seen));
        Ok(Self { findings, sheet })
    }

    /// Adds what differs from another node, by what its doctor has said, which came at that time.
    pub fn compare(&mut self, text: &str, came: f64) {
        const COST: &str = "what differs shows in a move, when it costs locks";
        self.findings
            .extend(match (&self.sheet, sheet::read(text)) {
                (Some(ours), Ok(theirs)) => sheet::compare(ours, &theirs, came),
                (None, _) => vec![Finding::unknown(
                    "other node",
                    "there is nothing to compare, as the configuration cannot be read",
                    COST,
                    finding::EDIT,
                )],
                (_, Err(error)) => vec![Finding::error(
                    "other node",
                    error,
                    COST,
                    "ssh OTHER nfs-failoverctl doctor --json | nfs-failoverctl doctor --compare -",
                )],
            });
    }

    /// The exit status.
    pub fn exit(&self) -> u8 {
        exit(&self.findings)
    }

    /// For people: what is wrong, or with `all` everything, the worst at the end.
    pub fn text(&self, all: bool) -> String {
        let mut findings: Vec<_> = self.findings.iter().collect();
        findings.sort_by_key(|finding| finding.verdict);
        let shown = findings
            .into_iter()
            .filter(|finding| all || finding.verdict > Verdict::Ok);
        let text: String = shown.map(Finding::text).collect();
        text + &self.summary() + "\n"
    }

    fn summary(&self) -> String {
        let count = |verdict| {
            let found = self.findings.iter();
            found.filter(|finding| finding.verdict == verdict).count()
        };
        let words = [
            (Verdict::Error, "wrong"),
            (Verdict::Warning, "to be mended"),
            (Verdict::Unknown, "not seen"),
        ];
        let bad: Vec<_> = words
            .into_iter()
            .map(|(verdict, word)| (count(verdict), word))
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let right = count(Verdict::Ok);
        match bad.is_empty() {
            true => format!("All {right} things that were looked at are right."),
            false => format!("{}, {right} right.", bad.join(", ")),
        }
    }

    /// For programs, and for [`compare`](Self::compare) on the other node.
    pub fn json(&self) -> Value {
        json!({
            "version": VERSION,
            "findings": self.findings,
            "node": self.sheet,
            "exit": self.exit(),
        })
    }
}

/// What nfs.conf and its directory say.
pub fn configured(section: &str, key: &str) -> finding::Sight<Option<String>> {
    sight::nfs_conf(section, key)
}

fn kernel_and_module(host: &Host) -> Vec<Finding> {
    let mut found = kernel::judge(&kernel::Facts::gather(host));
    found.extend(module::judge(&module::Facts::gather(host)));
    found.extend(layout::judge(&layout::Facts::gather(host)));
    found
}

/// The services of those names, and those that share their filesystems.
fn named<'a>(config: &'a Config, names: &[String]) -> Result<Vec<&'a Service>> {
    let mut paths = BTreeSet::new();
    for name in names {
        paths.insert(&config.by_name(name)?.path);
    }
    let services = config.services.iter();
    Ok(services
        .filter(|service| names.is_empty() || paths.contains(&service.path))
        .collect())
}

/// What `config check` says, but for what is looked at elsewhere, and for other services.
fn configuration(host: &Host, config: &Config, file: &Path, services: &[&Service]) -> Vec<Finding> {
    let mut found = check::check(config, host).list;
    found.extend(check::readable(file));
    found.retain(|finding| match &finding.service {
        Some(name) => services.iter().any(|service| &service.name == name),
        None => true,
    });
    if found.is_empty() {
        found.push(Finding::ok("config", format!("{}", file.display())));
    }
    found
}
