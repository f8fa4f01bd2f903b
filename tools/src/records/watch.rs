// SPDX-License-Identifier: GPL-2.0-only

//! Looking at the records every other second, and listing connections, as long as a floating IP is
//! active here.

use super::errand::Errand;
use super::lists::List;
use super::{
    named,
    repair,
    trouble,
    Look, //
};
use crate::config::{
    Config,
    Service, //
};
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::{
    self,
    Host, //
};
use crate::nfsd::Nfsd;
use crate::program;
use crate::signals;
use crate::syslog::Level;
use crate::turn;
use nix::fcntl::Flock;
use nix::unistd::setsid;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::process::{
    Command,
    Stdio, //
};
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

const PAUSE: Duration = Duration::from_secs(2);

/// If there is nothing to look at, it is found out that there never will be in one of so many.
const SELDOM: u32 = 10;

/// The lock of whoever watches.
pub const TURN: &str = "records.lock";

/// How long the process that is to watch may take to begin.
const BEGIN: Duration = Duration::from_secs(5);

/// The unit of systemd that does it.
const UNIT: &str = "nfs-failover-records.service";

/// What is looked after of one service.
#[derive(Default)]
struct Watched {
    records: Errand,
    connections: List,
}

/// Watches until no floating IP is active here. Returns whether it did: one process is enough.
pub fn watch(host: &Host, load: impl Fn() -> Result<Config>) -> Result<bool> {
    // It outlives the terminal that a takeover was made from. By hand it is a session's, or a job.
    let _ = setsid();
    signals::let_through()?;
    let config = load()?;
    let Some(_lock) = alone(host)? else {
        return Ok(false);
    };
    let nfsd = Nfsd::new(&host.nfsd);
    // One that is not served rests, whatever others have its address. A name may be given twice.
    let key = |service: &Service| (service.path.clone(), service.ip);
    let mut watched: HashMap<_, Watched> = HashMap::new();
    let mut config = config;
    let mut idle = 0;
    while nfsd.has_floating_ips() {
        // What cannot be read now was right before.
        config = load().unwrap_or(config);
        let (served, others): (Vec<_>, Vec<_>) = config
            .services
            .iter()
            .partition(|service| is_served(host, service));
        for service in others {
            if let Some(watched) = watched.get_mut(&key(service)) {
                watched.connections.rest();
            }
        }
        for service in &served {
            let watched = watched.entry(key(service)).or_default();
            watched.next(host, &config, service);
        }
        let any = !served.is_empty();
        // Whoever has a control file open keeps the module from being unloaded.
        if !any && idle % SELDOM == 0 && nfsd.floating_ips()?.is_empty() {
            break;
        }
        idle = if any { 0 } else { idle + 1 };
        sleep(PAUSE);
    }
    Ok(true)
}

/// Whether clients can come. While the address is not up they cannot, and whoever moves the
/// filesystem wants to have it for himself.
pub(super) fn is_served(host: &Host, service: &Service) -> bool {
    host.is_mounted(&service.path).unwrap_or(true) && host::is_local(service.ip).unwrap_or(true)
}

/// The lock of whoever watches. Who looks whether somebody does has it for a moment, too.
fn alone(host: &Host) -> Result<Option<Flock<File>>> {
    let deadline = Instant::now() + BEGIN / 5;
    loop {
        let lock = turn::only_one(host, TURN)?;
        if lock.is_some() || Instant::now() >= deadline {
            return Ok(lock);
        }
        sleep(PAUSE / 40);
    }
}

impl Watched {
    fn next(&mut self, host: &Host, config: &Config, service: &Service) {
        let hangs = || {
            format!(
                "records of floating IP {} cannot be looked at: {} does not answer",
                service.ip,
                service.path.display()
            )
        };
        let all = (host.clone(), config.clone(), service.clone());
        let work = move || look(&all.0, &all.1, &all.2);
        self.records.next(Level::Critical, hangs, work);
        self.connections.next(host, service);
    }
}

/// Looks once and puts right what is wrong. Returns what there is to say.
fn look(host: &Host, config: &Config, service: &Service) -> Option<String> {
    let text = |why: String| {
        format!(
            "records of floating IP {} ({}): {why}",
            service.ip,
            service.path.display()
        )
    };
    let look = match Look::take(host, config, service) {
        Ok(look) => look.filter(|look| !look.is_well())?,
        Err(error) => return Some(text(error.to_string())),
    };
    let repaired = repair(host, config, service, &look);
    let mut said = look.trouble.clone();
    if !look.missing.is_empty() {
        said.push(format!("no record of {}", named(&look.missing)));
    }
    said.push(match repaired {
        Ok(()) if trouble(host, config, service).is_empty() => "this was put right".into(),
        Ok(()) => "all who are known are on record".into(),
        Err(error) => format!(
            "NOT PUT RIGHT, locks are LOST if this node crashes: {error}; it is tried again every 2 s"
        ),
    });
    Some(text(said.join("; ")))
}

/// Makes sure that somebody watches: systemd's unit, or a process of our own with these options.
pub fn start(host: &Host, options: &[String]) -> Result<()> {
    // Tests have files of their own.
    let systemd = Path::new("/run/systemd/system").exists()
        && host.nfsd == Path::new(crate::nfsd::DEFAULT_DIR);
    let mut own = None;
    if !(systemd && program::run("systemctl", &["start", UNIT]).is_ok()) {
        let child = Command::new("/proc/self/exe")
            .args(options)
            .args(["records", "--watch"])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context(|| "nobody watches the records: cannot start another process".into())?;
        own = Some(child);
    }
    // That it was started does not mean that it does.
    let deadline = Instant::now() + BEGIN;
    while turn::only_one(host, TURN)?.is_some() {
        let ended = own.as_mut().and_then(|child| child.try_wait().ok()?);
        match ended {
            // It has found nothing to watch.
            Some(status) if status.success() => break,
            None if Instant::now() < deadline => sleep(PAUSE / 40),
            _ => {
                return Err(Error::new(
                    "nobody watches the records: \"nfs-failoverctl records --watch\" says why",
                ));
            }
        }
    }
    Ok(())
}
