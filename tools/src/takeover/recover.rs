// SPDX-License-Identifier: GPL-2.0-only

//! The grace period of the filesystem.

use super::Takeover;
use crate::awaited::{
    self,
    Awaited, //
};
use crate::config::Service;
use crate::error::{
    text,
    Context,
    Result, //
};
use crate::grace::grace;
use crate::group;
use crate::host;
use crate::key::Key;
use crate::manifest::{
    holders,
    Found,
    Stored, //
};
use crate::mark::{
    self,
    Mark, //
};
use crate::nfsd::{
    meaning,
    FloatingIp, //
};
use crate::octal::escape;
use crate::policy::address;
use crate::policy::fsid::Fsid;
use crate::statedir::StateDir;
use crate::status::line::Line;
use crate::steps::{
    taken,
    Outcome,
    Taken, //
};
use nix::libc::EINVAL;
use std::collections::HashSet;
use std::iter;
use std::net::IpAddr;

/// What is said of a list of NFSv4 clients that lies there and is not used: all wait.
fn unused(why: &str) -> (Outcome, String) {
    let said = format!("the list of NFSv4 clients is not used, {why}");
    (Outcome::Incomplete, said)
}

impl Takeover<'_> {
    /// The units by which clients can reclaim on a filesystem.
    pub(super) fn recovering(&self, service: &Service) -> Result<Vec<Line>> {
        let status = self.nfsd().status()?;
        let units = status.units_of(&service.path, service.fsid, service.ip);
        Ok(units.filter(|unit| unit.recovers()).cloned().collect())
    }

    fn with_manifest(&self) -> Result<Option<Line>> {
        let mut units = self.recovering(&self.service)?.into_iter();
        Ok(units.find(|unit| unit.get("manifest").is_some()))
    }

    /// After this there is no manifest, and room for the next one.
    pub(super) fn manifest(&mut self) -> Result<Taken> {
        let stored = Stored::new(&self.service, &self.manifest)?;
        let mut size = 0;
        let (what, mut result, mut why) = self.use_manifest(&stored, &mut size)?;
        if let Some((outcome, clients)) = self.await_clients(&mut size)? {
            why = format!("{why}; {clients}");
            if outcome == Outcome::Incomplete {
                result = outcome;
            }
        }
        if !self.dry_run {
            if let Err(error) = stored.reserve(size) {
                let and = if why.is_empty() { "" } else { "; " };
                why = format!("{why}{and}{error}: if the filesystem is full, the next release cannot leave a manifest");
            }
        }
        taken(what, result, why)
    }

    /// Tells the kernel which NFSv4 clients have to come, if the last node has left that; returns what
    /// became of it. Like a manifest, it is gone before it is used.
    fn await_clients(&self, size: &mut usize) -> Result<Option<(Outcome, String)>> {
        let stored = awaited::stored(&self.service, &self.manifest)?;
        let key = Key::load(&self.config.key_file);
        let found = stored.read(key.as_ref().ok().and_then(Option::as_ref));
        if found == Found::Nothing || self.dry_run {
            return Ok(None);
        }
        if let Found::Manifest(text) = &found {
            // The next one lies in the same room.
            *size = text.len().max(*size);
        }
        if let Err(error) = stored.remove() {
            // It must not be used twice. Without it clients wait longer, and lose nothing.
            let why = format!("as it cannot be removed ({})", text(&error));
            return Ok(Some(unused(&why)));
        }
        let Some(fsid) = self.service.fsid else {
            return Ok(None);
        };
        let has_manifest = self.with_manifest()?.is_some();
        let list = match (found, &key) {
            (_, Err(error)) => Err(error.to_string()),
            (Found::Other(why), _) => Err(why),
            (Found::Nothing, _) => return Ok(None),
            (Found::Manifest(text), _) => Awaited::believe(&text, fsid).map_err(String::from),
        };
        // As with a manifest that is not new any more: what is said of that, if anything is wrong.
        let useless = list
            .as_ref()
            .ok()
            .and_then(|list| match (list.nlm, has_manifest) {
                (true, false) => Some("the manifest that belongs to it was not used"),
                (false, true) => Some("there is a manifest, which does not belong to it"),
                _ => None,
            });
        if let Some(why) = useless {
            return Ok(Some((Outcome::Done, unused(why).1)));
        }
        let told = list.and_then(|list| {
            let text = list.text().ok_or("it has too many clients")?;
            match self.nfsd().give_clients(text.as_bytes()) {
                Ok(()) => Ok(list),
                Err(error) => {
                    let why = meaning(error.raw_os_error());
                    Err(format!("the kernel refused it: {why}"))
                }
            }
        });
        // Of clients of NLM no such mark tells when all have theirs back.
        let noted = || match mark::read(self.host, fsid) {
            Some(mark) => Mark {
                is_listed: true,
                ..mark
            }
            .leave(self.host, fsid),
            None => Ok(()),
        };
        Ok(Some(match told {
            Ok(list) => {
                let noted = match list.nlm {
                    true => Ok(()),
                    false => noted(),
                };
                let noted = noted.err().map_or(String::new(), |why| format!("; {why}"));
                let said = format!(
                    "of the NFSv4 clients that had something there: {}{noted}",
                    list.says()
                );
                (Outcome::Done, said)
            }
            Err(why) => unused(&why),
        }))
    }

    /// A manifest may be used once, whatever becomes of the node: it is gone before it is used.
    fn use_manifest(&self, stored: &Stored, size: &mut usize) -> Result<Taken> {
        let what = format!("manifest from {}", self.manifest.display());
        let context = || format!("cannot remove {}", self.manifest.display());
        if self.with_manifest()?.is_some() {
            if !self.dry_run {
                stored.remove().context(context)?;
            }
            return taken(what, Outcome::Already, "the unit recovers with one");
        }
        let key = Key::load(&self.config.key_file);
        let found = match &key {
            Ok(key) => stored.read(key.as_ref()),
            Err(error) => match stored.read(None) {
                Found::Nothing => Found::Nothing,
                _ => Found::Other(error.to_string()),
            },
        };
        let manifest = match found {
            Found::Nothing => {
                return taken(
                    what,
                    Outcome::Skipped,
                    "there is none: all clients get the time to reclaim",
                );
            }
            Found::Manifest(_) if self.dry_run => return taken(what, Outcome::Would, ""),
            Found::Manifest(text) => text,
            Found::Other(why) => {
                let left = match self
                    .dry_run
                    .then_some(Ok(true))
                    .unwrap_or_else(|| stored.remove())
                {
                    Ok(_) => String::new(),
                    Err(error) => format!(", and it cannot be removed ({})", text(&error)),
                };
                return taken(
                    what,
                    Outcome::Incomplete,
                    format!("not used, {why}{left}; all clients get the time to reclaim"),
                );
            }
        };
        *size = manifest.len();
        if let Err(error) = stored.remove() {
            // It must not be used twice. Without it clients wait longer, and lose nothing.
            return taken(
                what,
                Outcome::Incomplete,
                format!(
                    "not used, as it cannot be removed ({}); all clients get the time to reclaim",
                    text(&error)
                ),
            );
        }
        if self.service.fsid.is_none() {
            return taken(
                what,
                Outcome::Skipped,
                "removed unused, the fsid of the service is not known",
            );
        }
        let why = match self.nfsd().give_manifest(&manifest) {
            // One that is cut off at the end of a line is refused when the file is closed, of which
            // we are not told.
            Ok(()) if self.with_manifest()?.is_some() => {
                return match self.record_listed(&manifest) {
                    Ok(0) => taken(what, Outcome::Done, ""),
                    Ok(count) => taken(
                        what,
                        Outcome::Done,
                        format!("{count} of its clients were not on record, and are now"),
                    ),
                    Err(error) => taken(
                        what,
                        Outcome::Incomplete,
                        format!("used, but clients that it lists are not on record: {error}"),
                    ),
                };
            }
            Ok(()) => format!("the kernel has not taken it: {}", meaning(Some(EINVAL))),
            Err(error) => format!(
                "the kernel refused it, {}: {}",
                text(&error),
                meaning(error.raw_os_error())
            ),
        };
        taken(
            what,
            Outcome::Skipped,
            format!("{why}; all clients get the time to reclaim"),
        )
    }

    /// Puts on record who holds something by a manifest, so that everybody who has to reclaim is told:
    /// also through other addresses, as this is the only one that sees it. Returns how many were not.
    fn record_listed(&self, manifest: &[u8]) -> Result<usize> {
        let others = self
            .config
            .services
            .iter()
            .filter(|other| other.path == self.service.path && other.ip != self.service.ip);
        iter::once(&self.service)
            .chain(others)
            .map(|service| self.record_listed_of(service, manifest))
            .sum()
    }

    fn record_listed_of(&self, service: &Service, manifest: &[u8]) -> Result<usize> {
        let ip = service.ip;
        let mut missing = holders(manifest, ip);
        if missing.is_empty() {
            return Ok(0);
        }
        let state = StateDir::of(service).if_mounted(self.host);
        if !state.exists() {
            // Its own turn comes later.
            state.create(host::statd_user(&self.config.statd_dir)?)?;
        }
        let known = state.clients()?.names;
        let known: HashSet<String> = known
            .into_iter()
            .map(|name| address::parse(name.as_bytes()).map_or(name, |ip| ip.to_string()))
            .collect();
        missing
            .retain(|client, name| !known.contains(&client.to_string()) && !known.contains(name));
        let is_floating = ip == self.service.ip || self.nfsd().is_floating(ip)?;
        for client in missing.keys() {
            state.record(&client.to_string())?;
            // When it becomes one, the kernel hears of all who are on record.
            if is_floating {
                self.nfsd()
                    .command("floating_ips", &format!("={ip} {client}"))?;
            }
        }
        Ok(missing.len())
    }

    pub(super) fn grace(&mut self) -> Result<Taken> {
        let beside = self.begun_beside()?;
        // Before anything is begun; that it cannot be seen keeps nobody from being served.
        let ips = self.service.fsid.map(|fsid| self.ips(fsid));
        let (what, result, why) = self.begin_recovery()?;
        let (Some(fsid), Some(ips), false) = (self.service.fsid, ips, self.dry_run || self.beside)
        else {
            return taken(what, result, why);
        };
        let (ips, unseen) = match ips {
            Ok(ips) => (ips, None),
            Err(error) => (vec![self.service.ip], Some(error)),
        };
        // What recovers already has begun with an earlier command; and what begins beside that counts as begun
        // with it, as clients of both are told together.
        let earlier = (result == Outcome::Already).then(|| mark::read(self.host, fsid));
        let new = || Mark {
            command: beside.unwrap_or_else(|| Mark::of_this_command().command),
            ..Mark::of_this_command()
        };
        let mark = Mark {
            ips,
            ..earlier.flatten().unwrap_or_else(new)
        };
        match mark.leave(self.host, fsid).err().or(unseen) {
            None => taken(what, result, why),
            Some(error) => taken(
                what,
                Outcome::Incomplete,
                format!("{error}: if others are behind its address, the next release takes it for one that was not taken over here, and leaves no list of its locks"),
            ),
        }
    }

    /// The command that has begun the recovery of another filesystem behind the address, if that goes on.
    fn begun_beside(&self) -> Result<Option<String>> {
        for other in self.behind() {
            let fsid = other.fsid.filter(|_| other.path != self.service.path);
            let mark = fsid.and_then(|fsid| mark::read(self.host, fsid));
            if let (Some(mark), false) = (mark, self.recovering(&other)?.is_empty()) {
                return Ok(Some(mark.command));
            }
        }
        Ok(None)
    }

    /// By which addresses it is here now: those that come by this command, and those that are active, also
    /// if the configuration file does not have them any more.
    fn ips(&self, fsid: Fsid) -> Result<Vec<IpAddr>> {
        let nfsd = self.nfsd();
        let active = match nfsd.has_floating_ips() {
            true => nfsd.floating_ips()?,
            false => Vec::new(),
        };
        let is_active = |ip: IpAddr| active.iter().any(|known: &FloatingIp| known.ip == ip);
        let is_here =
            |service: &&Service| self.addresses.contains(&service.ip) || is_active(service.ip);
        let all = self.config.services.iter();
        let all = all.filter(|other| other.path == self.service.path);
        let mut ips = group::addresses(iter::once(&self.service).chain(all.filter(is_here)));
        let before = mark::read(self.host, fsid).into_iter();
        let before = before.flat_map(|mark| mark.ips).filter(|ip| is_active(*ip));
        for ip in before {
            if !ips.contains(&ip) {
                ips.push(ip);
            }
        }
        Ok(ips)
    }

    fn begin_recovery(&self) -> Result<Taken> {
        let service = &self.service;
        let seconds = service
            .grace
            .map_or(String::new(), |seconds| format!(" {seconds}"));
        let (file, command) = match service.fsid {
            Some(fsid) => ("nlm_set_igrace", format!("{fsid}{seconds}")),
            None => (
                "resume_ip",
                format!("{} {}{seconds}", service.ip, escape(&service.path)),
            ),
        };
        let what = format!("{file} {command}");
        if self.beside {
            return taken(
                what,
                Outcome::Already,
                "it recovers for all of its addresses",
            );
        }
        let mut why = String::new();
        if let Some(unit) = self.with_manifest()?.filter(|_| !self.fresh) {
            let left = unit.number("left").unwrap_or(0);
            let wanted = grace(self.host, service);
            if left * 2 >= wanted {
                return taken(
                    what,
                    Outcome::Already,
                    "the unit recovers with its manifest",
                );
            }
            // Clients who come then have to be let in; that the kernel forgets the manifest makes
            // others wait, and loses nothing.
            why = format!("only {left} s were left, so it starts anew, without its manifest");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, why);
        }
        self.nfsd().command(file, &command)?;
        taken(what, Outcome::Done, why)
    }
}
