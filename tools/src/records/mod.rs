// SPDX-License-Identifier: GPL-2.0-only

//! Who is on record, compared with whom the kernel knows.
//!
//! Records are on a filesystem that clients can write to, and a client may be root there.

mod errand;
mod lists;
mod places;
mod repair;
mod union;
pub mod watch;

use crate::check::cannot_pass;
use crate::config::{
    Config,
    Service, //
};
use crate::error::Result;
use crate::host::{
    self,
    Host, //
};
use crate::nfsd::{
    KnownClient,
    Nfsd, //
};
use crate::policy::address;
use crate::statedir::StateDir;
use serde_json::{
    json,
    Value, //
};
use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::net::{
    IpAddr,
    ToSocketAddrs, //
};

pub use places::places;
pub use repair::{
    forget,
    repair, //
};
pub use union::Union;

/// One look at the records of a floating IP that is active here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The service.
    pub service: String,
    /// The floating IP.
    pub ip: IpAddr,
    /// How many clients the kernel knows.
    pub known: usize,
    /// How many clients are on record.
    pub on_record: usize,
    /// Clients that the kernel knows and that are not on record.
    pub missing: Vec<KnownClient>,
    /// How often a record was missed since the address came here.
    pub lost: u64,
    /// Why clients perhaps cannot be recorded, or others can change records.
    pub trouble: Vec<String>,
}

impl Look {
    /// Compares. [`None`] if there is nothing to compare: the address is not active here, its
    /// filesystem is not mounted, nobody is to be on record there yet, or the module cannot tell.
    pub fn take(host: &Host, config: &Config, service: &Service) -> Result<Option<Self>> {
        let ip = service.ip;
        let nfsd = Nfsd::new(&host.nfsd);
        if !nfsd.has_floating_ips() || !nfsd.is_floating(ip)? || !host.is_mounted(&service.path)? {
            return Ok(None);
        }
        // Whom it knows is on record on the others, and is not to be refused for this one.
        if !places::is_place(host, config, service) {
            return Ok(None);
        }
        let Some(before) = nfsd.known(ip, None)? else {
            return Ok(None);
        };
        let mut trouble = trouble(host, config, service);
        let names = match StateDir::of(service).if_mounted(host).clients() {
            Ok(clients) => clients.names,
            Err(error) => {
                if trouble.is_empty() {
                    trouble.push(error.to_string());
                }
                Vec::new()
            }
        };
        let there = addresses(&names);
        let is_missing = |client: &&KnownClient| !there.contains(&client.ip);
        let mut missing: Vec<_> = before.clients.iter().filter(is_missing).copied().collect();
        if !missing.is_empty() {
            // Who was forgotten meanwhile needs no record any more.
            let now = nfsd.known(ip, None)?.unwrap_or_default();
            missing.retain(|client| now.clients.iter().any(|now| now.ip == client.ip));
        }
        Ok(Some(Self {
            service: service.name.clone(),
            ip,
            known: before.clients.len(),
            on_record: names.len(),
            missing,
            lost: before.lost,
            trouble,
        }))
    }

    /// Whether all whom the kernel knows are on record, and others can be.
    pub fn is_well(&self) -> bool {
        self.missing.is_empty() && self.trouble.is_empty()
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let missing = self.missing.iter().map(|client| client.ip.to_string());
        json!({
            "service": self.service,
            "ip": self.ip,
            "known": self.known,
            "on_record": self.on_record,
            "missing": missing.collect::<Vec<_>>(),
            "lost": self.lost,
            "trouble": self.trouble,
        })
    }
}

/// Clients named in a line; more are counted.
const NAMED: usize = 5;

/// The clients, if they are not too many.
pub fn named(clients: &[KnownClient]) -> String {
    let first = clients.iter().take(NAMED);
    let names: Vec<_> = first.map(|client| client.ip.to_string()).collect();
    match clients.len().saturating_sub(NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, ip) = (&self.service, self.ip);
        write!(
            f,
            "records {service} ip={ip} known={} on_record={} missing={} lost={}",
            self.known,
            self.on_record,
            self.missing.len(),
            self.lost
        )?;
        if !self.missing.is_empty() {
            write!(
                f,
                "\nNOT ON RECORD for {ip} of {service}: {}: they lose their locks if this node crashes; \"nfs-failoverctl records\" puts that right",
                named(&self.missing)
            )?;
        }
        for trouble in &self.trouble {
            write!(
                f,
                "\nclients of {ip} of {service} perhaps CANNOT BE RECORDED: {trouble}"
            )?;
        }
        Ok(())
    }
}

/// Compares all services whose floating IP is active here.
pub fn all(host: &Host, config: &Config) -> Result<Vec<Look>> {
    let looks = config
        .services
        .iter()
        .map(|service| Look::take(host, config, service));
    looks.filter_map(Result::transpose).collect()
}

/// Why statd's user perhaps cannot record the clients of a service, or others can.
pub fn trouble(host: &Host, config: &Config, service: &Service) -> Vec<String> {
    let user = match host::statd_user(&config.statd_dir) {
        Ok(user) => user,
        Err(error) => return vec![error.to_string()],
    };
    let mut trouble = StateDir::of(service).if_mounted(host).problems(user);
    trouble.extend(cannot_pass(service, user));
    trouble
}

/// The addresses of recorded clients.
fn addresses(names: &[String]) -> HashSet<IpAddr> {
    // Nobody else's names are looked up: whoever can make a record could make us wait.
    let by_name = fs::read("/sys/module/lockd/parameters/nsm_use_hostnames")
        .is_ok_and(|value| value.starts_with(b"Y"));
    let addresses = |name: &String| match address::parse(name.as_bytes()) {
        Some(address) => vec![address],
        None if by_name => (name.as_str(), 0)
            .to_socket_addrs()
            .map_or(Vec::new(), |found| found.map(|found| found.ip()).collect()),
        None => Vec::new(),
    };
    names.iter().flat_map(addresses).collect()
}
