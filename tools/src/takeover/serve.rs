// SPDX-License-Identifier: GPL-2.0-only

//! Clients come back: in this order they find what they look for.

use super::Takeover;
use crate::announce::announce;
use crate::config::Service;
use crate::connections::tickle::{
    Tickled,
    Tickling, //
};
use crate::error::{
    Error,
    Result, //
};
use crate::export::{
    self,
    exports,
    interface, //
};
use crate::exporttable::argument;
use crate::host;
use crate::interface::{
    of,
    up,
    Address, //
};
use crate::notify::Notify;
use crate::program;
use crate::records::Union;
use crate::signals;
use crate::statedir::StateDir;
use crate::steps::{
    taken,
    Outcome,
    Taken, //
};
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

/// How long to tell those who do not answer, while others have not been told.
const OTHERS_WAIT: Duration = Duration::from_secs(15);

impl Takeover<'_> {
    pub(super) fn export(&mut self) -> Result<Taken> {
        let path = self.service.path.display().to_string();
        let what = format!("export {path}");
        if !self.export {
            return taken(what, Outcome::Skipped, "left to the cluster manager");
        }
        let exports = exports(&self.service)?;
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        // With one of these, exportfs fails whatever it does.
        export::remove_left_over(self.host)?;
        // First: whoever runs "exportfs -r" from now on finds it there.
        export::File::new(self.host, &self.service.path).write(&exports)?;
        for export in exports {
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

    pub(super) fn address(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let what = format!("{ip} up");
        let there = of(ip)?;
        if !there.is_empty() {
            // Whoever brought it up may have been killed before the network was told.
            let failed = there
                .iter()
                .filter(|_| self.address && !self.dry_run)
                .find_map(|address| announce(&address.interface, ip).err());
            return taken(
                what,
                Outcome::Already,
                failed.map_or(String::new(), |error| error.to_string()),
            );
        }
        if !self.address {
            return taken(what, Outcome::Skipped, "left to the cluster manager");
        }
        let (interface, prefix) = interface(&self.service)?;
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        // What came before may have taken long. Who serves nobody's clients does not mind.
        for service in self.behind() {
            if self.recovering(&service)?.is_empty() && !self.expect_none {
                return Err(Error::new(format!(
                    "{} does not recover here any more, so clients would lose their locks, and {ip} stays down: repeat this command, with a longer --grace if the time was over",
                    service.path.display()
                )));
            }
        }
        up(&Address {
            interface: interface.into(),
            ip,
            prefix: prefix.into(),
        })?;
        // Whoever is not there to hear of it asks by itself, later.
        let told = announce(interface, ip);
        taken(
            what,
            Outcome::Done,
            told.err().map_or(String::new(), |error| error.to_string()),
        )
    }

    pub(super) fn notify(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let what = format!("tell the clients of {ip}");
        if !self.notify && self.dry_run {
            return taken(what, Outcome::Skipped, "--no-notify");
        }
        if !self.notify {
            // Who notifies may come later, or never, and clients use NFSv4, too.
            let tickled = and(&Tickling::begin(self.host, ip, &self.behind()).end());
            return taken(what, Outcome::Skipped, format!("--no-notify{tickled}"));
        }
        let behind = self.behind();
        if behind.is_empty() {
            return taken(what, Outcome::Skipped, "nothing behind it was here before");
        }
        if self.dry_run {
            let mut there = behind;
            there.retain(|service| StateDir::of(service).if_mounted(self.host).exists());
            let clients = Union::read(self.host, &there)?.names.len();
            return taken(what, Outcome::Would, format!("{clients} clients"));
        }
        let deadline = Instant::now() + self.wait_address;
        while !host::is_local(ip)? {
            if Instant::now() >= deadline || !signals::came().is_empty() {
                return taken(
                    what,
                    Outcome::Incomplete,
                    format!(
                        "{ip} is not up here; when it is, run \"nfs-failoverctl notify --ip {ip}\""
                    ),
                );
            }
            sleep(Duration::from_millis(50));
        }
        let others = self.others();
        let mut how = self.how.clone();
        if !others.is_empty() {
            how.timeout = how.timeout.min(OTHERS_WAIT);
        }
        let notify = Notify {
            host: self.host,
            config: self.config,
            services: &behind,
            force: false,
            how,
        };
        let report = notify.run()?;
        if report.clients.is_empty() && report.complete && !self.none_is_expected()? {
            let tickled = and(&report.tickled);
            self.told = Some(report);
            return taken(what, Outcome::Incomplete, format!("nobody is on record, so nobody was told and nobody reclaims. If that is right, because no NFSv3 client has had a lock there, say so with --expect-none{tickled}"));
        }
        let (answered, all) = (report.answered(), report.clients.len());
        let mut said = format!("{answered} of {all} answered");
        for why in &report.lacks {
            said += &format!(", and {why}");
        }
        if answered < all && !others.is_empty() {
            said += &format!(
                ", and clients of other floating IPs of the filesystem are to be told: take over {others}, too, then run \"nfs-failoverctl notify --ip {ip}\"; or name all services in one takeover"
            );
        }
        said += &and(&report.tickled);
        let result = if report.exit() == 0 {
            Outcome::Done
        } else {
            Outcome::Incomplete
        };
        self.told = Some(report);
        taken(what, result, said)
    }

    /// Whether there may be nobody on record: somebody says so, or nobody held anything.
    fn none_is_expected(&self) -> Result<bool> {
        let status = self.nfsd().status()?;
        let nobody_held = |service: &Service| {
            let mut units = status.units_of(&service.path, service.fsid, service.ip);
            units.any(|unit| unit.get("manifest") == Some("0"))
        };
        Ok(self.expect_none || self.behind().iter().all(nobody_held))
    }

    /// Other services of the filesystem that have clients on record. If they are not taken over by
    /// the same command, these may not have been told yet, and can reclaim only in the same
    /// recovery: who does not answer here must not keep them waiting.
    fn others(&self) -> String {
        let services = &self.config.services;
        let others = services.iter().filter(|other| {
            let state = StateDir::of(other).if_mounted(self.host);
            other.path == self.service.path
                && !self.addresses.contains(&other.ip)
                && state
                    .clients()
                    .is_ok_and(|clients| !clients.names.is_empty())
        });
        let names: Vec<_> = others.map(|other| other.name.as_str()).collect();
        names.join(" and ")
    }
}

/// What there is to say of connections to the node before, behind something else.
fn and(tickled: &Tickled) -> String {
    tickled
        .said()
        .map_or(String::new(), |said| format!("; {said}"))
}
