// SPDX-License-Identifier: GPL-2.0-only

//! rpc.statd's `-H` program. It runs as statd's user. statd waits for it, lockd for statd, and all
//! clients for lockd, those of other filesystems, too: so it never waits long.

mod background;
mod turn;

use crate::config::{
    Config,
    OnRecordFailure,
    Service, //
};
use crate::error::{
    Error,
    Result, //
};
use crate::host::Host;
use crate::nfsd::Nfsd;
use crate::policy::address;
use crate::records::places;
use crate::statedir::StateDir;
use crate::syslog::{
    say,
    Level, //
};
use background::Said;
use std::net::{
    IpAddr,
    ToSocketAddrs, //
};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use turn::{
    Turn,
    PATIENCE, //
};

pub use background::{
    forget,
    record, //
};

/// One client that uses one floating IP.
struct Pair<'a> {
    client: &'a str,
    ip: IpAddr,
    /// The filesystems behind it. It is not known on which of them the client locks.
    services: Vec<&'a Service>,
    policy: OnRecordFailure,
    host: &'a Host,
}

/// The services whose floating IP statd was told as our name; none if it is no such address.
fn services_of<'a>(config: &'a Config, my_name: &str) -> Option<(IpAddr, Vec<&'a Service>)> {
    let ip = address::parse(my_name.as_bytes())?;
    let services: Vec<_> = config.of_ip(ip).collect();
    (!services.is_empty()).then_some((ip, services))
}

fn named(all: impl Iterator<Item = PathBuf>) -> String {
    let names: Vec<_> = all.map(|path| path.display().to_string()).collect();
    names.join(" or ")
}

/// `add-client`: the client is recorded when this returns true.
///
/// `again` are the arguments with which this program records it.
pub fn add_client(config: &Config, client: &str, my_name: &str, again: &[String]) -> bool {
    let Some((ip, services)) = services_of(config, my_name) else {
        return true;
    };
    let patience = match turn::hangs(config, ip) {
        true => Duration::ZERO,
        false => PATIENCE,
    };
    let (why, again) = match background::start(again, Stdio::null(), patience) {
        Ok(Said::Done) => return true,
        Ok(Said::Failed(why)) => (why, "it is tried again every second"),
        Ok(Said::Nothing) => (
            format!(
                "nothing can be written to {}",
                named(services.iter().map(|service| service.state_dir()))
            ),
            "it will be when the filesystem answers",
        ),
        Err(error) => (error.to_string(), "it is not tried again"),
    };
    let then = match config.on_record_failure {
        OnRecordFailure::Refuse => "the kernel refuses its locks with ENOLCK until it is recorded",
        OnRecordFailure::Grant => "its locks are granted, and LOST if this node crashes",
    };
    say(
        Level::Critical,
        &format!(
            "client {client} of floating IP {ip} ({}) is NOT RECORDED: {why}; {then}; {again}",
            named(services.iter().map(|service| service.path.clone()))
        ),
    );
    false
}

impl Pair<'_> {
    fn record_and_confirm(&self) -> Result<()> {
        self.record()?;
        self.confirm()
    }

    /// On each filesystem, whether the others answer or not.
    fn record(&self) -> Result<()> {
        let services = places(self.host, &self.services);
        if let [service] = services[..] {
            return self.record_on(service);
        }
        thread::scope(|scope| {
            let each: Vec<_> = services
                .iter()
                .map(|service| scope.spawn(|| self.record_on(service)))
                .collect();
            let failed = || Err(Error::new("the thread that should record it has died"));
            each.into_iter()
                .map(|one| one.join().unwrap_or_else(|_| failed()))
                .fold(Ok(()), Result::and)
        })
    }

    /// The directory is never created here: without the filesystem it would be on the root's.
    fn record_on(&self, service: &Service) -> Result<()> {
        let state = StateDir::of(service).if_mounted(self.host);
        let recorded = state.record(self.client).map(drop);
        recorded.map_err(|error| {
            if error.errno() == Some(nix::libc::ENOENT) {
                Error::new(format!(
                    "{}/clients is missing, \"nfs-failoverctl takeover {}\" creates it",
                    state.path().display(),
                    service.name
                ))
            } else {
                error
            }
        })
    }

    /// Tells the kernel that the record is durable. It only waits for that if locks are refused
    /// without.
    fn confirm(&self) -> Result<()> {
        let must = self.policy == OnRecordFailure::Refuse;
        let Some(client) = address::parse(self.client.as_bytes()) else {
            return if must {
                Err(Error::new("its name is not an address, so the kernel cannot be told: load lockd without nsm_use_hostnames"))
            } else {
                Ok(())
            };
        };
        let command = format!("={} {client}", self.ip);
        match Nfsd::new(&self.host.nfsd).command("floating_ips", &command) {
            Err(error) if must => Err(Error::new(format!("recorded, but {error}"))),
            _ => Ok(()),
        }
    }
}

/// `del-client`: statd has stopped to monitor the client.
///
/// After a release the records belong to the node that has the floating IP now. And whose locks
/// were taken away because nfsd was stopped has to be told to reclaim; the kernel still knows it.
///
/// `again` are the arguments with which this program removes the record.
pub fn del_client(
    config: &Config,
    host: &Host,
    client: &str,
    my_name: &str,
    again: &[String],
) -> Result<()> {
    let Some((ip, _)) = services_of(config, my_name) else {
        return Ok(());
    };
    if !is_ours(host, ip) || is_known(host, ip, client) {
        return Ok(());
    }
    // The turn is ours until it is done: a record that is made for the client after this stays.
    let said = match Turn::take(config, ip)? {
        Some(turn) => background::start(again, turn.hand_on()?, PATIENCE)?,
        None => Said::Nothing,
    };
    let why = match said {
        Said::Done => return Ok(()),
        Said::Failed(why) => why,
        Said::Nothing => "the filesystem does not answer in time".into(),
    };
    let text = format!("client {client} of floating IP {ip} stays on record: {why}");
    say(Level::Notice, &text);
    Err(Error::new(text))
}

/// Whether the kernel says that the address is served here. If it cannot be asked, it is not.
fn is_ours(host: &Host, ip: IpAddr) -> bool {
    Nfsd::new(&host.nfsd).is_floating(ip).unwrap_or(false)
}

/// Whether the kernel needs the record of a client. If it cannot be asked, it does.
fn is_known(host: &Host, ip: IpAddr, client: &str) -> bool {
    let addresses = match address::parse(client.as_bytes()) {
        Some(address) => vec![address],
        // lockd was loaded with nsm_use_hostnames.
        None => match (client, 0).to_socket_addrs() {
            Ok(found) => found.map(|socket| socket.ip()).collect(),
            Err(_) => return true,
        },
    };
    addresses.into_iter().any(
        |address| match Nfsd::new(&host.nfsd).known(ip, Some(address)) {
            Ok(known) => known.is_some_and(|known| !known.clients.is_empty()),
            Err(_) => true,
        },
    )
}
