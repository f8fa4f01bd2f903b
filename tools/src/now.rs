// SPDX-License-Identifier: GPL-2.0-only

//! What is the case with a service on this node: the last line of `release` and `takeover`.

use crate::config::{
    Config,
    Service, //
};
use crate::exporttable::Table;
use crate::host::{
    self,
    Host, //
};
use crate::nfsd::Nfsd;
use crate::status::line::Line;
use serde::Serialize;
use std::fmt;

/// One look. [`None`] is what could not be seen.
#[derive(Clone, Debug, Serialize)]
pub struct Now {
    /// Name of the service.
    pub service: String,
    /// The floating IP.
    ip: std::net::IpAddr,
    /// Whether the filesystem is mounted.
    pub mounted: Option<bool>,
    /// Whether anything of it is exported.
    pub exported: Option<bool>,
    /// Whether the floating IP is up.
    pub address: Option<bool>,
    /// What the kernel has of it: phase and seconds left.
    pub unit: Option<Vec<String>>,
}

impl Now {
    /// Takes a look.
    pub fn look(host: &Host, config: &Config, service: &Service) -> Self {
        let exported = Table::read(host, config).ok().map(|table| {
            let listed = |path| table.of(path).iter().any(|export| export.listed);
            listed(&service.path)
        });
        let unit = Nfsd::new(&host.nfsd).status().ok().map(|status| {
            status
                .units_of(&service.path, service.fsid, service.ip)
                .map(phase)
                .collect()
        });
        Self {
            service: service.name.clone(),
            ip: service.ip,
            mounted: host.is_mounted(&service.path).ok(),
            exported,
            address: host::is_local(service.ip).ok(),
            unit,
        }
    }
}

fn phase(unit: &Line) -> String {
    let phase = unit.get("phase").unwrap_or("?");
    format!("{phase} ({} s left)", unit.get("left").unwrap_or("?"))
}

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |known: Option<bool>, yes: &str, no: &str| match known {
            Some(true) => yes.to_string(),
            Some(false) => no.to_string(),
            None => format!("perhaps {yes}"),
        };
        write!(
            f,
            "now: {} is {}, {}, {} is {}, ",
            self.service,
            word(self.mounted, "mounted", "not mounted"),
            word(self.exported, "exported", "not exported"),
            self.ip,
            word(self.address, "up", "down"),
        )?;
        match &self.unit {
            None => f.write_str("the module cannot be asked"),
            Some(units) if units.is_empty() => f.write_str("neither released nor recovering"),
            Some(units) => f.write_str(&units.join(" and ")),
        }
    }
}
