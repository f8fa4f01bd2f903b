// SPDX-License-Identifier: GPL-2.0-only

//! From the command line to the work and the exit status.

use crate::boot;
use crate::callout;
use crate::check;
use crate::cli::{
    Cli,
    Command,
    Event,
    Generated,
    NotifyArgs,
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
use crate::generate;
use crate::host::Host;
use crate::nfsd::Nfsd;
use crate::notify::{
    How,
    Notify, //
};
use crate::release::{
    self,
    Release, //
};
use crate::status::{
    table,
    Overview, //
};
use crate::steps::{
    Report,
    Step, //
};
use crate::syslog;
use crate::takeover::{
    self,
    Takeover, //
};
use clap::Parser;
use serde_json::{
    json,
    Value, //
};
use std::ffi::OsString;
use std::io::Write;
use std::path::{
    Path,
    PathBuf, //
};
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
            for line in boot::boot(&load()?)? {
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

fn bare(path: &Path, ip: std::net::IpAddr) -> Service {
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

fn release(cli: &Cli, host: &Host, config: &Config, arguments: &ReleaseArgs) -> Result<u8> {
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

fn takeover(cli: &Cli, host: &Host, config: &Config, arguments: &TakeoverArgs) -> Result<u8> {
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
    use crate::steps::Outcome;
    match step.result {
        Outcome::Failed | Outcome::NotDone | Outcome::Incomplete if cli.quiet || cli.json => {
            syslog::error(&step.line());
        }
        _ => say(cli, &step.line()),
    }
}

fn how(cli: &Cli, timeout: u32, ports: &Ports) -> How {
    How {
        timeout: Duration::from_secs(timeout.into()),
        port: ports.port,
        rpcbind_port: ports.rpcbind_port,
        progress: !cli.quiet,
    }
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

fn called(cli: &Cli, host: &Host, event: &Event) -> Result<u8> {
    use crate::syslog::{
        say,
        Level, //
    };
    let load = || {
        Config::load(cli.config.as_deref()).inspect_err(|error| {
            say(Level::Critical, &format!("clients of floating IPs are NOT RECORDED: {error}; \"nfs-failoverctl config check\" says more"));
        })
    };
    match event {
        Event::SmNotify(_) => Ok(0),
        Event::AddClient(client) => {
            let again = again(cli, &client.mon_name, &client.my_name);
            let recorded =
                callout::add_client(&load()?, host, &client.mon_name, &client.my_name, &again);
            Ok(if recorded { 0 } else { 1 })
        }
        Event::DelClient(client) => {
            callout::del_client(&load()?, host, &client.mon_name, &client.my_name).map(|()| 0)
        }
        Event::Retry(client) => {
            callout::retry(&load()?, host, &client.mon_name, &client.my_name).map(|()| 0)
        }
        Event::Detach { arguments } => callout::detached(arguments).map(|()| 0),
    }
}

/// The command line of a later try.
fn again(cli: &Cli, client: &str, my_name: &str) -> Vec<String> {
    let mut again = vec![];
    if let Some(config) = &cli.config {
        again.extend(["--config".into(), config.display().to_string()]);
    }
    again.extend(["--nfsd".into(), cli.nfsd.display().to_string()]);
    again.extend(["--mountinfo".into(), cli.mountinfo.display().to_string()]);
    again.extend(["callout", "retry", "--", client, my_name].map(String::from));
    again
}
