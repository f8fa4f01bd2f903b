// SPDX-License-Identifier: GPL-2.0-only

//! The filesystem, and what records its clients.

use super::Takeover;
use crate::config::OnRecordFailure;
use crate::error::{
    Error,
    Result, //
};
use crate::host;
use crate::policy::address;
use crate::release::forget_pairs;
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
        host::run("mount", &arguments)?;
        taken(what, Outcome::Done, device.clone())
    }

    pub(super) fn state_dir(&mut self) -> Result<Taken> {
        let state = self.state();
        let what = format!("{} for rpc.statd's user", state.path().display());
        let user = host::statd_user(&self.config.statd_dir)?;
        let ready = state.exists()
            && [state.path().to_owned(), state.path().join("clients")]
                .iter()
                .all(|dir| host::owner(dir).is_ok_and(|owner| owner.0 == user.0));
        if ready {
            return taken(what, Outcome::Already, "");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        state.create(user)?;
        taken(what, Outcome::Done, "")
    }

    pub(super) fn statd(&mut self) -> Result<Taken> {
        let what = format!("rpc.statd forgets clients of {}", self.service.ip);
        let nfsd = self.nfsd();
        // Then the callout records for us, and would remove the records of whom statd forgets.
        if nfsd.has_floating_ips() && nfsd.is_floating(self.service.ip)? {
            return taken(what, Outcome::Already, "");
        }
        forget_pairs(self.config, &self.service, what, self.dry_run)
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
        let clients = self.state().clients()?;
        trouble.extend(
            clients
                .garbage
                .iter()
                .map(|garbage| format!("skipped {garbage}")),
        );
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
