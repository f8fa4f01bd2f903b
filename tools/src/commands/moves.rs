// SPDX-License-Identifier: GPL-2.0-only

//! `release` and `takeover`.

use super::named::named;
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
use crate::edited;
use crate::error::Result;
use crate::grace;
use crate::group;
use crate::host::Host;
use crate::journal::Move;
use crate::nfsd::Nfsd;
use crate::notify::{
    self,
    How, //
};
use crate::now::Now;
use crate::release::{
    self,
    Release, //
};
use crate::signals;
use crate::steps::{
    Outcome,
    Step, //
};
use crate::syslog;
use crate::takeover::{
    self,
    Takeover, //
};
use crate::together::{
    self,
    One,
    Stops, //
};
use crate::turn;
use serde_json::{
    json,
    Value, //
};
use std::time::{
    Duration,
    Instant, //
};

pub(super) fn release(
    cli: &Cli,
    host: &Host,
    config: &Config,
    arguments: &ReleaseArgs,
) -> Result<u8> {
    let named = named(config, &arguments.what, &arguments.also, "release")?;
    let moved: Vec<_> = named.iter().map(|(service, _)| service.clone()).collect();
    let mut releases = together::begin(named.into_iter().map(|(mut service, manifest)| {
        service.fence = arguments.fence.or(service.fence);
        Release {
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
            moved: moved.clone(),
            dry_run: arguments.what.dry_run,
            options: cli.options(),
            found: release::Found::default(),
        }
    }));
    let begun = Instant::now();
    let _turn = (!arguments.what.dry_run)
        .then(|| turn::take(host))
        .transpose()?;
    let edited = edited::as_it_is_here(host, config, &moved)?;
    edited.notes().for_each(|note| syslog::error(&note));
    let say = &mut |step: &Step| said(cli, step);
    together::run(&mut releases, &release::looks(), Stops::Itself, say);
    let rest = release::steps(&releases);
    if together::exit(&releases) == 1 {
        together::not_done(&mut releases, &rest, say);
    } else {
        hold_signals(&arguments.what)?;
        together::run(&mut releases, &rest, Stops::All, say);
    }
    let called_off = release::call_off(&mut releases, say);
    let (exit, has_done) = (together::exit(&releases), together::has_done(&releases));
    let advice = match (exit, called_off) {
        _ if arguments.what.dry_run => "; nothing was done (--dry-run)",
        (1, Some(true)) => "; the release was called off",
        (1, Some(false)) => {
            "; calling the release off FAILED: clients get their locks back by takeover"
        }
        (1, None) if !has_done => "; nothing has changed",
        (1, None) => "; repeat this command when the cause is gone, or call it off with takeover",
        _ => "",
    };
    let mut each = Vec::new();
    for One { on, report } in &releases {
        let now = Now::look(host, config, &on.service);
        say_now(cli, &now, advice, exit);
        if !on.dry_run && has_done {
            let moved = moved_by("release", &on.service, begun, exit);
            Move {
                locks: on.found.locks,
                ..moved
            }
            .log(host);
        }
        each.push(json!({
            "command": "release",
            "service": on.service.name,
            "steps": report.steps(),
            "now": now,
            "held_back": signals::came(),
            "exit": exit,
        }));
    }
    print_each(cli, "release", each, exit);
    Ok(exit)
}

/// One object, or one that has all of them.
fn print_each(cli: &Cli, command: &str, mut each: Vec<Value>, exit: u8) {
    match (cli.json, each.len()) {
        (false, _) => {}
        (true, 1) => print_json(each.remove(0)),
        _ => print_json(json!({ "command": command, "services": each, "exit": exit })),
    }
}

/// What is known of a move in any case.
pub(super) fn moved_by(action: &str, service: &Service, begun: Instant, exit: u8) -> Move {
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
pub(super) fn taken_over(
    takeover: &Takeover<'_>,
    told: Option<&notify::Report>,
    begun: Instant,
    exit: u8,
) -> Move {
    let service = &takeover.service;
    let count = |count: usize| count as u64;
    let status = Nfsd::new(&takeover.host.nfsd).status().unwrap_or_default();
    let mut units = status.units_of(&service.path, service.fsid, service.ip);
    let unit = units.find(|unit| unit.recovers());
    let number = |key| unit.and_then(|unit| unit.number(key));
    Move {
        locks: number("manifest"),
        reclaimed: number("reclaimed"),
        refused: number("refused"),
        told: told.map(|told| count(told.clients.len())),
        answered: told.map(|told| count(told.answered())),
        ..moved_by("takeover", service, begun, exit)
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
    let named = named(config, &arguments.what, &arguments.also, "takeover")?;
    let moved: Vec<_> = named.iter().map(|(service, _)| service.clone()).collect();
    let grace = arguments.grace.or_else(|| grace::longest(host, &moved));
    let addresses = group::addresses(&moved);
    let mut takeovers = together::begin(named.into_iter().map(|(mut service, manifest)| {
        service.grace = grace;
        Takeover {
            host,
            config,
            service,
            manifest,
            mount: arguments.mount,
            export: arguments.export,
            address: arguments.address,
            notify: !arguments.no_notify,
            addresses: addresses.clone(),
            wait_address: Duration::from_secs(arguments.wait_address.into()),
            how: how(cli, arguments.notify_timeout, &arguments.ports),
            told: None,
            dry_run: arguments.what.dry_run,
            force: arguments.what.force,
            fresh: false,
            beside: false,
            absent: false,
            away: Vec::new(),
            expect_none: arguments.expect_none,
            until: None,
            options: cli.options(),
        }
    }));
    let begun = Instant::now();
    let turn = (!arguments.what.dry_run)
        .then(|| turn::take(host))
        .transpose()?;
    // Clients of an address are told to reclaim on all that they know behind it. After a crash somebody may
    // know better.
    let mut overruled = false;
    match edited::as_it_is_here(host, config, &moved) {
        Ok(edited) => edited.notes().for_each(|note| syslog::error(&note)),
        Err(error) if arguments.what.force => {
            overruled = true;
            syslog::error(&format!("--force: {error}"));
        }
        Err(error) => return Err(error),
    }
    let plan = takeover::plan();
    let (look, rest) = plan.split_at(takeover::LOOKS);
    let say = &mut |step: &Step| said(cli, step);
    together::run(&mut takeovers, look, Stops::Itself, say);
    // First all that clients need, of all addresses; then all clients are told at the same time,
    // as none may have to wait for those of another address who are dead.
    let (serve, tell) = rest.split_at(rest.len() - 1);
    // Nothing was done yet, so nothing is begun if one of them cannot be finished.
    let possible = together::exit(&takeovers) != 1;
    let stops = Stops::Filesystem("address");
    if possible {
        hold_signals(&arguments.what)?;
        together::run(&mut takeovers, serve, stops, say);
    } else {
        together::not_done(&mut takeovers, serve, say);
    }
    // Telling clients may take long, and nothing is moved by it.
    drop(turn);
    match possible {
        true => together::run_at_once(&mut takeovers, tell, stops, say),
        false => together::not_done(&mut takeovers, tell, say),
    }
    let exit = match together::exit(&takeovers) {
        0 if overruled => 3,
        exit => exit,
    };
    let has_done = together::has_done(&takeovers);
    let advice = match exit {
        _ if arguments.what.dry_run => "; nothing was done (--dry-run)",
        1 if !has_done => "; nothing has changed",
        1 => "; repeat this command when the cause is gone",
        _ => "",
    };
    let mut each = Vec::new();
    for One { on, report } in &takeovers {
        if let Some(told) = on.told.as_ref().filter(|told| told.exit() != 0) {
            super::say(cli, &told.to_string());
        }
        let now = Now::look(host, config, &on.service);
        say_now(cli, &now, advice, exit);
        if !on.dry_run && has_done {
            // With the first of an address, clients of all are told.
            let mut same = takeovers
                .iter()
                .filter(|one| one.on.service.ip == on.service.ip);
            let told = same.find_map(|one| one.on.told.as_ref());
            taken_over(on, told, begun, exit).log(host);
        }
        each.push(json!({
            "command": "takeover",
            "service": on.service.name,
            "steps": report.steps(),
            "notify": on.told,
            "now": now,
            "held_back": signals::came(),
            "exit": exit,
        }));
    }
    print_each(cli, "takeover", each, exit);
    Ok(exit)
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
