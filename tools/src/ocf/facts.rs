// SPDX-License-Identifier: GPL-2.0-only

//! What is seen of a resource. What cannot be seen is an error, never "no".

use super::held::{
    held,
    Where, //
};
use crate::config::{
    Config,
    Service, //
};
use crate::doctor::finding::Sight;
use crate::error::Error;
use crate::exporttable::Table;
use crate::host::{
    self,
    Host, //
};
use crate::interface;
use crate::mark::{
    self,
    Left, //
};
use crate::mounts::Mount;
use crate::nfsd::Nfsd;
use crate::status::line::{
    Line,
    Status, //
};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

/// One look.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What the module says; [`None`] if it was seen that it is not loaded.
    pub module: Sight<Option<Module>>,
    /// What is mounted where the filesystem belongs.
    pub mount: Sight<Option<Mount>>,
    /// Whether anything of it is exported, or was until a moment ago.
    pub exported: Sight<bool>,
    /// Where the filesystem is mounted by its exports, if that is elsewhere.
    pub elsewhere: Sight<Option<PathBuf>>,
    /// Whether something is for good.
    pub listed: Sight<bool>,
    /// The floating IPs of the filesystem that are up.
    pub up: Sight<Vec<IpAddr>>,
    /// What clients hold on it.
    pub held: Sight<Vec<String>>,
}

/// What the module says of a filesystem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// Those of its addresses that are in `floating_ips`.
    pub floating: Vec<IpAddr>,
    /// Those that are not.
    pub not_floating: Vec<IpAddr>,
    /// Addresses in `floating_ips` that are of no service of the configuration file.
    pub strangers: Vec<IpAddr>,
    /// The units.
    pub units: Vec<Line>,
    /// The kernel does not call the module any more.
    pub hooks_dead: bool,
}

impl Facts {
    /// Looks.
    pub fn look(host: &Host, config: &Config, services: &[Service]) -> Self {
        let path = &services[0].path;
        let mount = host.mount_at(path).map_err(said);
        let held = match &mount {
            Ok(Some(mount)) => held(host, Where::On(mount)),
            Ok(None) => held(host, Where::Hidden),
            Err(why) => Err(why.clone()),
        };
        let table = Table::read(host, config).map_err(said);
        let of = |table: &Table, all: bool| {
            let exports = table.of(path);
            exports.iter().any(|export| all || export.listed)
        };
        let up = services.iter().map(|service| {
            let there = interface::of(service.ip).map_err(said)?;
            Ok((!there.is_empty()).then_some(service.ip))
        });
        Self {
            module: module(host, config, services),
            exported: table
                .as_ref()
                .map(|table| of(table, true))
                .map_err(Clone::clone),
            elsewhere: table
                .as_ref()
                .map(|table| table.elsewhere(path, services[0].fsid))
                .map_err(Clone::clone),
            listed: table.map(|table| of(&table, false)),
            up: up.filter_map(Sight::transpose).collect(),
            mount,
            held,
        }
    }
}

impl Facts {
    /// Whether an address of it is in `floating_ips`.
    pub fn is_floating(&self) -> bool {
        matches!(&self.module, Ok(Some(module)) if !module.floating.is_empty())
    }
}

fn said(error: Error) -> String {
    error.to_string()
}

/// What the module says; [`None`] if it is not loaded.
fn module(host: &Host, config: &Config, services: &[Service]) -> Sight<Option<Module>> {
    let Some(status) = status(host)? else {
        return Ok(None);
    };
    let active = floating_ips(host)?;
    let is_known = |ip: &IpAddr| config.services.iter().any(|service| service.ip == *ip);
    let strangers = active.iter().filter(|ip| !is_known(ip)).copied().collect();
    let (floating, not_floating) = services
        .iter()
        .map(|service| service.ip)
        .partition(|ip| active.contains(ip));
    let mut units = Vec::new();
    for service in services {
        let of = status.units_of(&service.path, service.fsid, service.ip);
        units.extend(of.cloned());
    }
    // One that is named by fsid is of all of them.
    units.sort_by_key(Line::name);
    units.dedup();
    Ok(Some(Module {
        floating,
        not_floating,
        strangers,
        units,
        hooks_dead: status.hooks_dead(),
    }))
}

/// The units of the module; [`None`] if it was seen that it is not loaded.
pub fn status(host: &Host) -> Sight<Option<Status>> {
    if !host.nfsd.join("failover_status").exists() {
        return match is_loaded(host)? {
            false => Ok(None),
            true => Err(format!(
                "nfs_failover is loaded, but {} has none of its files: start nfs-server",
                host.nfsd.display()
            )),
        };
    }
    let status = Nfsd::new(&host.nfsd).status().map_err(said)?;
    // The last line.
    match status.lines.last() {
        Some(line) if line.kind == "totals" => Ok(Some(status)),
        _ => Err("failover_status does not end with its totals".into()),
    }
}

/// Whether the kernel has the module.
fn is_loaded(host: &Host) -> Sight<bool> {
    let modules = host.sys().join("module");
    // Without sysfs nothing is there.
    fs::read_dir(&modules).map_err(|why| format!("cannot read {}: {why}", modules.display()))?;
    Ok(modules.join("nfs_failover").exists())
}

/// All floating IPs that are active here.
fn floating_ips(host: &Host) -> Sight<Vec<IpAddr>> {
    let nfsd = Nfsd::new(&host.nfsd);
    let known = nfsd.floating_ips().map_err(said)?;
    let lines = fs::read_to_string(host.nfsd.join("floating_ips"))
        .map_err(|why| format!("cannot read floating_ips: {why}"))?;
    if lines.lines().count() != known.len() {
        return Err("floating_ips has lines that cannot be read".into());
    }
    Ok(known.into_iter().map(|known| known.ip).collect())
}

/// Why a node on which nobody knows what the resource is may have something of it; [`None`] if it was
/// seen that no filesystem was taken over, nor is anything held by clients, but for what `known`
/// services account for.
pub fn anything(host: &Host, known: &[Service]) -> Option<String> {
    let seen = || -> Sight<Option<String>> {
        let mut served = Vec::new();
        if let Some(status) = status(host)? {
            let active = floating_ips(host)?;
            for service in known {
                // One whose address is down may be the resource itself, under another name.
                if active.contains(&service.ip) && host::is_local(service.ip).map_err(said)? {
                    served.push(service);
                }
            }
            let is_known = |unit: &Line| served.iter().any(|service| unit.is_of_service(service));
            if let Some(unit) = status.units().find(|unit| !is_known(unit)) {
                return Ok(Some(format!("{} is released or recovering", unit.name())));
            }
            let is_known = |ip: &IpAddr| served.iter().any(|service| service.ip == *ip);
            if let Some(ip) = active.into_iter().find(|ip| !is_known(ip)) {
                return Ok(Some(format!("{ip} is served")));
            }
        }
        // The address under which it was taken over may be that of another filesystem, too.
        let is_of = |left: &Left| known.iter().any(|other| other.fsid == Some(left.fsid));
        let marks = mark::all(host).map_err(said)?;
        if let Some(left) = marks.iter().find(|left| !is_of(left)) {
            return Ok(Some(format!(
                "the filesystem with fsid {} was taken over here, as {} says",
                left.fsid,
                left.file.display()
            )));
        }
        let mut devices = Vec::new();
        for service in served {
            let mount = host.mount_at(&service.path).map_err(said)?;
            devices.extend(mount.map(|mount| mount.device));
        }
        let held = held(host, Where::Beside(&devices))?;
        Ok((!held.is_empty()).then(|| format!("clients hold {}", held.join(", "))))
    };
    seen().unwrap_or_else(Some)
}
