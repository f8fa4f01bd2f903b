// SPDX-License-Identifier: GPL-2.0-only

//! What a release does that nobody else does. It fails only if locks may still be held or granted
//! here, for then the node is fenced; and it succeeds only if it was seen that they are not.

use super::super::moves::{
    how,
    moved_by,
    said, //
};
use super::start::failures;
use super::{
    load_module,
    manifest,
    Part,
    Resource,
    Seen, //
};
use crate::cli::Ports;
use crate::config::Service;
use crate::error::{
    Error,
    Result, //
};
use crate::host;
use crate::journal::Move;
use crate::manifest::Found;
use crate::mark;
use crate::nfsd::Nfsd;
use crate::ocf::judge::{
    is_listed,
    is_untouched,
    judge,
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
use crate::steps::Step;
use crate::syslog;
use crate::together::{
    self,
    One,
    Stops, //
};
use crate::turn;
use std::net::IpAddr;
use std::time::Instant;

impl Resource<'_> {
    pub(super) fn stop(&self, call: Call) -> Result<Answer> {
        let begun = Instant::now();
        // Before anybody is kept from being told.
        self.is_as_taken_over()?;
        for service in self.addresses() {
            // It sees by itself that nobody can reclaim here any more.
            if let Err(error) = notifier::end(self.host, service) {
                syslog::error(&error.to_string());
            }
        }
        let _turn = turn::take_within(self.host, call.turn())?;
        signals::hold()?;
        let until = Instant::now() + call.slowness_of_stop(begun.elapsed());
        match self.as_it_was_taken_over() {
            Some(resource) => resource.drop_what_is_here(until),
            None => self.drop_what_is_here(until),
        }
    }

    /// The same at the paths at which it is served, if the configuration file has others by now.
    fn as_it_was_taken_over(&self) -> Option<Self> {
        let mut edited = Vec::new();
        for Part { service, facts, .. } in self.look().each {
            let elsewhere = facts.elsewhere.as_ref().ok().cloned().flatten();
            let elsewhere = elsewhere.filter(|_| facts.is_floating());
            edited.extend(elsewhere.map(|path| (service.path, path)));
        }
        if edited.is_empty() {
            return None;
        }
        let mut resource = self.clone();
        let all = resource.config.services.iter_mut();
        for service in all.chain(&mut resource.services) {
            if let Some((_, path)) = edited.iter().find(|(here, _)| *here == service.path) {
                service.path.clone_from(path);
            }
        }
        Some(resource)
    }

    /// Drops it. Disks may be busy until then.
    fn drop_what_is_here(&self, until: Instant) -> Result<Answer> {
        let mut seen = self.look_until(until);
        if *seen.module() == Ok(None) && seen.state != State::Stopped {
            // It may have been unloaded while nothing recovered.
            if let Err(answer) = load_module() {
                syslog::error(&answer.reason);
            }
            seen = self.look();
        }
        if let State::Unseen(why) = &seen.state {
            // Nothing was done yet, and locks may be held.
            return Err(Error::new(format!(
                "it cannot be seen what is held here: {why}"
            )));
        }
        // What is to be stopped has to be what was taken over, and nobody may use it by another address.
        let mut strangers = self.earlier()?;
        let is_known = |ip: &IpAddr| self.config.services.iter().any(|other| other.ip == *ip);
        strangers.retain(|ip| !is_known(ip));
        if let State::Edited(_) = &seen.state {
            let mut others = self.strangers(&seen)?;
            others.retain(|ip| !strangers.contains(ip));
            strangers.extend(others);
        }
        match seen.module() {
            // Nothing was taken over here, or it has been released.
            Ok(_) if seen.state == State::Stopped => {}
            Err(why) => return Err(Error::new(why)),
            Ok(None) => self.drop_without_module(&seen)?,
            Ok(Some(module)) if module.hooks_dead => self.drop_without_module(&seen)?,
            Ok(Some(_)) => self.drop_all(&seen, until)?,
        }
        for ip in strangers {
            self.without_address(ip)?;
        }
        self.see_that_it_has_stopped(&seen, until)
    }

    /// What is to be done depends on how far an earlier stop, or start, has come with a filesystem. The
    /// addresses are the trace of what is not finished, so they stay until the last one is released.
    fn drop_all(&self, seen: &Seen, until: Instant) -> Result<()> {
        let (mut to_release, mut to_end, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for part in &seen.each {
            if judge(&part.facts) == State::Stopped {
                // Its turn in a start has not come, or it is all that is left to do of a stop: a list that
                // lies there is what clients have.
                continue;
            }
            if part.facts.mount == Ok(None) {
                left.push(part);
                continue;
            }
            let list = self.list(&part.service, until)?;
            let list = matches!(list, Found::Manifest(_));
            if is_listed(&part.facts, list) {
                continue;
            }
            match is_untouched(&part.facts, list) {
                true => to_end.push(&part.service),
                false => to_release.push(&part.service),
            }
        }
        self.forget(&left)?;
        if !to_release.is_empty() {
            self.release(&to_release)?;
        }
        // Before a takeover is taken back, which must not look like one that has been finished.
        self.without_addresses()?;
        // It did not get as far as to use the list of locks, and what it has begun would make the kernel
        // list that nobody has anything.
        to_end.into_iter().try_for_each(|service| self.end(service))
    }

    /// These have left already, by whatever way. Who has files open on one keeps it although it is
    /// unmounted, and it may be mounted elsewhere.
    fn forget(&self, left: &[&Part]) -> Result<()> {
        left.iter().try_for_each(|part| self.fence(&part.service))?;
        // As long as that cannot be told it has not stopped, however often that is tried.
        let mut served = left.iter().filter(|part| part.was_served());
        served.try_for_each(|part| self.knows_the_disk(&part.service))
    }

    /// Fails if it cannot be seen whether somebody has the disk of what is not mounted any more.
    fn knows_the_disk(&self, service: &Service) -> Result<()> {
        let known = |service| release::known_disk(service).is_some();
        if self.of_filesystem(service).any(known) {
            return Ok(());
        }
        let mut named = self
            .of_filesystem(service)
            .filter_map(|it| it.device.as_ref());
        let why = match named.next() {
            Some(device) => format!("{} is not there: mend device", device.display()),
            None => "the configuration file names none: write device into it".into(),
        };
        Err(Error::new(format!(
            "{} was served here and is not mounted any more, and whether its disk is still in use cannot be seen, as {why}, or reboot this node",
            service.path.display()
        )))
    }

    /// The address under which it was taken over may not be in the file any more: it is one of these. One
    /// that is up is of somebody else.
    fn strangers(&self, seen: &Seen) -> Result<Vec<IpAddr>> {
        let Ok(Some(module)) = seen.module() else {
            return Ok(Vec::new());
        };
        // It has been under its own; or the address waits to come up for another filesystem.
        if seen.is_floating() || self.others_recover()? {
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

    /// Ends what recovers, or has nothing granted.
    pub(super) fn end(&self, service: &Service) -> Result<()> {
        self.end_recovery(service).or_else(|_| self.fence(service))
    }

    /// Drops the locks, without a list.
    fn fence(&self, service: &Service) -> Result<()> {
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
        self.addresses()
            .into_iter()
            .try_for_each(|service| self.without_address(service.ip))
    }

    fn without_address(&self, ip: IpAddr) -> Result<()> {
        let nfsd = Nfsd::new(&self.host.nfsd);
        match nfsd.command("floating_ips", &format!("-{ip}")) {
            Err(error) if error.errno() != Some(nix::libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }

    /// Releases some of its filesystems.
    fn release(&self, filesystems: &[&Service]) -> Result<()> {
        let begun = Instant::now();
        let is_one = |service: &&Service| filesystems.iter().any(|one| one.path == service.path);
        let mut releases = together::begin(self.services.iter().filter(is_one).map(|service| {
            Release {
                host: self.host,
                config: &self.config,
                service: service.clone(),
                manifest: manifest(service),
                address: false,
                unexport: false,
                umount: false,
                expire_nfs4: self.parameters.expire_nfs4,
                // Whatever is found, as much as possible is dropped. What is left is seen after that.
                force: true,
                how: how(self.cli, 900, &Ports::default()),
                moved: self.services.clone(),
                dry_run: false,
                options: self.options(),
                found: release::Found::default(),
            }
        }));
        let plan = release::managed();
        let (traced, rest) = plan.split_at(release::TRACED);
        let say = &mut |step: &Step| said(self.cli, step);
        together::run(&mut releases, traced, Stops::Itself, say);
        // An address stays as the trace of what has failed behind it.
        together::run(&mut releases, rest, Stops::Address, say);
        let exit = together::exit(&releases);
        for One { on, .. } in &releases {
            Move {
                locks: on.found.locks,
                ..moved_by("release", &on.service, begun, exit)
            }
            .log(self.host);
        }
        match exit {
            1 => Err(Error::new(format!(
                "the release failed: {}",
                failures(releases.iter().map(|one| &one.report))
            ))),
            _ => Ok(()),
        }
    }

    /// Whatever was done, and whatever that said. If it has not, the node is fenced with all that others wait
    /// for: so a stop gives up only when its time is over.
    fn see_that_it_has_stopped(&self, before: &Seen, until: Instant) -> Result<Answer> {
        let (seen, why) = self.see(&State::Stopped, until);
        if let Some(why) = why {
            return Err(Error::new(format!(
                "locks may still be held or granted here: {why}"
            )));
        }
        // It has left, and the next node would mount what somebody has here.
        for part in &seen.each {
            if part.facts.mount == Ok(None) {
                let mut services = self.of_filesystem(&part.service);
                let hidden = services.find_map(release::is_hidden);
                hidden.map_or(Ok(()), |why| Err(Error::new(why)))?;
                let same = |known: &&Part| known.service.path == part.service.path;
                if before.each.iter().find(same).is_some_and(Part::was_served) {
                    self.knows_the_disk(&part.service)?;
                }
            }
        }
        for fsid in seen.each.iter().filter_map(|part| part.service.fsid) {
            mark::remove(self.host, fsid)?;
        }
        if let Ok(Some(ip)) = seen.up().map(|up| up.first().copied()) {
            syslog::error(&format!(
                "{ip} is still up: clients that use it wait until the fence is over; in the group, put this resource in front of its addresses"
            ));
        }
        Ok(Answer::success())
    }
}
