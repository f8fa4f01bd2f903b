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
use crate::doctor::sheet;
use crate::error::{
    Error,
    Result, //
};
use crate::host::Host;
use crate::journal::Move;
use crate::nfsd::Nfsd;
use crate::notify::How;
use crate::now::Now;
use crate::release::{
    self,
    Release, //
};
use crate::signals;
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
use crate::turn;
use serde_json::json;
use std::net::IpAddr;
use std::path::{
    Path,
    PathBuf, //
};
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

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
        expire_nfs4: arguments.expire_nfs4,
        force: arguments.what.force,
        how: how(cli, 900, &Ports::default()),
        dry_run: arguments.what.dry_run,
        options: cli.options(),
        found: release::Found::default(),
    };
    let begun = Instant::now();
    let mut report = Report::default();
    let _turn = (!arguments.what.dry_run)
        .then(|| turn::take(host))
        .transpose()?;
    report.run(&mut release, &release::looks(), |step| said(cli, step));
    let rest = release.steps();
    if report.exit() == 1 {
        report.not_done(&rest, |step| said(cli, step));
    } else {
        hold_signals(&arguments.what)?;
        report.run(&mut release, &rest, |step| said(cli, step));
    }
    let called_off = release.call_off(&mut report, |step| said(cli, step));
    let now = Now::look(host, config, &release.service);
    let advice = match (report.exit(), called_off) {
        _ if release.dry_run => "; nothing was done (--dry-run)",
        (1, Some(true)) => "; the release was called off",
        (1, Some(false)) => {
            "; calling the release off FAILED: clients get their locks back by takeover"
        }
        (1, None) if !report.has_done() => "; nothing has changed",
        (1, None) => "; repeat this command when the cause is gone, or call it off with takeover",
        _ => "",
    };
    say_now(cli, &now, advice, report.exit());
    if !release.dry_run && report.has_done() {
        let moved = moved("release", &release.service, begun, report.exit());
        Move {
            locks: release.found.locks,
            ..moved
        }
        .log(host);
    }
    if cli.json {
        print_json(json!({
            "command": "release",
            "service": release.service.name,
            "steps": report.steps(),
            "now": now,
            "held_back": signals::came(),
            "exit": report.exit(),
        }));
    }
    Ok(report.exit())
}

/// What is known of a move in any case.
pub(super) fn moved(action: &str, service: &Service, begun: Instant, exit: u8) -> Move {
    Move {
        action: action.into(),
        service: service.name.clone(),
        ip: service.ip.to_string(),
        fsid: service.fsid.map(|fsid| fsid.to_string()),
        time: sheet::now() as u64,
        seconds: begun.elapsed().as_secs_f64(),
        exit,
        ..Move::default()
    }
}

/// And of a takeover, by what the kernel has of it now.
pub(super) fn taken_over(host: &Host, takeover: &Takeover<'_>, begun: Instant, exit: u8) -> Move {
    let service = &takeover.service;
    let told = takeover.told.as_ref();
    let count = |count: usize| count as u64;
    let status = Nfsd::new(&host.nfsd).status().unwrap_or_default();
    let mut units = status.units_of(&service.path, service.fsid, service.ip);
    let unit = units.find(|unit| unit.recovers());
    let number = |key| unit.and_then(|unit| unit.number(key));
    Move {
        locks: number("manifest"),
        reclaimed: number("reclaimed"),
        refused: number("refused"),
        told: told.map(|told| count(told.clients.len())),
        answered: told.map(|told| count(told.answered())),
        ..moved("takeover", service, begun, exit)
    }
}

/// From here to the last line.
fn hold_signals(what: &What) -> Result<()> {
    match what.dry_run {
        true => Ok(()),
        false => signals::hold(),
    }
}

/// The last line. It is said in any case if all is not well.
fn say_now(cli: &Cli, now: &Now, advice: &str, exit: u8) {
    let came = signals::came().join(", ");
    let held = match came.is_empty() {
        true => String::new(),
        false => format!("; held back until now: {came}"),
    };
    let line = format!("{now}{advice}{held}");
    if exit != 0 && (cli.quiet || cli.json) {
        syslog::error(&line);
    } else {
        say(cli, &line);
    }
}

pub(super) fn takeover(
    cli: &Cli,
    host: &Host,
    config: &Config,
    arguments: &TakeoverArgs,
) -> Result<u8> {
    let (service, manifest) = service(config, &arguments.what)?;
    let mut services = vec![service];
    for name in &arguments.also {
        services.push(same_filesystem(config, &services, name)?);
    }
    let several = services.len() > 1;
    let mut takeovers: Vec<_> = services
        .into_iter()
        .map(|mut service| {
            service.grace = arguments.grace.or(service.grace);
            Takeover {
                host,
                config,
                service,
                manifest: manifest.clone(),
                mount: arguments.mount,
                export: arguments.export,
                address: arguments.address,
                notify: !arguments.no_notify,
                alone: !several,
                wait_address: Duration::from_secs(arguments.wait_address.into()),
                how: how(cli, arguments.notify_timeout, &arguments.ports),
                told: None,
                dry_run: arguments.what.dry_run,
                force: arguments.what.force,
                fresh: false,
                expect_none: arguments.expect_none,
                patience: Duration::ZERO,
                options: cli.options(),
            }
        })
        .collect();
    let begun = Instant::now();
    let mut reports: Vec<_> = takeovers.iter().map(|_| Report::default()).collect();
    let turn = (!arguments.what.dry_run)
        .then(|| turn::take(host))
        .transpose()?;
    let plan = takeover::plan();
    let (look, rest) = plan.split_at(takeover::LOOKS);
    for (takeover, report) in takeovers.iter_mut().zip(&mut reports) {
        report.run(takeover, look, |step| said(cli, step));
    }
    // Nothing was done yet, so nothing is begun if one of them cannot be finished.
    let possible = reports.iter().all(|report| report.exit() != 1);
    if possible {
        hold_signals(&arguments.what)?;
    }
    // First all that clients need, of all addresses; then all clients are told at the same time,
    // as none may have to wait for those of another address who are dead.
    let (serve, tell) = rest.split_at(rest.len() - 1);
    for (takeover, report) in takeovers.iter_mut().zip(&mut reports) {
        if possible {
            report.run(takeover, serve, |step| said(cli, step));
        } else {
            report.not_done(serve, |step| said(cli, step));
        }
    }
    // Telling clients may take long, and nothing is moved by it.
    drop(turn);
    thread::scope(|scope| {
        for (takeover, report) in takeovers.iter_mut().zip(&mut reports) {
            scope.spawn(move || {
                if possible && report.exit() != 1 {
                    report.run(takeover, tell, |step| said(cli, step));
                } else {
                    report.not_done(tell, |step| said(cli, step));
                }
            });
        }
    });
    let mut each = Vec::new();
    for (takeover, report) in takeovers.iter().zip(&reports) {
        if let Some(told) = takeover.told.as_ref().filter(|told| told.exit() != 0) {
            say(cli, &told.to_string());
        }
        let now = Now::look(host, config, &takeover.service);
        let advice = match report.exit() {
            _ if takeover.dry_run => "; nothing was done (--dry-run)",
            1 if !report.has_done() => "; nothing has changed",
            1 => "; repeat this command when the cause is gone",
            _ => "",
        };
        say_now(cli, &now, advice, report.exit());
        if !takeover.dry_run && report.has_done() {
            taken_over(host, takeover, begun, report.exit()).log(host);
        }
        each.push(json!({
            "command": "takeover",
            "service": takeover.service.name,
            "steps": report.steps(),
            "notify": takeover.told,
            "now": now,
            "held_back": signals::came(),
            "exit": report.exit(),
        }));
    }
    let exits: Vec<_> = reports.iter().map(Report::exit).collect();
    // What failed comes before what is left to do.
    let exit = if exits.contains(&1) {
        1
    } else {
        exits.into_iter().max().unwrap_or(0)
    };
    if cli.json {
        print_json(match each.pop() {
            Some(only) if !several => only,
            last => {
                each.extend(last);
                json!({ "command": "takeover", "services": each, "exit": exit })
            }
        });
    }
    Ok(exit)
}

/// A service with another address of the filesystem of those that were named before.
fn same_filesystem(config: &Config, before: &[Service], name: &str) -> Result<Service> {
    let service = config.by_name(name)?;
    let first = &before[0];
    if (&service.path, service.fsid) != (&first.path, first.fsid) {
        return Err(Error::new(format!(
            "{name} is of another filesystem than {}: take it over by a command of its own",
            first.name
        )));
    }
    if before.iter().any(|before| before.ip == service.ip) {
        return Err(Error::new(format!("{name} is named twice")));
    }
    Ok(service.clone())
}

/// Failures are said in any case.
pub(super) fn said(cli: &Cli, step: &Step) {
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
