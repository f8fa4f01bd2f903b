// SPDX-License-Identifier: GPL-2.0-only

//! Exports and mount: the steps of a release that are undone if it cannot be finished.

use super::{
    Release,
    ALREADY_RELEASED, //
};
use crate::error::{
    text,
    Error,
    Result, //
};
use crate::export;
use crate::exportcache;
use crate::exporttable::{
    argument,
    Export,
    Table, //
};
use crate::inuse;
use crate::manifest::Stored;
use crate::mounts::Mount;
use crate::policy::fsid::Dev;
use crate::program;
use crate::steps::{
    taken,
    Outcome,
    Taken, //
};
use nix::libc::O_EXCL;
use std::fs::{
    self,
    OpenOptions, //
};
use std::io;
use std::mem;
use std::os::unix::fs::{
    FileTypeExt,
    OpenOptionsExt, //
};
use std::path::Path;
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

/// How long a filesystem may be busy after everything was taken from it.
const BUSY: Duration = Duration::from_secs(10);
/// How much longer, at most, if flushes have been put off meanwhile.
const PUT_OFF: Duration = Duration::from_secs(20);
/// How long a flush may take, which waits for nobody.
const FLUSH: Duration = Duration::from_secs(2);
/// nfsd's lease, if it does not say.
const LEASE: Duration = Duration::from_secs(90);
/// How long after a lease nfsd looks for what is over, at most.
const LAUNDROMAT: Duration = Duration::from_secs(5);
/// How long it may take to have nfsd forget clients that have closed something.
const FORGET: Duration = Duration::from_secs(5);
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(250);

impl Release<'_> {
    /// Withdraws all exports of the filesystem, whoever made them.
    pub(super) fn unexport(&mut self) -> Result<Taken> {
        let path = self.service.path.display().to_string();
        let what = format!("unexport {path}");
        if !self.unexport {
            return taken(what, Outcome::Skipped, "left to the cluster manager");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        // First: whoever runs "exportfs -r" must not find it there.
        let mut trouble = Vec::new();
        match export::File::new(self.host, &self.service.path).remove() {
            Ok(had_file) => self.found.had_file = had_file,
            Err(error) => trouble.push(error.to_string()),
        }
        let listed = self.listed()?;
        let failed = withdraw(&listed).err();
        // It goes on after one that it cannot find, and ends with an error all the same.
        let still = match &failed {
            Some(_) => self.listed().unwrap_or_else(|_| listed.clone()),
            None => Vec::new(),
        };
        let is_there = |export: &&Export| {
            let same =
                |other: &Export| (&other.client, &other.path) == (&export.client, &export.path);
            still.iter().any(same)
        };
        if let Some(error) = failed {
            if error.is_timed_out() || listed.iter().any(|export| is_there(&export)) {
                trouble.push(error.to_string());
            }
        }
        let gone = listed.iter().filter(|export| !is_there(export));
        self.found.withdrawn = gone.cloned().collect();
        match (trouble.is_empty(), listed.is_empty()) {
            (false, _) => taken(what, Outcome::Incomplete, trouble.join("; ")),
            (true, true) => taken(what, Outcome::Already, ""),
            (true, false) => taken(what, Outcome::Done, ""),
        }
    }

    /// What exportfs has in its table.
    fn listed(&self) -> Result<Vec<Export>> {
        let table = Table::read(self.host, self.config)?;
        let exports = table.of(&self.service.path).into_iter();
        Ok(exports.filter(|export| export.listed).cloned().collect())
    }

    /// Has nfsd forget the NFSv4 clients that have something open on it. They find another server, or
    /// this one again, and reclaim it there; as long as the fence is up they get nothing here.
    pub(super) fn nfs4(&mut self) -> Result<Taken> {
        let what = "NFSv4 clients that have it open are expired";
        let Some(mount) = self.host.mount_at(&self.service.path)? else {
            return taken(what, Outcome::Already, "");
        };
        let mut clients = self.holders();
        // Some have gone along with another filesystem.
        inuse::nfs4::merge(&mut clients, mem::take(&mut self.found.at_expiry));
        if !self.dry_run && !self.umount {
            self.forget_closed(mount.device);
        }
        if clients.is_empty() {
            let why = match self.found.lists_nfs4 && !self.dry_run {
                true => "they have given it up since: there is no list, so takeover waits its time",
                false => "",
            };
            return taken(what, Outcome::Already, why);
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        // Whatever the kernel said at the fence: they got it since, and no list tells of it.
        self.found.manifest = false;
        let mut failed = Vec::new();
        // What they were granted while the list was made is not on it.
        let mut removed = "";
        if !self.found.keeps_list {
            if let Err(error) = self.remove_clients() {
                failed.push(error.to_string());
            }
            match Stored::new(&self.service, &self.manifest)?.remove() {
                Ok(true) => removed = "; the manifest was removed",
                Ok(false) => {}
                Err(error) => failed.push(format!(
                    "cannot remove {}, which does not list what they have: {error}; REMOVE IT before the next node takes over",
                    self.manifest.display()
                )),
            }
        }
        let moved = self.devices();
        for client in &clients {
            match client.loses(&moved).filter(|_| !self.expire_nfs4) {
                Some(loss) => failed.push(format!("{loss}, and is left alone")),
                None => failed.extend(client.expire().err().map(|error| error.to_string())),
            }
        }
        // Else somebody may have something still.
        let listed = match failed.is_empty() && self.found.lists_nfs4 {
            true => self.leave_clients(&clients),
            false => Ok(String::new()),
        };
        let (outcome, listed) = match listed {
            Ok(listed) => (Outcome::Done, listed),
            Err(error) => (
                Outcome::Incomplete,
                format!("; {error}, so takeover waits its time"),
            ),
        };
        match failed.is_empty() {
            true => taken(what, outcome, format!("{}{removed}{listed}", clients.len())),
            false => taken(what, Outcome::Incomplete, failed.join("; ")),
        }
    }

    /// Has nfsd forget the clients of its addresses that have nothing but what they have closed, and so
    /// lose nothing. What is left of it, umount meets.
    fn forget_closed(&self, device: Dev) {
        let deadline = Instant::now() + FORGET;
        let (moved, addresses) = (self.devices(), self.addresses());
        for client in inuse::nfs4::closed(&self.host.nfsd, device) {
            let idle = client.loses(&moved).is_none() && !client.is_busy;
            if idle && client.is_of_any(&addresses) && Instant::now() < deadline {
                let _ = client.expire();
            }
        }
    }

    /// How long nfsd keeps what a client of NFSv4.0 has closed last.
    fn lease(&self) -> Duration {
        let text = fs::read_to_string(self.host.nfsd.join("nfsv4leasetime"));
        let seconds = text.ok().and_then(|text| text.trim().parse().ok());
        seconds.map_or(LEASE, Duration::from_secs)
    }

    /// How long nothing is granted here. What cannot be seen is no fence.
    fn fence_left(&self) -> Duration {
        let service = &self.service;
        let left = self.nfsd().status().ok().and_then(|status| {
            let units = status.units_of(&service.path, service.fsid, service.ip);
            let released = units.filter(|unit| unit.get("phase") == Some("released"));
            released.filter_map(|unit| unit.number("left")).max()
        });
        Duration::from_secs(left.unwrap_or(0))
    }

    /// Who has something on it, a sentence for each.
    fn users(&self, mount: &Mount) -> Vec<String> {
        // Where nothing was seen, nobody is not known to be there.
        let mut users = inuse::look(self.host, mount)
            .unwrap_or_else(|error| vec![format!("somebody who cannot be seen: {error}")]);
        let clients = inuse::nfs4::clients(&self.host.nfsd, mount.device);
        users.extend(clients.iter().map(|c| format!("NFSv4 client {}", c.name)));
        users
    }

    pub(super) fn umount(&mut self) -> Result<Taken> {
        let path = self.service.path.display().to_string();
        let what = format!("umount {path}");
        let Some(mount) = self.host.mount_at(&self.service.path)? else {
            let why = if self.found.gone {
                ALREADY_RELEASED
            } else {
                ""
            };
            return taken(what, Outcome::Already, why);
        };
        if !self.umount {
            return taken(what, Outcome::Skipped, "left to the cluster manager");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        // It may be where we were started.
        let _ = std::env::set_current_dir("/");
        let put_off = match self.unexport {
            true => exportcache::put_off(self.host),
            false => Duration::ZERO,
        };
        // When the fence is over others may be granted what was dropped here.
        let fence = Instant::now() + self.fence_left();
        let mut deadline = (Instant::now() + BUSY + put_off.min(PUT_OFF)).min(fence);
        let mut waits = false;
        let mut flush = Instant::now() + put_off;
        let began = Instant::now();
        // What they have closed would keep it busy.
        self.forget_closed(mount.device);
        let mut tries = 0;
        while let Err(error) = {
            tries += 1;
            program::run("umount", &[&path])
        } {
            if self.host.mount_at(&self.service.path)?.is_none() {
                break;
            }
            if !error.to_string().contains("busy") {
                return Err(error);
            }
            if tries == 1 {
                // Who was just opening something may have closed it by now.
                self.forget_closed(mount.device);
                continue;
            }
            if Instant::now() >= deadline {
                let users = self.users(&mount);
                let closed = inuse::nfs4::closed(&self.host.nfsd, mount.device);
                // They may have something to lose, so they are waited for.
                let kept = Instant::now() + self.lease() + LAUNDROMAT;
                if users.is_empty() && !closed.is_empty() && !waits {
                    waits = true;
                    deadline = kept.min(fence);
                    continue;
                }
                return Err(Error::new(format!(
                    "{error}; it was tried {tries} times in {} s. It is used by: {}",
                    began.elapsed().as_secs(),
                    named(users, &closed)
                )));
            }
            let now = Instant::now();
            if self.unexport && now >= flush && exportcache::put_off(self.host).is_zero() {
                flush = now + Duration::from_secs(1);
                let _ = program::output_within(FLUSH, "exportfs", &["-f"]);
            }
            sleep(PAUSE);
        }
        let took = match tries {
            1 => "at the first try".into(),
            _ => format!(
                "after {tries} tries in {:.1} s",
                began.elapsed().as_secs_f64()
            ),
        };
        self.found.umounted = Some(mount.source.clone());
        let deadline = Instant::now() + BUSY;
        loop {
            let why = match is_claimed(&mount.source) {
                Ok(false) => break,
                Ok(true) => "the kernel still has it in use: in a mount namespace that no process is in, or by somebody who had a file open when it was unmounted lazily".into(),
                Err(error) => format!("it cannot be seen whether it is in use ({})", text(&error)),
            };
            if Instant::now() >= deadline {
                return Err(Error::new(format!(
                    "{path} is unmounted, but of {} {why}. Do NOT use it on another node",
                    mount.source.display()
                )));
            }
            sleep(PAUSE);
        }
        taken(what, Outcome::Done, took)
    }
}

/// Who uses a filesystem, or may use it because of what it has closed.
fn named(mut users: Vec<String>, closed: &[inuse::nfs4::Client]) -> String {
    users.extend(closed.iter().map(|client| {
        format!(
            "NFSv4.0 client {}, perhaps: nfsd keeps for a lease what it has closed last",
            client.name
        )
    }));
    match users.is_empty() {
        true => "nothing that can be seen".into(),
        false => users.join("; "),
    }
}

/// All by one run of exportfs: each flushes the kernel's caches, and a flush in the same second as
/// another one puts off by a second when the kernel forgets the exports.
fn withdraw(exports: &[Export]) -> Result<()> {
    if exports.is_empty() {
        return Ok(());
    }
    let arguments: Vec<_> = exports
        .iter()
        .map(|export| argument(&export.client, &export.path))
        .collect();
    let mut words = vec!["-u"];
    words.extend(arguments.iter().map(String::as_str));
    program::run("exportfs", &words)
}

/// Whether a block device is in use, by a filesystem that is mounted somewhere or otherwise. What is none
/// is not.
pub(super) fn is_claimed(device: &Path) -> io::Result<bool> {
    let is_block = fs::metadata(device).is_ok_and(|file| file.file_type().is_block_device());
    if !is_block {
        return Ok(false);
    }
    match OpenOptions::new()
        .read(true)
        .custom_flags(O_EXCL)
        .open(device)
    {
        Ok(_) => Ok(false),
        Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => Ok(true),
        // A disk that has gone may come back, with all that is still to be written to it.
        Err(error) => Err(error),
    }
}
