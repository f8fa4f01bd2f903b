// SPDX-License-Identifier: GPL-2.0-only

//! Records are made again from what the kernel knows, or removed by hand.

use super::Look;
use crate::config::{
    Config,
    Service, //
};
use crate::error::{
    Error,
    Result, //
};
use crate::host::{
    self,
    Host, //
};
use crate::nfsd::{
    KnownClient,
    Nfsd, //
};
use crate::policy::address;
use crate::statedir::StateDir;
use nix::libc::ENOENT;

/// Makes the records that are missing, and what they are kept in.
///
/// The kernel is told first that a record is missing: where locks need one, none is granted until
/// it is there again.
pub fn repair(host: &Host, config: &Config, service: &Service, look: &Look) -> Result<()> {
    let nfsd = Nfsd::new(&host.nfsd);
    let mut needed = Vec::new();
    for client in &look.missing {
        if !client.recorded || tell(&nfsd, '!', service, client)? {
            needed.push(client);
        }
    }
    let state = StateDir::of(service).if_mounted(host);
    let user = host::statd_user(&config.statd_dir)?;
    if !state.problems(user).is_empty() {
        state.create(user)?;
    }
    for client in needed {
        state.record(&client.ip.to_string())?;
        tell(&nfsd, '=', service, client)?;
    }
    Ok(())
}

/// Tells the kernel about a client. Returns whether it knows it, or its address, still.
fn tell(nfsd: &Nfsd, sign: char, service: &Service, client: &KnownClient) -> Result<bool> {
    let command = format!("{sign}{} {}", service.ip, client.ip);
    match nfsd.command("floating_ips", &command) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the record of a client that will never come back, from all filesystems behind an address.
pub fn forget(host: &Host, services: &[Service], client: &str) -> Result<bool> {
    let Some(service) = services.first() else {
        return Ok(false);
    };
    let nfsd = Nfsd::new(&host.nfsd);
    let mut known = None;
    if let (true, Some(ip)) = (nfsd.has_floating_ips(), address::parse(client.as_bytes())) {
        let found = nfsd.known(service.ip, Some(ip))?.unwrap_or_default();
        known = found.clients.first().copied();
    }
    if known.is_some_and(|known| known.monitored) {
        return Err(Error::new(format!(
            "{client} has locks through {}, or had some in the last minutes: it stays on record",
            service.ip
        )));
    }
    if let Some(known) = known {
        tell(&nfsd, '-', service, &known)?;
    }
    let mut removed = known.is_some();
    for service in services {
        removed |= StateDir::of(service).if_mounted(host).forget(client)?;
    }
    Ok(removed)
}
