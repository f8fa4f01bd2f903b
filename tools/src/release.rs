// SPDX-License-Identifier: GPL-2.0-only

//! `release`: what the node that is left has to do, in the only right order.

use crate::config::{
    Config,
    Service, //
};
use crate::durable;
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::export::{
    exports,
    interface, //
};
use crate::host::{
    self,
    Host, //
};
use crate::nfsd::Nfsd;
use crate::policy::command::DEFAULT_FENCE;
use crate::policy::fsid::Fsid;
use crate::statd;
use crate::steps::{
    taken,
    Action,
    Outcome,
    Taken, //
};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

/// How long a filesystem may be busy after everything was taken from it.
const BUSY: Duration = Duration::from_secs(10);

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
    /// Only say what would be done.
    pub dry_run: bool,
    /// Found out on the way.
    pub found: Found,
}

/// What the first steps found out for later ones.
#[derive(Clone, Debug, Default)]
pub struct Found {
    mounted: bool,
    /// The filesystem had left before.
    gone: bool,
    /// The kernel has a manifest.
    manifest: bool,
}

/// The steps.
pub fn plan<'a>() -> [(&'static str, Action<Release<'a>>); 8] {
    [
        ("module", Release::module),
        ("fence", Release::fence),
        ("floating_ips", Release::floating_ips),
        ("address", Release::address),
        ("manifest", Release::manifest),
        ("statd", Release::statd),
        ("unexport", Release::unexport),
        ("umount", Release::umount),
    ]
}

const ALREADY_RELEASED: &str = "already released: it is not mounted here";

impl Release<'_> {
    fn nfsd(&self) -> Nfsd {
        Nfsd::new(&self.host.nfsd)
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
        self.found.mounted = self.host.is_mounted(&service.path)?;
        self.found.gone = !self.found.mounted
            && !status
                .units_of(&service.path, Some(fsid), service.ip)
                .any(|_| true);
        let what = format!(
            "nfs_failover is loaded, {} is fsid {fsid}",
            service.path.display()
        );
        taken(what, Outcome::Done, "")
    }

    fn fence(&mut self) -> Result<Taken> {
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
            self.found.manifest = true;
            return taken(what, Outcome::Would, "");
        }
        let dropped = self.nfsd().converse("nlm_unlock", &command)?;
        self.found.manifest = dropped
            .split_whitespace()
            .any(|word| word == "manifest=complete");
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
            Err(error) => Err(error),
        }
    }

    fn address(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let what = format!("{ip} down");
        if !host::is_local(ip)? {
            return taken(what, Outcome::Already, "");
        }
        if !self.address {
            return taken(what, Outcome::Skipped, "left to the cluster manager, it is still up: the manifest is safe, but may list locks that are given up from now on");
        }
        let (interface, prefix) = interface(&self.service)?;
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        let source = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        // A client answers that it was granted a lock over a connection that it believes in, and
        // does not repeat that. Without this it believes in those to this node.
        host::run("ss", &["-K", "-t", "src", &source])?;
        host::run(
            "ip",
            &["addr", "del", &format!("{ip}/{prefix}"), "dev", interface],
        )?;
        taken(what, Outcome::Done, "")
    }

    fn manifest(&mut self) -> Result<Taken> {
        let what = format!("manifest to {}", self.manifest.display());
        let lost = self.manifest.starts_with(&self.service.path) && !self.found.mounted;
        if lost || self.found.gone {
            return taken(what, Outcome::Already, "the filesystem has taken it along");
        }
        let context = || format!("cannot write {}", self.manifest.display());
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        if !self.found.manifest {
            // One of an earlier release lists locks that were given up long ago.
            let removed = durable::remove(&self.manifest).context(context)?;
            let old = if removed {
                ", an old one was removed"
            } else {
                ""
            };
            return taken(what, Outcome::Skipped, format!("the kernel has no manifest of this release{old}; takeover will give all clients the time to reclaim"));
        }
        if let Some(dir) = self.manifest.parent() {
            fs::create_dir_all(dir).context(context)?;
        }
        // Before anything can fail: an old one must not be taken for this one.
        durable::remove(&self.manifest).context(context)?;
        let text = self
            .nfsd()
            .converse("lock_manifest", &self.fsid()?.to_string())
            .map_err(|error| match error.errno() {
                Some(number) if number == nix::errno::Errno::ENOENT as i32 => Error::new(
                    "the list of locks is not valid any more: the fence is over, or something was found to be missing; repeat this command, with a longer --fence if it was too short",
                ),
                _ => error,
            })?;
        match text.lines().last() {
            Some(end) if end.starts_with("end ") => {
                durable::write(&self.manifest, text.as_bytes(), 0o600).context(context)?;
                taken(what, Outcome::Done, end.trim_start_matches("end "))
            }
            _ => Err(Error::new(
                "the kernel's manifest is cut off; repeat this command",
            )),
        }
    }

    fn statd(&mut self) -> Result<Taken> {
        let what = format!("rpc.statd forgets clients of {}", self.service.ip);
        forget_pairs(self.config, &self.service, what, self.dry_run)
    }

    fn unexport(&mut self) -> Result<Taken> {
        let path = self.service.path.display().to_string();
        let what = format!("unexport {path}");
        if !self.unexport {
            return taken(what, Outcome::Skipped, "left to the cluster manager");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        let clients = exports(&self.service)?;
        let mut already = 0;
        for (client, _) in &clients {
            match host::run("exportfs", &["-u", &format!("{client}:{path}")]) {
                Err(error) if error.to_string().contains("Could not find") => already += 1,
                other => other?,
            }
        }
        let result = if already == clients.len() {
            Outcome::Already
        } else {
            Outcome::Done
        };
        taken(what, result, "")
    }

    fn umount(&mut self) -> Result<Taken> {
        let path = self.service.path.display().to_string();
        let what = format!("umount {path}");
        if !self.host.is_mounted(&self.service.path)? {
            return taken(
                what,
                Outcome::Already,
                if self.found.gone {
                    ALREADY_RELEASED
                } else {
                    ""
                },
            );
        }
        if !self.umount {
            return taken(what, Outcome::Skipped, "left to the cluster manager");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        let deadline = Instant::now() + BUSY;
        while let Err(error) = host::run("umount", &[&path]) {
            let busy = error.to_string().contains("busy");
            if busy && Instant::now() < deadline {
                sleep(Duration::from_millis(250));
            } else if busy {
                return Err(Error::new(format!("{error}; it was tried for {} s. Something on this node uses it: an export (exportfs -v), a process (fuser -vm {path}), a loop device or a mount below it", BUSY.as_secs())));
            } else {
                return Err(error);
            }
        }
        taken(what, Outcome::Done, "")
    }
}

/// The step that makes statd forget a floating IP. Others can go on without it.
pub fn forget_pairs(
    config: &Config,
    service: &Service,
    what: String,
    dry_run: bool,
) -> Result<Taken> {
    if dry_run {
        return taken(what, Outcome::Would, "");
    }
    match statd::forget(&config.statd_dir, service.ip) {
        Ok(statd::Forgotten { pairs: 0, .. }) => taken(what, Outcome::Already, "it knows none"),
        Ok(statd::Forgotten { pairs, running }) => {
            let how = if running {
                ""
            } else {
                ", removed from its list as it is not running"
            };
            taken(what, Outcome::Done, format!("{pairs}{how}"))
        }
        Err(error) => taken(what, Outcome::Incomplete, error.to_string()),
    }
}
