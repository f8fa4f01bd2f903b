// SPDX-License-Identifier: GPL-2.0-only

//! `takeover`: what the node that a filesystem comes to has to do, in the only right order.

use crate::config::{
    Config,
    OnRecordFailure,
    Service, //
};
use crate::durable;
use crate::error::{
    text,
    Context,
    Error,
    Result, //
};
use crate::host::{
    self,
    Host, //
};
use crate::nfsd::{
    meaning,
    Nfsd, //
};
use crate::notify::{
    self,
    Notify, //
};
use crate::policy::address;
use crate::release::{
    exports,
    forget_pairs,
    interface, //
};
use crate::statedir::StateDir;
use crate::steps::{
    taken,
    Action,
    Outcome,
    Taken, //
};
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::Command;
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

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

    fn mount(&mut self) -> Result<Taken> {
        let path = self.service.path.display().to_string();
        let what = format!("mount {path}");
        if self.host.is_mounted(&self.service.path)? {
            return taken(what, Outcome::Already, "");
        }
        if !self.mount {
            return Err(Error::new(format!(
                "nothing is mounted at {path}: mount the filesystem first, or use --mount"
            )));
        }
        let device = self
            .service
            .device
            .as_ref()
            .map(|device| device.display().to_string());
        let device = device.ok_or_else(|| {
            Error::new("--mount needs device of the service in the configuration")
        })?;
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        let mut arguments = vec![];
        if let Some(options) = &self.service.mount_options {
            arguments.extend(["-o", options.as_str()]);
        }
        arguments.extend([device.as_str(), path.as_str()]);
        host::run("mount", &arguments)?;
        taken(what, Outcome::Done, device.clone())
    }

    fn state_dir(&mut self) -> Result<Taken> {
        let state = self.state();
        let what = format!("{} for rpc.statd's user", state.path().display());
        let user = host::statd_user(&self.config.statd_dir)?;
        let ready = state.exists()
            && [state.path().to_owned(), state.path().join("clients")]
                .iter()
                .all(|dir| host::owner(dir).is_ok_and(|owner| owner.0 == user.0));
        if ready {
            return taken(what, Outcome::Already, "");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        state.create(user)?;
        taken(what, Outcome::Done, "")
    }

    fn statd(&mut self) -> Result<Taken> {
        let what = format!("rpc.statd forgets clients of {}", self.service.ip);
        let nfsd = self.nfsd();
        // Then the callout records for us, and would remove the records of whom statd forgets.
        if nfsd.has_floating_ips() && nfsd.is_floating(self.service.ip)? {
            return taken(what, Outcome::Already, "");
        }
        forget_pairs(self.config, &self.service, what, self.dry_run)
    }

    fn floating_ips(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let nfsd = self.nfsd();
        let confirm = match self.config.on_record_failure {
            OnRecordFailure::Refuse => " confirm",
            OnRecordFailure::Grant => "",
        };
        let command = format!("+{ip}{confirm}");
        let what = format!("{command} in floating_ips");
        if !nfsd.has_floating_ips() {
            return taken(what, Outcome::Incomplete, "this module has no floating_ips: its clients will not be recorded, install a newer one");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        nfsd.command("floating_ips", &command)?;
        let mut trouble = Vec::new();
        if let Err(error) = host::statd_user(&self.config.statd_dir)
            .and_then(|user| nfsd.give_floating_ips_to(user))
        {
            trouble.push(error.to_string());
        }
        let clients = self.state().clients()?;
        trouble.extend(
            clients
                .garbage
                .iter()
                .map(|garbage| format!("skipped {garbage}")),
        );
        let mut known = 0;
        for client in clients.names {
            // Of clients by name, the kernel does not know which address is meant.
            let Some(address) = address::parse(client.as_bytes()) else {
                continue;
            };
            match nfsd.command("floating_ips", &format!("={ip} {address}")) {
                Ok(()) => known += 1,
                Err(error) => trouble.push(error.to_string()),
            }
        }
        let clients = format!("{known} clients are on record");
        match trouble.first() {
            None => taken(what, Outcome::Done, clients),
            Some(first) if trouble.len() == 1 => {
                taken(what, Outcome::Incomplete, format!("{clients}; {first}"))
            }
            Some(first) => taken(
                what,
                Outcome::Incomplete,
                format!("{clients}; {first}; and {} more", trouble.len() - 1),
            ),
        }
    }

    fn has_manifest_already(&self) -> Result<bool> {
        let service = &self.service;
        let status = self.nfsd().status()?;
        let has = status
            .units_of(&service.path, service.fsid, service.ip)
            .any(|unit| unit.recovers() && unit.get("manifest").is_some());
        Ok(has)
    }

    /// A manifest may be used once, whatever becomes of the node: it is gone before it is used.
    fn manifest(&mut self) -> Result<Taken> {
        let what = format!("manifest from {}", self.manifest.display());
        let context = || format!("cannot use {}", self.manifest.display());
        if self.has_manifest_already()? {
            return taken(what, Outcome::Already, "the unit recovers with one");
        }
        let manifest = match fs::read(&self.manifest) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return taken(
                    what,
                    Outcome::Skipped,
                    "there is none: all clients get the time to reclaim",
                );
            }
            other => other.context(context)?,
        };
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        durable::remove(&self.manifest).context(context)?;
        if self.service.fsid.is_none() {
            return taken(
                what,
                Outcome::Skipped,
                "removed unused, the fsid of the service is not known",
            );
        }
        match self.nfsd().give_manifest(&manifest) {
            Ok(()) => taken(what, Outcome::Done, ""),
            Err(error) => {
                let why = meaning(error.raw_os_error());
                taken(
                    what,
                    Outcome::Skipped,
                    format!(
                        "the kernel refused it, {}: {why}; all clients get the time to reclaim",
                        text(&error)
                    ),
                )
            }
        }
    }

    fn grace(&mut self) -> Result<Taken> {
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
        if self.has_manifest_already()? {
            return taken(
                what,
                Outcome::Already,
                "the unit recovers with its manifest",
            );
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        self.nfsd().command(file, &command)?;
        taken(what, Outcome::Done, "")
    }

    fn export(&mut self) -> Result<Taken> {
        let path = self.service.path.display().to_string();
        let what = format!("export {path}");
        if !self.export {
            return taken(what, Outcome::Skipped, "left to the cluster manager");
        }
        let clients = exports(&self.service)?;
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        for (client, options) in clients {
            let fsid = self.service.fsid.map(|fsid| format!("fsid={fsid}"));
            let options: Vec<_> = [Some(options), fsid.as_deref()]
                .into_iter()
                .flatten()
                .filter(|word| !word.is_empty())
                .collect();
            host::run(
                "exportfs",
                &["-o", &options.join(","), &format!("{client}:{path}")],
            )?;
        }
        taken(what, Outcome::Done, "")
    }

    fn address(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let what = format!("{ip} up");
        if host::is_local(ip)? {
            return taken(what, Outcome::Already, "");
        }
        if !self.address {
            return taken(what, Outcome::Skipped, "left to the cluster manager");
        }
        let (interface, prefix) = interface(&self.service)?;
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        let with_prefix = format!("{ip}/{prefix}");
        let mut arguments = vec!["addr", "add", &with_prefix, "dev", interface];
        if ip.is_ipv6() {
            // Nobody else has it, and finding that out takes a second.
            arguments.push("nodad");
        }
        host::run("ip", &arguments)?;
        // Whoever is not there to hear of it asks by itself, later.
        let arping = ip.is_ipv4().then(|| {
            Command::new("arping")
                .args(["-q", "-U", "-c", "3", "-I", interface, &ip.to_string()])
                .spawn()
        });
        let why = match arping {
            Some(Err(error)) => format!("neighbours are not told: arping: {}", text(&error)),
            _ => String::new(),
        };
        taken(what, Outcome::Done, why)
    }

    fn notify(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let what = format!("tell the clients of {ip}");
        if !self.notify {
            return taken(what, Outcome::Skipped, "--no-notify");
        }
        if self.dry_run {
            let clients = if self.state().exists() {
                self.state().clients()?.names.len()
            } else {
                0
            };
            return taken(what, Outcome::Would, format!("{clients} clients"));
        }
        let deadline = Instant::now() + self.wait_address;
        while !host::is_local(ip)? {
            if Instant::now() >= deadline {
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
        let notify = Notify {
            host: self.host,
            service: &self.service,
            force: false,
            how: self.how.clone(),
        };
        let report = notify.run()?;
        let (answered, all) = (report.answered(), report.clients.len());
        let said = format!("{answered} of {all} answered");
        let result = if answered == all {
            Outcome::Done
        } else {
            Outcome::Incomplete
        };
        self.told = Some(report);
        taken(what, result, said)
    }
}

/// Splits `CLIENT:OPTIONS`. The colons of an IPv6 address are in brackets.
pub fn split_export(export: &str) -> Option<(&str, &str)> {
    let search_from = if export.starts_with('[') {
        export.find(']')?
    } else {
        0
    };
    let colon = search_from + export[search_from..].find(':')?;
    let (client, options) = (&export[..colon], &export[colon + 1..]);
    let odd = |letter: char| letter.is_whitespace();
    (!client.is_empty() && !export.contains(odd)).then_some((client, options))
}

/// A path as nfsd's files take it.
fn escape(path: &Path) -> String {
    let mut word = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_graphic() && *byte != b'\\' {
            word.push(char::from(*byte));
        } else {
            let _ = write!(word, "\\{byte:03o}");
        }
    }
    word
}
