// SPDX-License-Identifier: GPL-2.0-only

//! From the command line to the work and the exit status.

mod called;
mod doctor;
mod moves;
mod named;
mod ocf;
mod setup;

use crate::apart;
use crate::boot;
use crate::check;
use crate::cli::{
    Cli,
    Command,
    Generated,
    NotifyArgs,
    RecordsArgs, //
};
use crate::config::Config;
use crate::doctor::{
    sheet,
    statd, //
};
use crate::edited;
use crate::error::{
    Error,
    Result, //
};
use crate::generate;
use crate::group;
use crate::host::Host;
use crate::nfsd::Nfsd;
use crate::notify::Notify;
use crate::program;
use crate::records::{
    self,
    watch::watch, //
};
use crate::signals;
use crate::status::{
    node,
    prometheus,
    table,
    Overview, //
};
use crate::syslog;
use called::called;
use clap::Parser;
use moves::{
    how,
    release,
    said,
    takeover, //
};
use named::bare;
use serde_json::{
    json,
    Value, //
};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// The name under which statd calls us.
const CALLOUT: &str = "statd-callout";

/// Does what the command line says. Returns the exit status.
pub fn main(arguments: impl Iterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(with_callout(arguments.collect())) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    run(&cli).unwrap_or_else(|error| {
        syslog::error(&format!("nfs-failoverctl: {error}"));
        if cli.json {
            print_json(json!({ "error": error.to_string() }));
        }
        1
    })
}

/// statd cannot pass "callout" along.
fn with_callout(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == CALLOUT) {
        arguments.insert(1, "callout".into());
    }
    arguments
}

fn run(cli: &Cli) -> Result<u8> {
    let host = Host {
        nfsd: cli.nfsd.clone(),
        mountinfo: cli.mountinfo.clone(),
        root: cli.root.clone(),
        rpcbind_port: cli.local_rpcbind,
    };
    let load = || Config::load(cli.config.as_deref());
    match &cli.command {
        Command::Release(arguments) => release(cli, &host, &load()?, arguments),
        Command::Takeover(arguments) => takeover(cli, &host, &load()?, arguments),
        Command::Notify(arguments) => notify(cli, &host, &load()?, arguments),
        Command::Status {
            prometheus: Some(file),
            ..
        } => metrics(&host, load(), file.as_deref()),
        Command::Status { watch, .. } => status(cli, &host, &load()?, *watch),
        Command::Records(arguments) => match arguments.watch {
            true => watch(&host, load).map(|watched| {
                if !watched {
                    say(cli, "the records are being watched already");
                }
                0
            }),
            false => records(cli, &host, &load()?, arguments),
        },
        Command::Boot => {
            for line in boot::boot(&load()?, &host)? {
                say(cli, &line);
            }
            Ok(0)
        }
        Command::Setup(arguments) => setup::setup(cli, &host, arguments),
        Command::Doctor(arguments) => doctor::doctor(cli, &host, arguments),
        Command::Config { .. } => config_check(cli, &host),
        Command::Callout { event } => called(cli, &host, event),
        Command::Ocf { action, wait } => Ok(ocf::ocf(cli, &host, action, *wait)),
        Command::Store { mount, file } => {
            signals::let_through()?;
            Ok(apart::store(mount, file))
        }
        Command::Exec { words } => Ok(program::become_program(words)),
        Command::Generate { what, dir } => {
            match what {
                Generated::Man => generate::man(dir)?,
                Generated::Completions => generate::completions(dir)?,
            }
            Ok(0)
        }
    }
}

/// Standard output is for JSON, if that is wanted.
fn say(cli: &Cli, line: &str) {
    match (cli.quiet, cli.json) {
        (true, _) => {}
        (false, true) => syslog::error(line),
        (false, false) => {
            syslog::print(line);
        }
    }
}

fn print_json(value: Value) {
    syslog::print(&value.to_string());
}

fn notify(cli: &Cli, host: &Host, config: &Config, arguments: &NotifyArgs) -> Result<u8> {
    let mut services: Vec<_> = config.of_ip(arguments.ip).cloned().collect();
    match (&mut services[..], &arguments.state_dir) {
        ([_, _, ..], Some(_)) => {
            return Err(Error::new(format!(
                "{} is the address of several filesystems, each of which has a state_dir: leave --state-dir out",
                arguments.ip
            )))
        }
        ([service], state_dir) => service.state_dir = state_dir.clone().or(service.state_dir.take()),
        // Which filesystem it is of is needed to see whether that recovers.
        ([], Some(state_dir)) => {
            let mut service = bare(state_dir.parent().unwrap_or(state_dir), arguments.ip);
            service.state_dir = Some(state_dir.clone());
            services.push(service);
        }
        ([], None) => {
            return Err(Error::new(format!(
                "{} is in no [[service]] of the configuration: give --state-dir",
                arguments.ip
            )))
        }
        (_, None) => {}
    }
    if let Some(why) = group::one_state_dir(&services) {
        return Err(Error::new(why));
    }
    let notify = Notify {
        host,
        config,
        services: &services,
        force: arguments.force,
        how: how(cli, arguments.timeout, &arguments.ports),
    };
    if !arguments.force {
        edited::nothing_left_behind(host, config, &services)?;
    }
    let mut unwell = Vec::new();
    for service in &services {
        unwell.extend(records::Look::take(host, config, service)?.filter(|look| !look.is_well()));
    }
    let report = notify.run()?;
    say(cli, &report.to_string());
    for look in &unwell {
        syslog::error(&look.to_string());
    }
    if cli.json {
        let mut value = json!(report);
        if let (Some(look), Value::Object(object)) = (unwell.first(), &mut value) {
            object.insert("records".into(), look.json());
        }
        print_json(value);
    }
    Ok(if unwell.is_empty() { report.exit() } else { 3 })
}

fn records(cli: &Cli, host: &Host, config: &Config, arguments: &RecordsArgs) -> Result<u8> {
    if let (Some(client), Some(ip)) = (&arguments.forget, arguments.ip) {
        let services: Vec<_> = config.of_ip(ip).cloned().collect();
        if services.is_empty() {
            return Err(Error::new(format!(
                "{ip} is in no [[service]] of the configuration"
            )));
        }
        let text = match records::forget(host, &services, client)? {
            true => "is not on record any more",
            false => "was not on record",
        };
        say(cli, &format!("{client} {text}"));
        return Ok(0);
    }
    let mut exit = 0;
    let take = |service| {
        let look = records::Look::take(host, config, service).transpose()?;
        Some(look.map(|look| (service, look)))
    };
    let looks = config.services.iter().filter_map(take);
    let looks = looks.collect::<Result<Vec<_>>>()?;
    for (service, look) in &looks {
        say(cli, &look.to_string());
        if look.is_well() {
            continue;
        }
        let left = records::repair(host, config, service, look)
            .and_then(|()| records::Look::take(host, config, service));
        match left {
            Ok(left) if left.as_ref().is_none_or(records::Look::is_well) => {
                if exit == 0 {
                    exit = 3;
                }
                say(cli, &format!("{} of {}: put right", look.ip, look.service));
            }
            Ok(_) => exit = 1,
            Err(error) => {
                exit = 1;
                syslog::error(&format!("{} of {}: {error}", look.ip, look.service));
            }
        }
    }
    if cli.json {
        let looks: Vec<_> = looks.iter().map(|(_, look)| look.json()).collect();
        print_json(json!({ "records": looks, "exit": exit }));
    }
    Ok(exit)
}

/// One look. While hooks are dead the module cannot be asked for clients, and that is to be shown.
fn overview(host: &Host, config: &Config) -> Result<Overview> {
    let mut overview = Overview::take(host, config)?;
    with_records(&mut overview, host, config)?;
    Ok(overview)
}

fn with_records(overview: &mut Overview, host: &Host, config: &Config) -> Result<()> {
    overview.records = match records::all(host, config) {
        Err(_) if overview.status.hooks_dead() => Vec::new(),
        records => records?,
    };
    Ok(())
}

fn status(cli: &Cli, host: &Host, config: &Config, watch: Option<u32>) -> Result<u8> {
    let nfsd = Nfsd::new(&host.nfsd);
    loop {
        // What changes while it is looked at is a reason to look again.
        let changes = watch.map(|_| nfsd.changes()).transpose()?;
        let overview = overview(host, config)?;
        let text = if cli.json {
            let mut whole = overview.json();
            for (name, value) in node::json(host, config) {
                whole.insert(name.into(), value);
            }
            format!("{}\n", Value::Object(whole))
        } else if watch.is_some() {
            // Home, and clear to the end.
            format!("\x1b[H\x1b[J{}", table(&overview))
        } else {
            table(&overview)
        };
        if std::io::stdout().write_all(text.as_bytes()).is_err() {
            return Ok(0);
        }
        match watch.zip(changes) {
            Some((seconds, changes)) => changes.wait(Duration::from_secs(seconds.into())),
            None if overview.is_well() => return Ok(0),
            None => return Ok(3),
        }
    }
}

/// What was seen is told in any case: nobody looks at a file that is not written any more.
fn metrics(host: &Host, config: Result<Config>, file: Option<&Path>) -> Result<u8> {
    let loaded = host.sys().join("module/nfs_failover").exists();
    let mut facts = prometheus::Facts {
        loaded,
        callout: statd::calls(host),
        time: sheet::now(),
        ..prometheus::Facts::default()
    };
    let seen = config.and_then(|config| {
        facts.services = node::served(host, &config);
        // Without the module there is nothing more to be seen.
        if !loaded && Nfsd::new(&host.nfsd).check().is_err() {
            return Ok(());
        }
        let overview = facts.overview.insert(Overview::take(host, &config)?);
        with_records(overview, host, &config)
    });
    facts.up = seen.is_ok();
    let text = prometheus::text(&facts);
    match file {
        Some(file) => prometheus::write(file, &text)?,
        None => drop(std::io::stdout().write_all(text.as_bytes())),
    }
    seen.map(|()| 0)
}

fn config_check(cli: &Cli, host: &Host) -> Result<u8> {
    let path = cli
        .config
        .clone()
        .unwrap_or(crate::config::DEFAULT_PATH.into());
    let found = check::file(&path, host);
    let (errors, warnings) = (found.errors(), found.warnings());
    for error in &errors {
        syslog::error(&format!("error: {error}"));
    }
    for warning in &warnings {
        syslog::error(&format!("warning: {warning}"));
    }
    if errors.is_empty() {
        say(cli, &format!("{} can be used", path.display()));
    }
    if cli.json {
        print_json(json!({ "errors": errors, "warnings": warnings }));
    }
    Ok(if errors.is_empty() { 0 } else { 1 })
}
