// SPDX-License-Identifier: GPL-2.0-only

//! rpc.statd's `-H` program. statd waits for it with all clients, and it runs as statd's user.

mod retry;

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
use crate::statedir::StateDir;
use crate::syslog::{
    say,
    Level, //
};
use std::net::IpAddr;

pub use retry::{
    detached,
    retry, //
};

/// One client that uses one floating IP.
struct Pair<'a> {
    client: &'a str,
    service: &'a Service,
    policy: OnRecordFailure,
    host: &'a Host,
}

/// The service whose floating IP statd was told as our name.
fn service_of<'a>(config: &'a Config, my_name: &str) -> Option<&'a Service> {
    config.by_ip(address::parse(my_name.as_bytes())?)
}

/// `add-client`: the client is recorded when this returns true.
///
/// `again` are the arguments with which to start this program for a later try.
pub fn add_client(
    config: &Config,
    host: &Host,
    client: &str,
    my_name: &str,
    again: &[String],
) -> bool {
    let Some(service) = service_of(config, my_name) else {
        return true;
    };
    let pair = Pair {
        client,
        service,
        policy: config.on_record_failure,
        host,
    };
    let Err(error) = pair.record_and_confirm() else {
        return true;
    };
    let ip = service.ip;
    let then = match config.on_record_failure {
        OnRecordFailure::Refuse => "the kernel refuses its locks with ENOLCK until it is recorded",
        OnRecordFailure::Grant => "its locks are granted, and LOST if this node crashes",
    };
    say(Level::Critical, &format!(
        "client {client} of floating IP {ip} ({}) is NOT RECORDED: {error}; {then}; it is tried again every second",
        service.path.display()
    ));
    if let Err(error) = retry::detach(again) {
        say(
            Level::Critical,
            &format!("client {client} of floating IP {ip} will not be tried again: {error}"),
        );
    }
    false
}

impl Pair<'_> {
    fn record_and_confirm(&self) -> Result<()> {
        self.record()?;
        self.confirm()
    }

    /// The directory is never created here: without the filesystem it would be on the root's.
    fn record(&self) -> Result<()> {
        let path = &self.service.path;
        let state_dir = self.service.state_dir();
        if state_dir.starts_with(path) && !self.host.is_mounted(path)? {
            return Err(Error::new(format!(
                "nothing is mounted at {}",
                path.display()
            )));
        }
        let state = StateDir::new(&state_dir, self.service.ip);
        if !state.exists() {
            return Err(Error::new(format!(
                "{}/clients is missing, \"nfs-failoverctl takeover {}\" creates it",
                state.path().display(),
                self.service.name
            )));
        }
        state.record(self.client).map(drop)
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
        let command = format!("={} {client}", self.service.ip);
        match Nfsd::new(&self.host.nfsd).command("floating_ips", &command) {
            Err(error) if must => Err(Error::new(format!("recorded, but {error}"))),
            _ => Ok(()),
        }
    }
}

/// `del-client`: statd has stopped to monitor the client.
///
/// After a release the records belong to the node that has the floating IP now.
pub fn del_client(config: &Config, host: &Host, client: &str, my_name: &str) -> Result<()> {
    let Some(service) = service_of(config, my_name) else {
        return Ok(());
    };
    if !is_ours(host, service.ip) {
        return Ok(());
    }
    StateDir::new(&service.state_dir(), service.ip)
        .forget(client)
        .map(drop)
        .inspect_err(|error| {
            say(
                Level::Notice,
                &format!(
                    "record of client {client} of floating IP {}: {error}",
                    service.ip
                ),
            );
        })
}

/// Whether the kernel says that the address is served here. If it cannot be asked, it is not.
fn is_ours(host: &Host, ip: IpAddr) -> bool {
    Nfsd::new(&host.nfsd).is_floating(ip).unwrap_or(false)
}
