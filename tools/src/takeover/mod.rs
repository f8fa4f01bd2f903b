// SPDX-License-Identifier: GPL-2.0-only

//! `takeover`: what the node that a filesystem comes to has to do, in the only right order.

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
use crate::host::Host;
use crate::nfsd::Nfsd;
use crate::notify;
use crate::statedir::StateDir;
use crate::steps::{
    taken,
    Action,
    Outcome,
    Taken, //
};
use std::path::PathBuf;
use std::time::Duration;

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
    /// How long to wait for the floating IP.
    pub wait_address: Duration,
    /// How to tell the clients.
    pub how: notify::How,
    /// What became of telling them.
    pub told: Option<notify::Report>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// The steps.
pub fn plan<'a>() -> [(&'static str, Action<Takeover<'a>>); 10] {
    [
        ("module", Takeover::module),
        ("mount", Takeover::mount),
        ("state_dir", Takeover::state_dir),
        ("statd", Takeover::statd),
        ("floating_ips", Takeover::floating_ips),
        ("manifest", Takeover::manifest),
        ("grace", Takeover::grace),
        ("export", Takeover::export),
        ("address", Takeover::address),
        ("notify", Takeover::notify),
    ]
}

impl Takeover<'_> {
    fn nfsd(&self) -> Nfsd {
        Nfsd::new(&self.host.nfsd)
    }

    fn state(&self) -> StateDir {
        StateDir::new(&self.service.state_dir(), self.service.ip)
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
