// SPDX-License-Identifier: GPL-2.0-only

//! `release` and `takeover`.

use super::{
    print_json,
    say, //
};
use crate::cli::{
    Cli,
    Ports,
    ReleaseArgs,
    TakeoverArgs,
    What, //
};
use crate::config::{
    Config,
    Service, //
};
use crate::error::{
    Error,
    Result, //
};
use crate::host::Host;
use crate::notify::How;
use crate::release::{
    self,
    Release, //
};
use crate::steps::{
    Outcome,
    Report,
    Step, //
};
use crate::syslog;
use crate::takeover::{
    self,
    Takeover, //
};
use serde_json::json;
use std::net::IpAddr;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::Duration;

fn service(config: &Config, what: &What) -> Result<(Service, PathBuf)> {
    let known = match (&what.service, &what.path, what.ip) {
        (Some(name), ..) => Some(config.by_name(name)?.clone()),
        (None, None, Some(ip)) => config.by_ip(ip).cloned(),
        _ => None,
    };
    let mut service = match (known, &what.path, what.ip) {
        (Some(service), ..) => service,
        (None, Some(path), Some(ip)) => bare(path, ip),
        _ => {
            return Err(Error::new(
                "name a service of the configuration, or give --path, --fsid and --ip",
            ))
        }
    };
    service.path = what.path.clone().unwrap_or(service.path);
    service.ip = what.ip.unwrap_or(service.ip);
    service.fsid = what.fsid.or(service.fsid);
    service.state_dir = what.state_dir.clone().or(service.state_dir);
    if !service.path.is_absolute() {
        return Err(Error::new(format!(
            "path {} is relative: begin with /",
            service.path.display()
        )));
    }
    let default = || service.state_dir().join("manifest");
    let manifest = what.manifest.clone().unwrap_or_else(default);
    Ok((service, manifest))
}

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

pub(super) fn release(
    cli: &Cli,
    host: &Host,
    config: &Config,
    arguments: &ReleaseArgs,
) -> Result<u8> {
    let (mut service, manifest) = service(config, &arguments.what)?;
    service.fence = arguments.fence.or(service.fence);
    let mut release = Release {
        host,
        config,
        service,
        manifest,
        address: arguments.address,
        unexport: arguments.unexport,
        umount: arguments.umount,
        dry_run: arguments.what.dry_run,
        found: release::Found::default(),
    };
    let mut report = Report::default();
    report.run(&mut release, &release::plan(), |step| said(cli, step));
    if cli.json {
        print_json(json!({
            "command": "release",
            "service": release.service.name,
            "steps": report.steps(),
            "exit": report.exit(),
        }));
    }
    Ok(report.exit())
}

pub(super) fn takeover(
    cli: &Cli,
    host: &Host,
    config: &Config,
    arguments: &TakeoverArgs,
) -> Result<u8> {
    let (mut service, manifest) = service(config, &arguments.what)?;
    service.grace = arguments.grace.or(service.grace);
    let mut takeover = Takeover {
        host,
        config,
        service,
        manifest,
        mount: arguments.mount,
        export: arguments.export,
        address: arguments.address,
        notify: !arguments.no_notify,
        wait_address: Duration::from_secs(arguments.wait_address.into()),
        how: how(cli, arguments.notify_timeout, &arguments.ports),
        told: None,
        dry_run: arguments.what.dry_run,
    };
    let mut report = Report::default();
    report.run(&mut takeover, &takeover::plan(), |step| said(cli, step));
    if let Some(told) = takeover.told.as_ref().filter(|told| told.exit() != 0) {
        say(cli, &told.to_string());
    }
    if cli.json {
        print_json(json!({
            "command": "takeover",
            "service": takeover.service.name,
            "steps": report.steps(),
            "notify": takeover.told,
            "exit": report.exit(),
        }));
    }
    Ok(report.exit())
}

/// Failures are said in any case.
fn said(cli: &Cli, step: &Step) {
    match step.result {
        Outcome::Failed | Outcome::NotDone | Outcome::Incomplete if cli.quiet || cli.json => {
            syslog::error(&step.line());
        }
        _ => say(cli, &step.line()),
    }
}

pub(super) fn how(cli: &Cli, timeout: u32, ports: &Ports) -> How {
    How {
        timeout: Duration::from_secs(timeout.into()),
        port: ports.port,
        rpcbind_port: ports.rpcbind_port,
        progress: !cli.quiet,
    }
}
