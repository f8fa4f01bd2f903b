// SPDX-License-Identifier: GPL-2.0-only

//! From the command line to the work and the exit status.

mod called;
mod moves;

use crate::boot;
use crate::check;
use crate::cli::{
    Cli,
    Command,
    Generated,
    NotifyArgs, //
};
use crate::config::Config;
use crate::error::{
    Error,
    Result, //
};
use crate::generate;
use crate::host::Host;
use crate::nfsd::Nfsd;
use crate::notify::Notify;
use crate::status::{
    table,
    Overview, //
};
use crate::syslog;
use called::called;
use clap::Parser;
use moves::{
    bare,
    how,
    release,
    takeover, //
};
use serde_json::{
    json,
    Value, //
};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::thread::sleep;
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
    };
    let load = || Config::load(cli.config.as_deref());
    match &cli.command {
        Command::Release(arguments) => release(cli, &host, &load()?, arguments),
        Command::Takeover(arguments) => takeover(cli, &host, &load()?, arguments),
        Command::Notify(arguments) => notify(cli, &host, &load()?, arguments),
        Command::Status { watch } => status(cli, &load()?, *watch),
        Command::Boot => {
            for line in boot::boot(&load()?, &Nfsd::new(&cli.nfsd))? {
                say(cli, &line);
            }
            Ok(0)
        }
        Command::Config { .. } => config_check(cli, &host),
        Command::Callout { event } => called(cli, &host, event),
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
    let known = config.by_ip(arguments.ip).cloned();
    let mut service = match (known, &arguments.state_dir) {
        (Some(service), _) => service,
        // Which filesystem it is of is needed to see whether that recovers.
        (None, Some(state_dir)) => bare(state_dir.parent().unwrap_or(state_dir), arguments.ip),
        (None, None) => {
            return Err(Error::new(format!(
                "{} is in no [[service]] of the configuration: give --state-dir",
                arguments.ip
            )))
        }
    };
    service.state_dir = arguments.state_dir.clone().or(service.state_dir);
    let notify = Notify {
        host,
        service: &service,
        force: arguments.force,
        how: how(cli, arguments.timeout, &arguments.ports),
    };
    let report = notify.run()?;
    say(cli, &report.to_string());
    if cli.json {
        print_json(json!(report));
    }
    Ok(report.exit())
}

fn status(cli: &Cli, config: &Config, watch: Option<u32>) -> Result<u8> {
    let nfsd = Nfsd::new(&cli.nfsd);
    loop {
        let overview = Overview::take(&nfsd, config)?;
        let text = if cli.json {
            format!("{}\n", overview.json())
        } else if watch.is_some() {
            // Home, and clear to the end.
            format!("\x1b[H\x1b[J{}", table(&overview))
        } else {
            table(&overview)
        };
        if std::io::stdout().write_all(text.as_bytes()).is_err() {
            return Ok(0);
        }
        match watch {
            Some(seconds) => sleep(Duration::from_secs(seconds.into())),
            None => return Ok(0),
        }
    }
}

fn config_check(cli: &Cli, host: &Host) -> Result<u8> {
    let path = cli
        .config
        .clone()
        .unwrap_or(crate::config::DEFAULT_PATH.into());
    let found = match Config::load(Some(&path)) {
        Ok(config) => {
            let mut found = check::check(&config, host);
            found.errors.extend(check::readable(&path));
            found
        }
        Err(error) => check::Findings {
            errors: vec![error.to_string()],
            warnings: Vec::new(),
        },
    };
    for error in &found.errors {
        syslog::error(&format!("error: {error}"));
    }
    for warning in &found.warnings {
        syslog::error(&format!("warning: {warning}"));
    }
    if found.errors.is_empty() {
        say(cli, &format!("{} can be used", path.display()));
    }
    if cli.json {
        print_json(json!({ "errors": found.errors, "warnings": found.warnings }));
    }
    Ok(if found.errors.is_empty() { 0 } else { 1 })
}
