// SPDX-License-Identifier: GPL-2.0-only

//! What would make a release stop half-way, looked at before anything is changed.

use super::withdraw::is_claimed;
use super::Release;
use crate::config::Service;
use crate::error::{
    text,
    Result, //
};
use crate::exportcache;
use crate::exporttable::Table;
use crate::interface;
use crate::inuse::{
    self,
    nfs4, //
};
use crate::manifest::Stored;
use crate::mounts::{
    disk,
    Mount, //
};
use crate::program;
use crate::scope;
use crate::services;
use crate::steps::{
    looked,
    taken,
    Outcome,
    Taken, //
};
use std::iter;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

/// How long to wait, while nothing has changed yet, until the kernel forgets exports at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// So much of that can be waited for later.
const SOON: Duration = Duration::from_secs(2);

/// What was found.
struct Look {
    problems: Vec<String>,
    /// What is to be said if there are none.
    why: String,
}

impl Release<'_> {
    pub(super) fn preflight(&mut self) -> Result<Taken> {
        let what = "nothing is in the way";
        let Some(mount) = self.host.mount_at(&self.service.path)? else {
            // Not there, but perhaps elsewhere.
            let mut problems = self.misfits()?;
            problems.extend(is_hidden(&self.service));
            return match problems.is_empty() {
                true => taken(what, Outcome::Skipped, "it is not mounted here"),
                false => looked(what, problems, self.force, String::new()),
            };
        };
        let mut found = self.look(&mount)?;
        if self.umount && self.unexport && found.problems.is_empty() {
            match self.wait_for_flushes() {
                Ok(false) => {}
                // Long enough for somebody to come.
                Ok(true) => found = self.look(&mount)?,
                Err(problem) => found.problems.push(problem),
            }
        }
        looked(what, found.problems, self.force, found.why)
    }

    fn look(&self, mount: &Mount) -> Result<Look> {
        let mut problems = Vec::new();
        if !self.dry_run {
            let answers = Stored::new(&self.service, &self.manifest)?.answers();
            problems.extend(answers.err().map(|error| error.to_string()));
        }
        problems.extend(self.misfits()?);
        problems.extend(services::lockd(self.host));
        let beside: Vec<_> = self
            .config
            .services
            .iter()
            .filter(|other| other.path == self.service.path && other.ip != self.service.ip)
            .collect();
        let goes = |ip| self.address && self.moved.iter().any(|moved| moved.ip == ip);
        for other in beside.iter().filter(|_| self.unexport || self.umount) {
            if !goes(other.ip) && !interface::of(other.ip)?.is_empty() {
                problems.push(format!(
                    "clients of {} use it by {}, which is up: \"nfs-failoverctl release {} --address\" first",
                    other.name, other.ip, other.name
                ));
            }
        }
        let up = !interface::of(self.service.ip)?.is_empty();
        if up && !self.address && (self.unexport || self.umount) {
            problems.push(format!(
                "{} is up, so clients would wait for what is not here any more, and be told that their file handles are stale when the fence is over: take it down first, or with --address",
                self.service.ip
            ));
        }
        let others = beside.iter().map(|other| other.ip);
        for ip in iter::once(self.service.ip).chain(others.clone()) {
            if !self.found.released && !interface::of(ip)?.is_empty() && !self.is_floating(ip)? {
                problems.push(format!(
                    "{ip} is up, but not in floating_ips, so who came by it is on no record: if it was taken over here and the module was loaded again since, \"echo +{ip} >/proc/fs/nfsd/floating_ips\" and repeat this; who takes no lock in between is told only if a list is left"
                ));
            }
        }
        let others = others.filter(|ip| !goes(*ip));
        let stay = (up && !self.address).then_some(self.service.ip).into_iter();
        for ip in stay.chain(others).filter(|_| self.found.recovers) {
            if !interface::of(ip)?.is_empty() {
                problems.push(format!(
                    "clients reclaim by {ip}, which is up: who does so behind the fence gives the lock up for good. Take it down first{}, or wait until the recovery is over",
                    if ip == self.service.ip { ", or with --address" } else { "" }
                ));
            }
        }
        for (program, wanted) in [
            ("ss", self.address && up),
            ("ip", self.address && up),
            ("exportfs", self.unexport),
            ("umount", self.umount),
        ] {
            if wanted && !program::exists(program) {
                problems.push(format!("there is no program {program}"));
            }
        }
        let clients = nfs4::clients(&self.host.nfsd, mount.device);
        let mut why = match clients.len() {
            0 => String::new(),
            count => format!("{count} NFSv4 clients have opens, locks or delegations on it"),
        };
        let moved = self.devices();
        for loss in clients.iter().filter_map(|client| client.loses(&moved)) {
            match self.expire_nfs4 {
                true => why += &format!("; {loss}, and loses them"),
                false => problems.push(format!(
                    "{loss}, and would lose them when nfsd forgets it: mount there anew by the floating IP, end what it does here, or accept that with --expire-nfs4"
                )),
            }
        }
        // What is released already has nothing left to be lost.
        if !self.found.released {
            let scope = scope::look(self.host);
            // One of NFSv4.0 does not ask for it.
            let asks = |client: &nfs4::Client| client.says("minor version") != Some("0");
            let problem = scope.problem_of_release();
            problems.extend(problem.filter(|_| clients.iter().any(asks)));
            let note = scope.note().unwrap_or_default();
            let between = if why.is_empty() || note.is_empty() {
                ""
            } else {
                "; "
            };
            why = format!("{why}{between}{note}");
        }
        // Of several addresses, the last one unmounts it; but the first one drops the locks of all.
        if self.umount || !beside.is_empty() {
            problems.extend(inuse::look(self.host, mount)?);
        }
        Ok(Look { problems, why })
    }

    /// Whether the kernel knows a floating IP. One without that file cannot tell.
    fn is_floating(&self, ip: IpAddr) -> Result<bool> {
        let nfsd = self.nfsd();
        Ok(!nfsd.has_floating_ips() || nfsd.is_floating(ip)?)
    }

    fn misfits(&self) -> Result<Vec<String>> {
        Ok(Table::read(self.host, self.config)?.misfits(&self.service.path, self.fsid()?))
    }

    /// Waits until it could be unmounted, and returns whether that took time. Says why it is not to
    /// be expected.
    fn wait_for_flushes(&self) -> std::result::Result<bool, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut waited = false;
        loop {
            let put_off = exportcache::put_off(self.host);
            if put_off <= SOON {
                return Ok(waited);
            }
            if Instant::now() + put_off > deadline + SOON {
                return Err(format!(
                    "exportfs runs so often that the kernel forgets exports, and with them the filesystem, only in {} s: wait, or see who runs it",
                    put_off.as_secs()
                ));
            }
            if self.dry_run {
                return Ok(waited);
            }
            waited = true;
            sleep(put_off.min(Duration::from_secs(1)));
        }
    }
}

/// Says if somebody has the disk of a filesystem that is not mounted where it is served: "umount -l"
/// leaves it to those who have files open, lockd and nfsd among them. Looking keeps a mount(8) of the
/// same moment from its disk, so this is for who knows that there is none.
pub fn is_hidden(service: &Service) -> Option<String> {
    let device = known_disk(service)?;
    let why = match is_claimed(&device) {
        Ok(false) => return None,
        Ok(true) => "is in use: mounted elsewhere, in another mount namespace, or unmounted lazily and still open".into(),
        Err(error) => format!("cannot be looked at, so it may be in use ({})", text(&error)),
    };
    Some(format!(
        "{} is not mounted here, but {} {why}. Do NOT use it on another node; if nothing else helps, reboot this one",
        service.path.display(),
        device.display()
    ))
}

/// The disk of a filesystem, if the configuration file names one that is there.
pub fn known_disk(service: &Service) -> Option<PathBuf> {
    let disk = disk(service.device.as_ref()?)?;
    disk.exists().then_some(disk)
}
