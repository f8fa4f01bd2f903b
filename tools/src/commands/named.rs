// SPDX-License-Identifier: GPL-2.0-only

//! Which services the command line means.

use crate::cli::What;
use crate::config::{
    Config,
    Service, //
};
use crate::error::{
    Error,
    Result, //
};
use crate::group;
use std::net::IpAddr;
use std::path::{
    Path,
    PathBuf, //
};

/// A service, and where its manifest is.
pub(super) type Named = (Service, PathBuf);

/// All that are named. They have to belong together, and nothing that belongs to their addresses may
/// stay behind: `command` is what it was.
pub(super) fn named(
    config: &Config,
    what: &What,
    also: &[String],
    command: &str,
) -> Result<Vec<Named>> {
    let first = first(config, what)?;
    let mut found: Vec<Service> = match first.len() {
        1 => vec![changed(&first[0], what)?],
        _ => first,
    };
    for name in also {
        let service = config.by_name(name)?;
        if found.iter().any(|known| known.name == service.name) {
            return Err(Error::new(format!("{name} is named twice")));
        }
        if found.iter().any(|known| group::is_same(known, service)) {
            return Err(Error::new(format!(
                "{name} is what another of these services is: a filesystem by one address"
            )));
        }
        found.push(service.clone());
    }
    if let Some(alone) = group::apart(&found) {
        return Err(Error::new(format!(
            "{} is of another filesystem than {}, and has another address: move it by a command of its own",
            alone.name, found[0].name
        )));
    }
    for (at, service) in found.iter().enumerate() {
        config.is_unique(&service.name)?;
        for other in &found[..at] {
            if service.path == other.path && service.fsid != other.fsid {
                return Err(Error::new(format!(
                    "{} and {} have the same path, but another fsid",
                    other.name, service.name
                )));
            }
        }
    }
    nothing_is_left(config, &found, command)?;
    if let Some(why) = group::one_state_dir(&found) {
        return Err(Error::new(why));
    }
    Ok(found
        .into_iter()
        .map(|service| {
            let default = || service.state_dir().join("manifest");
            let manifest = what.manifest.clone().unwrap_or_else(default);
            (service, manifest)
        })
        .collect())
}

/// An address cannot be at two nodes.
fn nothing_is_left(config: &Config, found: &[Service], command: &str) -> Result<()> {
    let left = group::left_out(config, found);
    let Some(one) = left.first() else {
        return Ok(());
    };
    // In the order of the file, so that it is the same command whichever of them was named.
    let all = config.services.iter();
    let is_left = |service: &&Service| left.iter().any(|other| other.name == service.name);
    let is_found = |service: &&Service| found.iter().any(|other| other.name == service.name);
    let known = all.filter(|service| is_left(service) || is_found(service));
    let bare = found.iter().filter(|service| {
        let mut known = config.services.iter();
        !known.any(|other| other.name == service.name)
    });
    let names: Vec<_> = bare
        .chain(known)
        .map(|service| service.name.as_str())
        .collect();
    Err(Error::new(format!(
        "{} is the address of {} ({}), too, and cannot be at two nodes: name all filesystems that it moves with, \"nfs-failoverctl {command} {}\"",
        one.ip,
        one.name,
        one.path.display(),
        names.join(" ")
    )))
}

/// What the first word, or the options, mean: several if it is an address of several filesystems.
fn first(config: &Config, what: &What) -> Result<Vec<Service>> {
    let known: Vec<_> = match (&what.service, &what.path, what.ip) {
        (Some(name), ..) => vec![config.by_name(name)?.clone()],
        (None, None, Some(ip)) => config.of_ip(ip).cloned().collect(),
        _ => Vec::new(),
    };
    match (known.len(), &what.path, what.ip) {
        (0, Some(path), Some(ip)) => Ok(vec![bare(path, ip)]),
        (0, ..) => Err(Error::new(
            "name a service of the configuration, or give --path, --fsid and --ip",
        )),
        (1, ..) => Ok(known),
        (_, _, Some(ip))
            if what.fsid.is_some() || what.state_dir.is_some() || what.manifest.is_some() =>
        {
            Err(Error::new(format!(
                "{ip} is the address of several filesystems: leave --fsid, --state-dir and --manifest to the configuration"
            )))
        }
        _ => Ok(known),
    }
}

/// As the options say.
fn changed(service: &Service, what: &What) -> Result<Service> {
    let mut service = service.clone();
    service.path = what.path.clone().unwrap_or(service.path);
    service.ip = what.ip.unwrap_or(service.ip);
    service.fsid = what.fsid.or(service.fsid);
    service.state_dir = what.state_dir.clone().or(service.state_dir);
    match service.path.is_absolute() {
        true => Ok(service),
        false => Err(Error::new(format!(
            "path {} is relative: begin with /",
            service.path.display()
        ))),
    }
}

/// A service that is only on the command line.
pub(super) fn bare(path: &Path, ip: IpAddr) -> Service {
    Service {
        name: ip.to_string(),
        path: path.into(),
        fsid: None,
        ip,
        state_dir: None,
        grace: None,
        fence: None,
        device: None,
        mount_options: None,
        interface: None,
        prefix: None,
        exports: Vec::new(),
    }
}
