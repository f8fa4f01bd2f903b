// SPDX-License-Identifier: GPL-2.0-only

//! `release`: what the node that is left has to do, in the only right order.
//!
//! It looks at everything that it can know before it changes anything. After the fence it goes on
//! without what the move can do without, and is called off if it cannot be finished.

mod address;
mod call_off;
mod clients;
mod lists;
mod preflight;
mod withdraw;

use crate::config::{
    Config,
    Service, //
};
use crate::connections::Connection;
use crate::error::{
    Error,
    Result, //
};
use crate::exporttable::Export;
use crate::group;
use crate::host::Host;
use crate::interface::{
    self,
    Address, //
};
use crate::inuse::nfs4::{
    self,
    Client, //
};
use crate::mark::{
    self,
    Foreign, //
};
use crate::nfsd::Nfsd;
use crate::notify::How;
use crate::policy::command::DEFAULT_FENCE;
use crate::policy::fsid::{
    Dev,
    Fsid, //
};
use crate::statd;
use crate::status::line::{
    Line,
    Status, //
};
use crate::steps::{
    taken,
    Action,
    Outcome,
    Scope,
    Taken, //
};
use crate::together::{
    Moved,
    One, //
};
pub use call_off::call_off;
pub use preflight::{
    is_hidden,
    known_disk, //
};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::Duration;

/// What to release, and how far.
#[derive(Clone, Debug)]
pub struct Release<'a> {
    /// The machine.
    pub host: &'a Host,
    /// The configuration.
    pub config: &'a Config,
    /// What is released.
    pub service: Service,
    /// Where the manifest goes.
    pub manifest: PathBuf,
    /// Take the floating IP down.
    pub address: bool,
    /// Unexport the filesystem.
    pub unexport: bool,
    /// Unmount it.
    pub umount: bool,
    /// Have nfsd forget NFSv4 clients that have it open even if they have something elsewhere.
    pub expire_nfs4: bool,
    /// Go on whatever the first look finds.
    pub force: bool,
    /// How to tell clients if it has to be called off.
    pub how: How,
    /// All that leaves by the same command, this service among it.
    pub moved: Vec<Service>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// The options for other processes of ours.
    pub options: Vec<String>,
    /// Found out on the way.
    pub found: Found,
}

/// What the first steps found out for later ones.
#[derive(Clone, Debug, Default)]
pub struct Found {
    mounted: bool,
    /// It was taken over here: there is a unit of it, or one of its addresses is in `floating_ips`, and
    /// not for others only. If not, what clients hold here is not what they have, and no list may say
    /// that it is.
    taken_over: bool,
    /// Nor could clients come by its addresses: a list that lies there is still what they have.
    keeps_list: bool,
    /// Clients may reclaim here what they have not got back yet.
    recovers: bool,
    /// Or repeat a reclaim of which they have not seen the answer.
    repeats: bool,
    /// It is released already: this goes on with that.
    released: bool,
    /// The filesystem had left before.
    gone: bool,
    /// Locks were dropped.
    fenced: bool,
    /// The kernel has a manifest.
    manifest: bool,
    /// It has none, or none yet, as NFSv4 clients have something: nothing else is missing.
    lists_nfs4: bool,
    /// NFSv4 clients that had something just before an address went down.
    holders: Vec<Client>,
    /// The same before any was expired.
    at_expiry: Vec<Client>,
    /// A list of NFSv4 clients was left, and beside it the manifest, if there is one.
    clients_listed: bool,
    /// How many locks and shares were dropped.
    pub locks: Option<u64>,
    /// Connections in which clients believed when the address went down, or why they are not known.
    believed: Option<std::result::Result<BTreeSet<Connection>, String>>,
    /// Addresses that were taken down.
    downed: Vec<Address>,
    /// Exports that were withdrawn.
    withdrawn: Vec<Export>,
    /// They were in a file of ours.
    had_file: bool,
    /// What was unmounted.
    umounted: Option<PathBuf>,
}

/// The steps that only look, at the beginning.
pub fn looks<'a>() -> [(&'static str, Action<Release<'a>>); 2] {
    [
        ("module", Release::module),
        ("preflight", Release::preflight),
    ]
}

/// All others.
fn plan<'a>() -> [(&'static str, Action<Release<'a>>); 9] {
    [
        ("fence", Release::fence),
        ("floating_ips", Release::floating_ips),
        ("address", Release::address),
        ("manifest", Release::manifest),
        ("unexport", Release::unexport),
        ("nfs4", Release::nfs4),
        ("connections", Release::connections),
        ("umount", Release::umount),
        // Last: it may take long, and the next node need not wait for it.
        ("statd", Release::statd),
    ]
}

/// Those that are left to us by a cluster manager that takes the address down before, and withdraws
/// exports and unmounts after that. As long as the address is in `floating_ips`, a release is not
/// finished: that is the only trace of one that was killed. NFSv4 clients cannot be reached any more: who
/// writes where they have delegations would wait for them.
pub fn managed<'a>() -> [(&'static str, Action<Release<'a>>); 7] {
    [
        ("module", Release::module),
        ("preflight", Release::preflight),
        ("fence", Release::fence),
        ("nfs4", Release::nfs4),
        ("manifest", Release::manifest),
        ("floating_ips", Release::floating_ips),
        ("statd", Release::statd),
    ]
}

/// How many of those of [`managed`] come before the trace of it is removed.
pub const TRACED: usize = 5;

const NOT_TAKEN_OVER: &str =
    "it was not taken over here, so what is held here is not what clients have";

impl Moved for Release<'_> {
    fn service(&self) -> &Service {
        &self.service
    }

    fn scope(step: &str) -> Scope {
        match step {
            "floating_ips" | "address" | "connections" | "statd" => Scope::Address,
            "module" | "preflight" => Scope::Service,
            _ => Scope::Filesystem,
        }
    }

    /// What a client gives up while an address goes down, it reclaims if the answer does not reach it.
    /// Who is expired because of one filesystem loses what it has on the others, and is to be named on
    /// their lists, too, with its files there. All of them are behind their fences by then, so nobody gets
    /// anything after that look.
    fn before(&mut self, step: &str) {
        match (step, self.address) {
            ("address", true) => {
                let clients = self.holders();
                nfs4::merge(&mut self.found.holders, clients);
            }
            ("nfs4", _) => self.found.at_expiry = self.holders(),
            _ => {}
        }
    }
}

const ALREADY_RELEASED: &str = "already released: it is not mounted here";

/// What is left to do of all of them when it was looked. A client that reclaims behind the fence is refused
/// and gives the lock up without a word, and the next node keeps it for nobody: while one may on any of
/// them, the addresses go first.
pub fn steps<'a>(all: &[One<Release<'a>>]) -> [(&'static str, Action<Release<'a>>); 9] {
    let mut steps = plan();
    if all.iter().any(|one| one.on.found.repeats && one.on.address) {
        steps[..3].rotate_right(1);
    }
    steps
}

impl Release<'_> {
    fn nfsd(&self) -> Nfsd {
        Nfsd::new(&self.host.nfsd)
    }

    /// The NFSv4 clients that have something on a filesystem, as far as that can be seen.
    fn clients(&self, path: &Path) -> Vec<Client> {
        match self.host.mount_at(path) {
            Ok(Some(mount)) => nfs4::clients(&self.host.nfsd, mount.device),
            _ => Vec::new(),
        }
    }

    /// Those of this one, and what exactly they have. Who only tries needs to know no more than who they are.
    fn holders(&self) -> Vec<Client> {
        let fsid = self.service.fsid.filter(|_| !self.dry_run);
        match self.host.mount_at(&self.service.path) {
            Ok(Some(mount)) => nfs4::look(&self.host.nfsd, mount.device, fsid),
            _ => Vec::new(),
        }
    }

    /// The filesystems that leave, as far as they are mounted.
    fn devices(&self) -> Vec<Dev> {
        let services = self.moved.iter();
        let mounts = services.filter_map(|service| self.host.mount_at(&service.path).ok()?);
        mounts.map(|mount| mount.device).collect()
    }

    fn fsid(&self) -> Result<Fsid> {
        self.service.fsid.ok_or_else(|| {
            Error::new(format!(
                "the fsid of {} is not known, and locks are released by fsid: give --fsid, or write it into the configuration, as exports(5) has it",
                self.service.path.display()
            ))
        })
    }

    fn module(&mut self) -> Result<Taken> {
        let nfsd = self.nfsd();
        nfsd.check()?;
        let fsid = self.fsid()?;
        let status = nfsd.status()?;
        let service = &self.service;
        let units = || status.units_of(&service.path, Some(fsid), service.ip);
        let has_unit = units().any(|_| true);
        // "recovered" is one of which nothing is outstanding.
        self.found.recovers = units().any(|unit| unit.get("phase") == Some("recovering"));
        self.found.repeats = units().any(Line::recovers);
        self.found.released = units().any(|unit| unit.get("phase") == Some("released"));
        let (floating, up) = self.is_reached()?;
        let fenced = has_unit && units().all(|unit| unit.get("phase") == Some("released"));
        let foreign = Foreign::read(self.host, fsid).filter(|_| fenced);
        let of_ours = has_unit && foreign.is_none();
        self.found.taken_over = of_ours || (floating && !self.is_beside_others(fsid));
        // By now they may be gone, and only the mark of a takeover says that clients could come.
        let was_reached = foreign == Some(Foreign::Reached) || mark::may_be_left(self.host, fsid);
        let reached = floating || up || was_reached;
        self.found.keeps_list = !of_ours && !reached;
        self.found.mounted = self.host.is_mounted(&service.path)?;
        self.found.gone = !self.found.mounted && !has_unit;
        let what = format!(
            "nfs_failover is loaded, {} is fsid {fsid}",
            service.path.display()
        );
        taken(what, Outcome::Done, "")
    }

    /// The addresses of the filesystem, that of the service first.
    fn addresses(&self) -> Vec<IpAddr> {
        let service = &self.service;
        let beside = self.config.services.iter().chain(&self.moved);
        let beside = beside.filter(|other| other.path == service.path);
        let mut found = vec![service.ip];
        for ip in beside.map(|other| other.ip) {
            if !found.contains(&ip) {
                found.push(ip);
            }
        }
        found
    }

    /// Whether one of them is in `floating_ips`, and whether one is up.
    fn is_reached(&self) -> Result<(bool, bool)> {
        let ips = self.addresses();
        let nfsd = self.nfsd();
        // Without that file it cannot be told.
        let floating = match nfsd.has_floating_ips() {
            true => nfsd.floating_ips()?.iter().any(|it| ips.contains(&it.ip)),
            false => true,
        };
        for ip in ips {
            if !interface::of(ip)?.is_empty() {
                return Ok((floating, true));
            }
        }
        Ok((floating, false))
    }

    /// Whether an address of it may be here for other filesystems only.
    fn is_beside_others(&self, fsid: Fsid) -> bool {
        let whole = group::whole(self.config, &self.service);
        group::filesystems(&whole).len() > 1 && mark::read(self.host, fsid).is_none()
    }

    fn is_released(&self) -> bool {
        let service = &self.service;
        self.nfsd().status().is_ok_and(|status| {
            status
                .units_of(&service.path, service.fsid, service.ip)
                .any(|unit| unit.get("phase") == Some("released"))
        })
    }

    fn fence(&mut self) -> Result<Taken> {
        let (what, result, why) = self.drop_locks()?;
        if self.dry_run {
            return taken(what, result, why);
        }
        match mark::remove(self.host, self.fsid()?) {
            Ok(()) => taken(what, result, why),
            Err(error) => taken(
                what,
                Outcome::Incomplete,
                format!("{why}; {error}, and it says that the filesystem was taken over here: remove it"),
            ),
        }
    }

    fn drop_locks(&mut self) -> Result<Taken> {
        let fsid = self.fsid()?;
        let seconds = self.service.fence.unwrap_or(DEFAULT_FENCE);
        let command = format!("{fsid} fence={seconds}");
        let what = format!("nlm_unlock {command}");
        if !self.found.mounted {
            let why = if self.found.gone {
                ALREADY_RELEASED
            } else {
                "it is not mounted here any more"
            };
            return taken(what, Outcome::Already, why);
        }
        if self.dry_run {
            self.found.manifest = self.found.taken_over;
            return taken(what, Outcome::Would, "");
        }
        let foreign = match (self.found.taken_over, self.found.keeps_list) {
            (true, _) => None,
            (false, true) => Some(Foreign::Unreached),
            (false, false) => Some(Foreign::Reached),
        };
        Foreign::leave(foreign, self.host, fsid)?;
        let dropped = self.nfsd().converse("nlm_unlock", &command);
        // What the kernel did may have gone through all the same.
        self.found.fenced = dropped.is_ok() || self.is_released();
        let dropped = dropped?;
        let said = Status::parse(format!("dropped {dropped}").as_bytes());
        let said = said.lines.first();
        self.found.locks =
            said.and_then(|line| Some(line.number("locks")? + line.number("shares").unwrap_or(0)));
        let says = |wanted| dropped.split_whitespace().any(|word| word == wanted);
        self.found.manifest = self.found.taken_over && says("manifest=complete");
        self.found.lists_nfs4 = self.found.taken_over && (says("nfs4=only") || says("nfs4=also"));
        taken(what, Outcome::Done, dropped.trim())
    }

    fn floating_ips(&mut self) -> Result<Taken> {
        let nfsd = self.nfsd();
        let what = format!("-{} in floating_ips", self.service.ip);
        if !nfsd.has_floating_ips() {
            return taken(what, Outcome::Skipped, "this module has no floating_ips");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        match nfsd.command("floating_ips", &format!("-{}", self.service.ip)) {
            Ok(()) => taken(what, Outcome::Done, ""),
            Err(error) if error.errno() == Some(nix::libc::ENOENT) => {
                taken(what, Outcome::Already, "")
            }
            Err(error) => taken(what, Outcome::Incomplete, error.to_string()),
        }
    }

    fn statd(&mut self) -> Result<Taken> {
        let what = format!("rpc.statd forgets clients of {}", self.service.ip);
        let patience = match self.found.umounted {
            Some(_) => statd::AT_LEISURE,
            // The cluster manager goes on when we are done.
            None => statd::BRIEFLY,
        };
        let patience = (!self.dry_run).then_some(patience);
        let (result, why) = forget_pairs(self.host, self.config, &self.service, patience);
        taken(what, result, why)
    }
}

/// Makes statd forget a floating IP within so long, or only says that it would be done. Others can
/// go on without it.
pub fn forget_pairs(
    host: &Host,
    config: &Config,
    service: &Service,
    patience: Option<Duration>,
) -> (Outcome, String) {
    let Some(patience) = patience else {
        return (Outcome::Would, String::new());
    };
    let forgotten = statd::forget(host, &config.statd_dir, service.ip, patience);
    match forgotten {
        Ok(statd::Forgotten { pairs: 0, .. }) => (Outcome::Already, "it knows none".into()),
        Ok(statd::Forgotten { pairs, running }) => {
            let how = if running {
                ""
            } else {
                ", removed from its list as it is not running"
            };
            (Outcome::Done, format!("{pairs}{how}"))
        }
        Err(error) => (Outcome::Incomplete, error.to_string()),
    }
}
