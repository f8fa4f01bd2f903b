// SPDX-License-Identifier: GPL-2.0-only

//! The filesystem, and what records its clients.

use super::Takeover;
use crate::config::OnRecordFailure;
use crate::error::{
    Error,
    Result, //
};
use crate::host;
use crate::inuse::nfs4;
use crate::policy::address;
use crate::program;
use crate::records::{
    self,
    watch, //
};
use crate::release::forget_pairs;
use crate::statd;
use crate::steps::{
    taken,
    Outcome,
    Taken, //
};

impl Takeover<'_> {
    pub(super) fn mount(&mut self) -> Result<Taken> {
        let path = self.service.path.display().to_string();
        let what = format!("mount {path}");
        if self.host.is_mounted(&self.service.path)? {
            return taken(what, Outcome::Already, "");
        }
        if !self.mount {
            return Err(Error::new(format!(
                "nothing is mounted at {path}: mount the filesystem first, or use --mount"
            )));
        }
        let device = self
            .service
            .device
            .as_ref()
            .map(|device| device.display().to_string());
        let device = device.ok_or_else(|| {
            Error::new("--mount needs device of the service in the configuration")
        })?;
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        let mut arguments = vec![];
        if let Some(options) = &self.service.mount_options {
            arguments.extend(["-o", options.as_str()]);
        }
        arguments.extend([device.as_str(), path.as_str()]);
        program::run("mount", &arguments)?;
        if !self.host.is_mounted(&self.service.path)? {
            return Err(Error::new(format!(
                "mount said that all is well, but nothing is mounted at {path}"
            )));
        }
        taken(what, Outcome::Done, device.clone())
    }

    /// Has nfsd forget the NFSv4 clients that it has of an earlier time with the address: what they
    /// hold by that is not what they hold now, and coming back to it would cost them seconds for each
    /// file, or what they have. Who has something on the filesystem, as it is mounted now, is served.
    pub(super) fn nfs4(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let what = format!("NFSv4 clients of an earlier time with {ip} are expired");
        if host::is_local(ip)? {
            return taken(what, Outcome::Skipped, "the address is up");
        }
        let mut mounted = Vec::new();
        for service in self.behind() {
            mounted.extend(self.host.mount_at(&service.path)?);
        }
        let mut clients = nfs4::clients_of(&self.host.nfsd, ip);
        clients.retain(|client| !mounted.iter().any(|mount| client.is_served(mount.device)));
        if clients.is_empty() {
            return taken(what, Outcome::Already, "");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, clients.len().to_string());
        }
        let failed: Vec<_> = clients
            .iter()
            .filter_map(|client| client.expire().err())
            .map(|error| error.to_string())
            .collect();
        match failed.is_empty() {
            true => taken(what, Outcome::Done, clients.len().to_string()),
            false => taken(what, Outcome::Incomplete, failed.join("; ")),
        }
    }

    pub(super) fn state_dir(&mut self) -> Result<Taken> {
        let state = self.state();
        let what = format!("{}/clients for rpc.statd's user", state.path().display());
        let user = host::statd_user(&self.config.statd_dir)?;
        let problems = state.problems(user);
        if problems.is_empty() {
            return taken(what, Outcome::Already, "");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, problems.join("; "));
        }
        let replaced = state.create(user)?;
        if replaced.is_empty() {
            return taken(what, Outcome::Done, "");
        }
        taken(
            what,
            Outcome::Incomplete,
            format!(
                "{}: whoever was on record there will not be told; somebody who can write there did that",
                replaced.join("; ")
            ),
        )
    }

    pub(super) fn statd(&mut self) -> Result<Taken> {
        let what = format!("rpc.statd forgets clients of {}", self.service.ip);
        let nfsd = self.nfsd();
        // Then the callout records for us, and would remove the records of whom statd forgets.
        if nfsd.has_floating_ips() && nfsd.is_floating(self.service.ip)? {
            return taken(what, Outcome::Already, "");
        }
        let patience = (!self.dry_run).then_some(statd::BRIEFLY);
        let (result, why) = forget_pairs(self.host, self.config, &self.service, patience);
        taken(what, result, why)
    }

    pub(super) fn floating_ips(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let nfsd = self.nfsd();
        let confirm = match self.config.on_record_failure {
            OnRecordFailure::Refuse => " confirm",
            OnRecordFailure::Grant => "",
        };
        let command = format!("+{ip}{confirm}");
        let what = format!("{command} in floating_ips");
        if !nfsd.has_floating_ips() {
            return taken(what, Outcome::Incomplete, "this module has no floating_ips: its clients will not be recorded, install a newer one");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        nfsd.command("floating_ips", &command)?;
        let mut trouble = Vec::new();
        if let Err(error) = host::statd_user(&self.config.statd_dir)
            .and_then(|user| nfsd.give_floating_ips_to(user))
        {
            trouble.push(error.to_string());
        }
        let behind = self.behind();
        for service in &behind {
            trouble.extend(records::trouble(self.host, self.config, service));
        }
        let clients = records::Union::read(self.host, &behind)?;
        trouble.extend(
            clients
                .garbage
                .iter()
                .map(|garbage| format!("skipped {garbage}")),
        );
        // Each filesystem takes all of them along.
        trouble.extend(clients.complete(self.host, &behind));
        let mut known = 0;
        for client in clients.names {
            // Of clients by name, the kernel does not know which address is meant.
            let Some(address) = address::parse(client.as_bytes()) else {
                continue;
            };
            match nfsd.command("floating_ips", &format!("={ip} {address}")) {
                Ok(()) => known += 1,
                Err(error) => trouble.push(error.to_string()),
            }
        }
        // A client could remove the records.
        if let Err(error) = watch::start(self.host, &self.options) {
            trouble.push(error.to_string());
        }
        let clients = format!("{known} clients are on record");
        match trouble.first() {
            None => taken(what, Outcome::Done, clients),
            Some(first) if trouble.len() == 1 => {
                taken(what, Outcome::Incomplete, format!("{clients}; {first}"))
            }
            Some(first) => taken(
                what,
                Outcome::Incomplete,
                format!("{clients}; {first}; and {} more", trouble.len() - 1),
            ),
        }
    }
}
