// SPDX-License-Identifier: GPL-2.0-only

//! A release that cannot be finished is called off: the filesystem is served here again, as if it
//! had been taken over, and clients get back what they held.

use super::Release;
use crate::announce::announce;
use crate::config::Service;
use crate::connections::tickle::tell;
use crate::error::Result;
use crate::export;
use crate::exporttable::{
    argument,
    Table, //
};
use crate::grace;
use crate::group;
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
use crate::together::{
    self,
    One,
    Stops, //
};
use std::mem;
use std::path::PathBuf;
use std::time::Duration;

/// Calls a release off if a step has failed after a fence. Returns whether that succeeded, [`None`] if it
/// is not called for.
///
/// All filesystems that were to leave recover here again, also one that was not released yet: who is told
/// reclaims on each of them, and loses what it reclaims outside of a recovery. One that was not here when
/// the release began may be elsewhere, and stays there. If it has been released here before, its clients
/// wait for it, and nobody is told.
pub fn call_off(
    all: &mut [One<Release<'_>>],
    say: &mut (impl FnMut(&Step) + Send),
) -> Option<bool> {
    let fenced = all.iter().any(|one| one.on.found.fenced);
    let downed = all.iter().any(|one| !one.on.found.downed.is_empty());
    let reached = all.iter().any(|one| one.on.can_be_reached());
    // Without a fence nothing but that was done, and clients reclaim as if nothing were.
    let called_for = if fenced { reached } else { downed };
    if together::exit(all) != 1 || !called_for {
        return None;
    }
    let mut reports: Vec<_> = all
        .iter_mut()
        .map(|one| mem::take(&mut one.report))
        .collect();
    if !fenced {
        let up: [(&'static str, Action<Release<'_>>); 1] = [("address", Release::address_again)];
        together::run(all, &up, Stops::Itself, say);
        let up = together::exit(all) != 1;
        collect(&mut reports, all);
        put_back(all, reports);
        return Some(up);
    }
    let away: Vec<_> = all
        .iter()
        .filter(|one| one.on.found.gone)
        .map(|one| one.on.service.path.clone())
        .collect();
    let mut back = together::begin(all.iter().map(|one| one.on.back(&away)));
    together::run(&mut back, &takeover::before_clients(), Stops::All, say);
    let failed = together::exit(&back) == 1;
    collect(&mut reports, &mut back);
    let own: [(&'static str, Action<Release<'_>>); 2] = [
        ("export", Release::export_again),
        ("address", Release::address_again),
    ];
    if failed {
        together::not_done(all, &own, say);
    } else {
        together::run(all, &own, Stops::All, say);
    }
    let mut failed = failed || together::exit(all) == 1;
    collect(&mut reports, all);
    if !failed {
        let beside = beside_up(all);
        back.extend(together::begin(beside.iter().map(|(at, service)| {
            Takeover {
                service: service.clone(),
                ..all[*at].on.back(&away)
            }
        })));
        let told = group::addresses(back.iter().map(|one| &one.on.service));
        for one in &mut back {
            one.on.addresses.clone_from(&told);
        }
        // At the same time: the recovery would be over before those of the last address are told.
        together::run_at_once(&mut back, &takeover::tell_clients(), Stops::Itself, say);
        failed = together::exit(&back) == 1;
        let mut others = back.split_off(all.len());
        collect(&mut reports, &mut back);
        for (one, (at, _)) in others.iter_mut().zip(beside) {
            reports[at].append(mem::take(&mut one.report));
        }
    }
    put_back(all, reports);
    Some(!failed)
}

fn put_back(all: &mut [One<Release<'_>>], reports: Vec<Report>) {
    for (one, report) in all.iter_mut().zip(reports) {
        one.report = report;
    }
}

/// Appends what was done to what had been done.
fn collect<T>(reports: &mut [Report], all: &mut [One<T>]) {
    for (report, one) in reports.iter_mut().zip(all) {
        report.append(mem::take(&mut one.report));
    }
}

/// The services by whose addresses other clients use the filesystems here, each with the place of what
/// has the same filesystem: what these clients held was dropped, too.
fn beside_up(all: &[One<Release<'_>>]) -> Vec<(usize, Service)> {
    let mut found: Vec<(usize, Service)> = Vec::new();
    let here = |(_, one): &(usize, &One<Release<'_>>)| one.on.found.mounted;
    for (at, one) in all.iter().enumerate().filter(here) {
        for other in &one.on.config.services {
            let told = all.iter().any(|one| one.on.service.ip == other.ip)
                || found.iter().any(|(_, known)| known.ip == other.ip);
            if other.path == one.on.service.path
                && !told
                && host::is_local(other.ip).unwrap_or(true)
            {
                found.push((at, other.clone()));
            }
        }
    }
    found
}

impl<'a> Release<'a> {
    /// Whether clients can come here to get back what was dropped.
    fn can_be_reached(&self) -> bool {
        !self.found.downed.is_empty() || host::is_local(self.service.ip).unwrap_or(false)
    }

    /// The takeover of what was to leave.
    fn back(&self, away: &[PathBuf]) -> Takeover<'a> {
        let mut back = Takeover {
            host: self.host,
            config: self.config,
            service: Service {
                grace: grace::longest(self.host, &self.moved),
                ..self.service.clone()
            },
            manifest: self.manifest.clone(),
            // What somebody else has unmounted may be elsewhere by now.
            mount: self.found.umounted.is_some(),
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
            beside: false,
            absent: !self.found.mounted,
            away: away.to_vec(),
            expect_none: true,
            addresses: group::addresses(&self.moved),
            until: None,
            options: self.options.clone(),
        };
        if let Some(device) = &self.found.umounted {
            back.service
                .device
                .get_or_insert_with(|| PathBuf::from(device));
        }
        back
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
        let (mut result, mut said) = (Outcome::Already, Vec::new());
        for address in &self.found.downed {
            if interface::of(address.ip)?.contains(address) {
                continue;
            }
            interface::up(address)?;
            result = Outcome::Done;
            if let Err(error) = announce(&address.interface, address.ip) {
                said.push(error.to_string());
            }
        }
        // Their connections have ended here as well, and they do not know. If they cannot be told they are
        // late, and that is all: who has to reclaim is told after this.
        if let (Some(Ok(believed)), false) = (&self.found.believed, self.found.downed.is_empty()) {
            said.extend(tell(self.service.ip, believed).said());
        }
        taken(what, result, said.join("; "))
    }
}
