// SPDX-License-Identifier: GPL-2.0-only

//! What a release does that nobody else does. It fails only if locks may still be held or granted
//! here, for then the node is fenced; and it succeeds only if it was seen that they are not.

use super::super::moves::{
    how,
    moved,
    said, //
};
use super::start::failures;
use super::{
    load_module,
    Resource, //
};
use crate::cli::Ports;
use crate::error::{
    Error,
    Result, //
};
use crate::host;
use crate::journal::Move;
use crate::manifest::Found;
use crate::nfsd::Nfsd;
use crate::ocf::facts::Facts;
use crate::ocf::judge::{
    is_listed,
    is_untouched,
    State, //
};
use crate::ocf::parameters::Call;
use crate::ocf::{
    notifier,
    Answer, //
};
use crate::policy::command::DEFAULT_FENCE;
use crate::release::{
    self,
    Release, //
};
use crate::signals;
use crate::status::line::Line;
use crate::steps::Report;
use crate::syslog;
use crate::turn;
use std::net::IpAddr;
use std::time::{
    Duration,
    Instant, //
};

impl Resource<'_> {
    pub(super) fn stop(&self, call: Call) -> Result<Answer> {
        let begun = Instant::now();
        for service in &self.services {
            // It sees by itself that nobody can reclaim here any more.
            if let Err(error) = notifier::end(self.host, service) {
                syslog::error(&error.to_string());
            }
        }
        let _turn = turn::take_within(self.host, call.turn())?;
        signals::hold()?;
        let slowness = call.slowness_of_stop(begun.elapsed());
        match self.as_it_was_taken_over() {
            Some(resource) => resource.end(slowness),
            None => self.end(slowness),
        }
    }

    /// The same at the path at which it is served, if the configuration file has another one by now.
    fn as_it_was_taken_over(&self) -> Option<Self> {
        let facts = Facts::look(self.host, &self.config, &self.services);
        let path = facts.elsewhere.as_ref().ok()?.clone()?;
        if !facts.is_floating() {
            return None;
        }
        let mut resource = self.clone();
        let here = &self.service().path;
        let all = resource.config.services.iter_mut();
        for service in all.chain(&mut resource.services) {
            if service.path == *here {
                service.path.clone_from(&path);
            }
        }
        Some(resource)
    }

    /// Ends it. The disk may be busy for so long.
    fn end(&self, slowness: Duration) -> Result<Answer> {
        let (mut facts, mut state) = self.look();
        if facts.module == Ok(None) && state != State::Stopped {
            // It may have been unloaded while nothing recovered.
            if let Err(answer) = load_module() {
                syslog::error(&answer.reason);
            }
            (facts, state) = self.look();
        }
        if let State::Unseen(why) = &state {
            // Nothing was done yet, and locks may be held.
            return Err(Error::new(format!(
                "it cannot be seen what is held here: {why}"
            )));
        }
        let strangers = match &state {
            State::Edited(_) => self.strangers(&facts)?,
            _ => Vec::new(),
        };
        match &facts.module {
            // Nothing was taken over here, or it has been released.
            Ok(_) if state == State::Stopped => {}
            Err(why) => return Err(Error::new(why)),
            Ok(None) => self.drop_without_module(&facts)?,
            Ok(Some(module)) if module.hooks_dead => self.drop_without_module(&facts)?,
            Ok(Some(_)) if facts.mount == Ok(None) => self.forget(&facts)?,
            Ok(Some(_)) => {
                let list = matches!(self.list(slowness)?, Found::Manifest(_));
                match (is_listed(&facts, list), is_untouched(&facts, list)) {
                    (true, _) => self.without_addresses()?,
                    (_, true) => self.undo()?,
                    _ => self.release()?,
                }
            }
        }
        for ip in strangers {
            self.without_address(ip)?;
        }
        self.see_that_it_has_stopped(facts.is_floating())
    }

    /// The address under which it was taken over may not be in the file any more: it is one of these. One
    /// that is up is of somebody else.
    fn strangers(&self, facts: &Facts) -> Result<Vec<IpAddr>> {
        let Ok(Some(module)) = &facts.module else {
            return Ok(Vec::new());
        };
        // It has been under its own; or the address waits to come up for another filesystem.
        if facts.is_floating() || self.others_recover()? {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for ip in &module.strangers {
            if !host::is_local(*ip)? {
                found.push(*ip);
            }
        }
        Ok(found)
    }

    /// Whether clients of another filesystem can reclaim here.
    fn others_recover(&self) -> Result<bool> {
        let status = Nfsd::new(&self.host.nfsd).status()?;
        let is_ours = |unit: &Line| self.services.iter().any(|own| unit.is_of_service(own));
        let mut units = status.units();
        Ok(units.any(|unit| unit.recovers() && !is_ours(unit)))
    }

    /// Takes a takeover back that did not get as far as to use the list of locks. What it has begun
    /// would make the kernel list that nobody has anything.
    fn undo(&self) -> Result<()> {
        self.without_addresses()?;
        self.end_recovery().or_else(|_| self.fence())
    }

    /// The filesystem has left already, by whatever way. Who has files open on it keeps it although it
    /// is unmounted, and it may be mounted elsewhere.
    fn forget(&self, facts: &Facts) -> Result<()> {
        self.fence()?;
        if facts.is_floating() {
            // As long as that cannot be told it has not stopped, however often that is tried.
            self.knows_the_disk()?;
        }
        self.without_addresses()
    }

    /// Fails if it cannot be seen whether somebody has the disk of what is not mounted any more.
    fn knows_the_disk(&self) -> Result<()> {
        let known = |service| release::known_disk(service).is_some();
        if self.services.iter().any(known) {
            return Ok(());
        }
        let mut named = self.services.iter().filter_map(|it| it.device.as_ref());
        let why = match named.next() {
            Some(device) => format!("{} is not there: mend device", device.display()),
            None => "the configuration file names none: write device into it".into(),
        };
        Err(Error::new(format!(
            "{} was served here and is not mounted any more, and whether its disk is still in use cannot be seen, as {why}, or reboot this node",
            self.service().path.display()
        )))
    }

    /// Drops the locks, without a list.
    pub(super) fn fence(&self) -> Result<()> {
        let service = self.service();
        let Some(fsid) = service.fsid else {
            return Ok(());
        };
        let seconds = service.fence.unwrap_or(DEFAULT_FENCE);
        let command = format!("{fsid} fence={seconds}");
        Nfsd::new(&self.host.nfsd)
            .converse("nlm_unlock", &command)
            .map(drop)
    }

    pub(super) fn without_addresses(&self) -> Result<()> {
        self.services
            .iter()
            .try_for_each(|service| self.without_address(service.ip))
    }

    fn without_address(&self, ip: IpAddr) -> Result<()> {
        let nfsd = Nfsd::new(&self.host.nfsd);
        match nfsd.command("floating_ips", &format!("-{ip}")) {
            Err(error) if error.errno() != Some(nix::libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }

    fn release(&self) -> Result<()> {
        let begun = Instant::now();
        let mut releases: Vec<_> = self
            .services
            .iter()
            .map(|service| Release {
                host: self.host,
                config: &self.config,
                service: service.clone(),
                manifest: self.manifest(),
                address: false,
                unexport: false,
                umount: false,
                expire_nfs4: self.parameters.expire_nfs4,
                // Whatever is found, as much as possible is dropped. What is left is seen after that.
                force: true,
                how: how(self.cli, 900, &Ports::default()),
                dry_run: false,
                options: self.options(),
                found: release::Found::default(),
            })
            .collect();
        let mut reports: Vec<_> = releases.iter().map(|_| Report::default()).collect();
        let mut failed = false;
        for (at, (release, report)) in releases.iter_mut().zip(&mut reports).enumerate() {
            let say = &mut |step: &_| said(self.cli, step);
            // The locks of all addresses are dropped with the first.
            failed |= match at {
                0 => report.again(release, &release::managed(), say),
                _ => report.again(release, &release::beside(), say),
            };
        }
        for (release, report) in releases.iter().zip(&reports) {
            Move {
                locks: release.found.locks,
                ..moved("release", &release.service, begun, report.exit())
            }
            .log(self.host);
        }
        match failed {
            true => Err(Error::new(format!(
                "the release failed: {}",
                failures(&reports)
            ))),
            false => Ok(()),
        }
    }

    /// Whatever was done, and whatever that said.
    fn see_that_it_has_stopped(&self, was_floating: bool) -> Result<Answer> {
        let (facts, why) = self.see(&State::Stopped);
        if let Some(why) = why {
            return Err(Error::new(format!(
                "locks may still be held or granted here: {why}"
            )));
        }
        // It has left, and the next node would mount what somebody has here.
        if facts.mount == Ok(None) {
            let hidden = self.services.iter().find_map(release::is_hidden);
            hidden.map_or(Ok(()), |why| Err(Error::new(why)))?;
            if was_floating {
                self.knows_the_disk()?;
            }
        }
        if let Ok(Some(ip)) = facts.up.map(|up| up.first().copied()) {
            syslog::error(&format!(
                "{ip} is still up: clients that use it wait until the fence is over; in the group, put this resource in front of its addresses"
            ));
        }
        Ok(Answer::success())
    }
}
