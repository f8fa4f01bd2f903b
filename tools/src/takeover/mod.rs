// SPDX-License-Identifier: GPL-2.0-only

//! `takeover`: what the node that a filesystem comes to has to do, in the only right order.

mod preflight;
mod prepare;
mod recover;
mod serve;

use crate::config::{
    Config,
    Service, //
};
use crate::error::{
    Error,
    Result, //
};
use crate::group;
use crate::host::Host;
use crate::nfsd::Nfsd;
use crate::notify;
use crate::statedir::StateDir;
use crate::steps::{
    taken,
    Action,
    Outcome,
    Scope,
    Taken, //
};
use crate::together::Moved;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{
    Duration,
    Instant, //
};

/// What has more time than usual has some left for the last one.
const SOME: Duration = Duration::from_secs(1);

/// What to take over, and how far.
pub struct Takeover<'a> {
    /// The machine.
    pub host: &'a Host,
    /// The configuration.
    pub config: &'a Config,
    /// What is taken over.
    pub service: Service,
    /// Where the manifest is.
    pub manifest: PathBuf,
    /// Mount the filesystem.
    pub mount: bool,
    /// Export it.
    pub export: bool,
    /// Take the floating IP up.
    pub address: bool,
    /// Tell the clients.
    pub notify: bool,
    /// All floating IPs that come by the same command.
    pub addresses: Vec<IpAddr>,
    /// How long to wait for the floating IP.
    pub wait_address: Duration,
    /// How to tell the clients.
    pub how: notify::How,
    /// What became of telling them.
    pub told: Option<notify::Report>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Go on whatever the first look finds.
    pub force: bool,
    /// Begin the recovery anew, whatever recovers here already: it may be of an earlier time.
    pub fresh: bool,
    /// It is another address of a filesystem whose recovery the same command has begun.
    pub beside: bool,
    /// It was not here before what is called off, so it stays where it is.
    pub absent: bool,
    /// Filesystems behind its address that nobody misses here.
    pub away: Vec<PathBuf>,
    /// That nobody is on record is expected.
    pub expect_none: bool,
    /// Until when a disk or lockd may take to answer, if that is longer than usual. It is the same for all
    /// that come by one command.
    pub until: Option<Instant>,
    /// The options for other processes of ours.
    pub options: Vec<String>,
}

/// The steps. The kernel keeps no manifest without a unit that recovers, so the grace period comes
/// before it; and before `floating_ips`, as an address there without a unit is that of a filesystem
/// which is served, and whose release lists all that clients have. Nothing is exported yet.
pub fn plan<'a>() -> [(&'static str, Action<Takeover<'a>>); 12] {
    [
        ("module", Takeover::module),
        ("preflight", Takeover::preflight),
        ("mount", Takeover::mount),
        ("state_dir", Takeover::state_dir),
        ("statd", Takeover::statd),
        ("grace", Takeover::grace),
        ("floating_ips", Takeover::floating_ips),
        ("nfs4", Takeover::nfs4),
        ("manifest", Takeover::manifest),
        ("export", Takeover::export),
        ("address", Takeover::address),
        ("notify", Takeover::notify),
    ]
}

/// Those that are left to us by a cluster manager that mounts and exports before, and brings the
/// address up after that. The recovery comes first: a unit of an earlier release must not be taken for
/// one of a release that was begun since.
pub fn managed<'a>() -> [(&'static str, Action<Takeover<'a>>); 9] {
    [
        ("module", Takeover::module),
        ("preflight", Takeover::preflight),
        ("mount", Takeover::mount),
        ("grace", Takeover::grace),
        ("state_dir", Takeover::state_dir),
        ("statd", Takeover::statd),
        ("floating_ips", Takeover::floating_ips),
        ("nfs4", Takeover::nfs4),
        ("manifest", Takeover::manifest),
    ]
}

/// How many of them only look, at the beginning.
pub const LOOKS: usize = 2;

/// Those that serve a filesystem again whose release is called off, up to where clients can come.
pub fn before_clients<'a>() -> [(&'static str, Action<Takeover<'a>>); 4] {
    [
        ("mount", |takeover| takeover.unless_absent(Takeover::mount)),
        ("floating_ips", |takeover| {
            // It is worse if clients do not get their locks back now.
            takeover
                .floating_ips()
                .or_else(|error| taken("floating_ips", Outcome::Incomplete, error.to_string()))
        }),
        ("grace", |takeover| takeover.unless_absent(Takeover::grace)),
        ("manifest", |takeover| {
            takeover.unless_absent(Takeover::manifest)
        }),
    ]
}

impl Moved for Takeover<'_> {
    fn service(&self) -> &Service {
        &self.service
    }

    fn scope(step: &str) -> Scope {
        match step {
            "statd" | "floating_ips" | "nfs4" | "address" | "notify" => Scope::Address,
            _ => Scope::Service,
        }
    }
}

/// And what is left to do when they can.
pub fn tell_clients<'a>() -> [(&'static str, Action<Takeover<'a>>); 1] {
    [("notify", Takeover::notify)]
}

impl Takeover<'_> {
    fn nfsd(&self) -> Nfsd {
        Nfsd::new(&self.host.nfsd)
    }

    /// How long that still is.
    fn patience(&self) -> Duration {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        self.until
            .map_or(Duration::ZERO, |until| left(until).max(SOME))
    }

    fn state(&self) -> StateDir {
        StateDir::of(&self.service).if_mounted(self.host)
    }

    /// All filesystems behind the address that should be here, this one first.
    fn behind(&self) -> Vec<Service> {
        let mut found = group::sharing(self.config, &self.service);
        found.retain(|service| !self.away.contains(&service.path));
        found
    }

    fn unless_absent(&mut self, step: impl Fn(&mut Self) -> Result<Taken>) -> Result<Taken> {
        match self.absent {
            true => taken(
                self.service.path.display().to_string(),
                Outcome::Skipped,
                "it was not here before",
            ),
            false => step(self),
        }
    }

    fn module(&mut self) -> Result<Taken> {
        let nfsd = self.nfsd();
        nfsd.check()?;
        if nfsd.status()?.hooks_dead() {
            return Err(Error::new("the kernel has stopped calling the hooks of nfs_failover (hooks=dead in failover_status), no recovery can be started here: reboot this node"));
        }
        taken("nfs_failover is loaded", Outcome::Done, "")
    }
}
