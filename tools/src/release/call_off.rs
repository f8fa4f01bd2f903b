// SPDX-License-Identifier: GPL-2.0-only

//! A release that cannot be finished is called off: the filesystem is served here again, as if it
//! had been taken over, and clients get back what they held.

use super::Release;
use crate::announce::announce;
use crate::config::Service;
use crate::error::Result;
use crate::export;
use crate::exporttable::{
    argument,
    Table, //
};
use crate::host;
use crate::interface;
use crate::notify;
use crate::program;
use crate::steps::{
    taken,
    Action,
    Outcome,
    Report,
    Step,
    Taken, //
};
use crate::takeover::{
    self,
    Takeover, //
};
use std::path::PathBuf;
use std::time::Duration;

impl Release<'_> {
    /// Whether locks were dropped that clients can get back here.
    fn can_be_called_off(&self) -> bool {
        let up = || host::is_local(self.service.ip).unwrap_or(false);
        self.found.fenced && (!self.found.downed.is_empty() || up())
    }

    /// Calls it off if the steps so far have failed after the fence. Returns whether that succeeded,
    /// [`None`] if it is not called for.
    pub fn call_off(&mut self, report: &mut Report, mut say: impl FnMut(&Step)) -> Option<bool> {
        if report.exit() != 1 {
            return None;
        }
        if !self.found.fenced && !self.found.downed.is_empty() {
            // Nothing but that was done, and clients reclaim as if nothing were.
            let up: [(&'static str, Action<Self>); 1] = [("address", Self::address_again)];
            return Some(!report.again(self, &up, &mut say));
        }
        if !self.can_be_called_off() {
            return None;
        }
        let mut back = Takeover {
            host: self.host,
            config: self.config,
            service: self.service.clone(),
            manifest: self.manifest.clone(),
            mount: true,
            export: false,
            address: false,
            notify: true,
            wait_address: Duration::ZERO,
            how: notify::How {
                timeout: Duration::from_secs(60),
                ..self.how.clone()
            },
            told: None,
            dry_run: false,
            force: true,
            fresh: false,
            expect_none: true,
            patience: Duration::ZERO,
            alone: true,
            options: self.options.clone(),
        };
        if let Some(device) = &self.found.umounted {
            back.service
                .device
                .get_or_insert_with(|| PathBuf::from(device));
        }
        let mut failed = report.again(&mut back, &takeover::before_clients(), &mut say);
        let own: [(&'static str, Action<Self>); 2] = [
            ("export", Self::export_again),
            ("address", Self::address_again),
        ];
        if failed {
            report.not_done(&own, &mut say);
        } else {
            failed = report.again(self, &own, &mut say);
        }
        if !failed {
            for service in self.services_up() {
                back.service = service;
                failed |= report.again(&mut back, &takeover::tell_clients(), &mut say);
            }
        }
        Some(!failed)
    }

    /// This service, and those by whose addresses other clients use the filesystem here: what these
    /// held was dropped, too.
    fn services_up(&self) -> Vec<Service> {
        let beside = self.config.services.iter().filter(|other| {
            other.path == self.service.path
                && other.ip != self.service.ip
                && host::is_local(other.ip).unwrap_or(true)
        });
        let mut services = vec![self.service.clone()];
        services.extend(beside.cloned());
        services
    }

    fn export_again(&mut self) -> Result<Taken> {
        let path = self.service.path.display().to_string();
        let what = format!("export {path} again");
        let ours = export::File::new(self.host, &self.service.path);
        if self.found.had_file {
            // First, as in a takeover. What could not be withdrawn was in it, too.
            let table = Table::read(self.host, self.config).unwrap_or_default();
            let mut exports = self.found.withdrawn.clone();
            let still = table.of(&self.service.path);
            let still = still
                .into_iter()
                .filter(|export| export.listed && !self.found.withdrawn.contains(export));
            exports.extend(still.cloned());
            ours.write(&exports)?;
        }
        if self.found.withdrawn.is_empty() {
            return taken(what, Outcome::Already, "");
        }
        for export in &self.found.withdrawn {
            program::run(
                "exportfs",
                &[
                    "-o",
                    &export.options,
                    &argument(&export.client, &export.path),
                ],
            )?;
        }
        taken(what, Outcome::Done, "")
    }

    fn address_again(&mut self) -> Result<Taken> {
        let what = format!("{} up again", self.service.ip);
        let mut result = Outcome::Already;
        for address in &self.found.downed {
            if interface::of(address.ip)?.contains(address) {
                continue;
            }
            interface::up(address)?;
            result = Outcome::Done;
            if let Err(error) = announce(&address.interface, address.ip) {
                return taken(what, result, error.to_string());
            }
        }
        taken(what, result, "")
    }
}
