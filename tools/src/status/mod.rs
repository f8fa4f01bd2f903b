// SPDX-License-Identifier: GPL-2.0-only

//! `status`: what is going on, for people and for programs.

pub mod line;
mod nfs4;
pub mod node;
pub mod prometheus;
pub mod reclaims;
mod table;

use crate::config::{
    Config,
    Service, //
};
use crate::error::Result;
use crate::host::{
    self,
    Host, //
};
use crate::nfsd::Nfsd;
use crate::policy::address;
use crate::policy::manifest::text;
use crate::records::Look;
use crate::statedir::StateDir;
use line::{
    Line,
    Status, //
};
use reclaims::{
    Known,
    Reclaims, //
};
use serde_json::{
    json,
    Map,
    Value, //
};
use std::collections::HashSet;
use std::net::IpAddr;

pub use table::table;

/// The version of what `--json` prints, as in tools/observability/status.schema.json. It rises when
/// something is not there any more, or means something else.
pub const VERSION: u32 = 1;

/// One look at everything.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// `failover_status`.
    pub status: Status,
    /// The lines of `floating_ips`.
    pub floating_ips: Vec<String>,
    /// For each unit, the services that it is of.
    pub services: Vec<Vec<String>>,
    /// For each unit that recovers, the recorded clients that hold no lock. [`None`] if it cannot
    /// be known.
    pub missing: Vec<Option<Vec<String>>>,
    /// For each unit, the NFSv4 clients that have not completed their reclaims.
    pub nfs4: Vec<Known>,
    /// The records of floating IPs, see [`crate::records::all`].
    pub records: Vec<Look>,
    /// Clients come here by a floating IP.
    pub serves: bool,
}

impl Overview {
    /// Takes a look.
    pub fn take(host: &Host, config: &Config) -> Result<Self> {
        let nfsd = Nfsd::new(&host.nfsd);
        nfsd.check()?;
        let mut status = nfsd.status()?;
        let floating_ips = if nfsd.has_floating_ips() {
            nfsd.floating_ips()?
        } else {
            Vec::new()
        };
        // The text has the manifests of released units, too, and reading those is a promise. While
        // hooks are dead nobody knows what is held.
        let wanted = status.units().any(Line::recovers)
            && !status.any_phase("released")
            && !status.hooks_dead();
        let held = wanted
            .then(|| nfsd.held().map(|text| holders(&text)))
            .transpose()?;
        let of = |unit: &Line| {
            let services = config
                .services
                .iter()
                .filter(|service| unit.is_of_service(service));
            services.cloned().collect::<Vec<Service>>()
        };
        let services: Vec<_> = status.units().map(of).collect();
        let missing = status
            .units()
            .zip(&services)
            .map(|(unit, services)| missing(held.as_ref().filter(|_| unit.recovers())?, services))
            .collect();
        let reclaims = Reclaims::look(host);
        let nfs4 = status.units().map(|unit| reclaims.of(unit)).collect();
        // In front of the totals.
        let at = status.lines.iter().position(|line| line.kind == "totals");
        let at = at.unwrap_or(status.lines.len());
        let lines = reclaims.lines.into_iter().chain(nfs4::lines(host, config)?);
        status.lines.splice(at..at, lines);
        Ok(Self {
            floating_ips: floating_ips.into_iter().map(|known| known.line).collect(),
            services: services
                .into_iter()
                .map(|services| services.into_iter().map(|service| service.name).collect())
                .collect(),
            missing,
            nfs4,
            status,
            records: Vec::new(),
            serves: config.services.iter().any(|service| {
                host.is_mounted(&service.path).unwrap_or(true)
                    && host::is_local(service.ip).unwrap_or(true)
            }),
        })
    }

    /// Whether the kernel calls the module, no lock was lost, and everybody is on record.
    pub fn is_well(&self) -> bool {
        let mut units = self.status.units();
        !self.status.hooks_dead()
            && !self.lost_some()
            && !units.any(|unit| unit.refused() > 0)
            && self.records.iter().all(Look::is_well)
    }

    /// Whether locks of clients who come here were taken away, and none of them has been able to reclaim
    /// since.
    pub fn lost_some(&self) -> bool {
        let mut totals = self.status.lines.iter();
        let totals = totals.find(|line| line.kind == "totals");
        self.serves && totals.and_then(|line| line.number("taken_away")) > Some(0)
    }

    /// All of it as one object.
    pub fn json(&self) -> Map<String, Value> {
        let units: Vec<Value> = self
            .status
            .units()
            .zip(self.services.iter().zip(&self.missing).zip(&self.nfs4))
            .map(|(unit, ((services, missing), nfs4))| {
                let mut object = object(unit);
                object.insert("services".into(), json!(services));
                object.insert("missing".into(), json!(missing));
                object.insert("nfs4_missing".into(), json!(nfs4.missing()));
                Value::Object(object)
            })
            .collect();
        let floating = self
            .floating_ips
            .iter()
            .map(|line| Value::Object(object(&words(line))));
        let mut whole = Map::new();
        whole.insert("version".into(), json!(VERSION));
        whole.insert("well".into(), json!(self.is_well()));
        whole.insert("units".into(), units.into());
        whole.insert("floating_ips".into(), floating.collect());
        let records = self.records.iter().map(Look::json);
        whole.insert("records".into(), records.collect());
        for line in self.status.lines.iter().filter(|line| line.kind != "unit") {
            let more = Value::Object(object(line));
            match (line.kind.as_str(), whole.get_mut(&line.kind)) {
                ("totals", _) => drop(whole.insert("totals".into(), more)),
                (_, Some(Value::Array(lines))) => lines.push(more),
                (kind, _) => drop(whole.insert(kind.into(), json!([more]))),
            }
        }
        whole
    }
}

/// The words of a line that has no kind.
fn words(line: &str) -> Line {
    let status = Status::parse(format!("line {line}").as_bytes());
    status.lines.into_iter().next().unwrap_or_default()
}

fn object(line: &Line) -> Map<String, Value> {
    let value = |key: &str, value: &str| match value.parse::<u64>() {
        // Not a name that happens to be a number.
        Ok(number) if !["fsid", "name"].contains(&key) => json!(number),
        _ => json!(value),
    };
    line.words
        .iter()
        .map(|(key, word)| (key.clone(), value(key, word)))
        .collect()
}

/// Who holds a lock: address, or name, of the client, and address of the server.
type Holders = HashSet<(String, Option<IpAddr>)>;

/// What is held at the moment, by a text of `lock_manifest`.
fn holders(manifest: &[u8]) -> Holders {
    let mut holders = Holders::new();
    let mut buffers = text::Buffers::new();
    let mut held = false;
    for line in manifest.split_inclusive(|byte| *byte == b'\n') {
        match text::Line::parse(line, &mut buffers) {
            Ok(text::Line::Unit(header)) => held = matches!(header, text::Header::Held { .. }),
            Ok(text::Line::Lock(who, _)) if held => {
                holders.insert((who.host.client.to_string(), who.host.server));
                holders.insert((String::from_utf8_lossy(who.name).into(), who.host.server));
            }
            // A later version may have other lines.
            _ => {}
        }
    }
    holders
}

/// The recorded clients of these services that hold nothing through their floating IP.
fn missing(holders: &Holders, services: &[Service]) -> Option<Vec<String>> {
    if services.is_empty() {
        return None;
    }
    let mut missing = Vec::new();
    for service in services {
        let clients = StateDir::of(service).clients().ok()?;
        let gone = clients.names.into_iter().filter(|client| {
            let client = match address::parse(client.as_bytes()) {
                Some(address) => address.to_string(),
                None => client.clone(),
            };
            !holders.contains(&(client.clone(), Some(service.ip)))
                && !holders.contains(&(client, None))
        });
        missing.extend(gone);
    }
    missing.sort();
    missing.dedup();
    Some(missing)
}
