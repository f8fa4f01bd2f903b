// SPDX-License-Identifier: GPL-2.0-only

//! The node and its services, for programs: what runs, and what of each service is here.

use crate::config::Config;
use crate::doctor::{
    server,
    statd, //
};
use crate::host::Host;
use crate::journal::Move;
use crate::now::Now;
use crate::services;
use crate::statedir::StateDir;
use serde::Serialize;
use serde_json::{
    json,
    Value, //
};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// This node. [`None`] is what could not be seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Node {
    /// Its name.
    pub hostname: Option<String>,
    /// `uname -r`.
    pub kernel: Option<String>,
    /// Version of this command.
    pub command: String,
    /// Whether rpc.statd calls us.
    pub callout: Option<bool>,
    /// The scope of nfsd.
    pub scope: Option<String>,
    /// Ports, by service and protocol.
    pub ports: BTreeMap<String, Option<u16>>,
}

impl Node {
    /// Looks.
    pub fn look(host: &Host) -> Self {
        let proc = host.proc().join("sys/kernel");
        Self {
            hostname: word(&proc.join("hostname")),
            kernel: word(&proc.join("osrelease")),
            command: env!("CARGO_PKG_VERSION").into(),
            callout: statd::calls(host),
            scope: server::scope().ok(),
            ports: services::ports(host)
                .into_iter()
                .map(|(service, protocol, port)| (format!("{service}/{protocol}"), port.ok()))
                .collect(),
        }
    }
}

fn word(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.trim().into())
}

/// A service.
#[derive(Clone, Debug, Serialize)]
pub struct Served {
    /// What is the case with it.
    #[serde(flatten)]
    pub now: Now,
    /// Where it is mounted.
    pub path: String,
    /// Its fsid.
    pub fsid: Option<String>,
    /// Seconds of a recovery.
    pub grace: u64,
    /// How many clients are on record, if it is mounted here.
    pub on_record: Option<usize>,
    /// Its last release or takeover here since the node was booted.
    pub last_move: Option<Move>,
}

/// All of them.
pub fn served(host: &Host, config: &Config) -> Vec<Served> {
    let services = config.services.iter();
    services
        .map(|service| Served {
            now: Now::look(host, config, service),
            path: service.path.display().to_string(),
            fsid: service.fsid.map(|fsid| fsid.to_string()),
            grace: crate::grace::grace(host, service),
            on_record: host
                .is_mounted(&service.path)
                .is_ok_and(|mounted| mounted)
                .then(|| StateDir::of(service).if_mounted(host).clients())
                .and_then(|clients| Some(clients.ok()?.names.len())),
            last_move: Move::last(host, &service.name),
        })
        .collect()
}

/// Both, beside what the module says.
pub fn json(host: &Host, config: &Config) -> [(&'static str, Value); 2] {
    [
        ("node", json!(Node::look(host))),
        ("services", json!(served(host, config))),
    ]
}
