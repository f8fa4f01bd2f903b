// SPDX-License-Identifier: GPL-2.0-only

//! `setup`: what a node needs in files of others, and the restarts by which it comes into force.

mod files;
mod others;
pub mod restart;
pub mod served;
pub mod settings;
pub mod units;
pub mod wanted;

use crate::doctor::finding::Sight;
use crate::doctor::{
    server,
    statd, //
};
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::Host;
use crate::program;
use crate::steps::{
    looked,
    taken,
    Action,
    Outcome,
    Taken, //
};
use files::File;
use served::Served;
use settings::{
    difference,
    fate,
    Fate, //
};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use wanted::{
    bad_scope,
    Wanted,
    CALLOUT,
    MODPROBE,
    MODULES_LOAD,
    NFS_CONF, //
};

/// The unit that says at boot whether this node can take anything over.
const UNIT: &str = "nfs-failover.service";

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The scope.
    pub scope: Option<String>,
    /// Ports.
    pub lockd: Option<u16>,
    /// That of rpc.statd.
    pub statd: Option<u16>,
    /// That of rpc.mountd.
    pub mountd: Option<u16>,
}

/// What runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// nfsd has threads.
    nfsd: bool,
    /// There is an rpc.statd.
    statd: bool,
    /// Its callout is ours by what it has read.
    callout: bool,
    /// The scope of nfsd.
    scope: Sight<String>,
    /// Ports, by service and protocol.
    ports: BTreeMap<String, Sight<u16>>,
    /// Who is served here.
    served: Served,
}

/// A setup.
pub struct Setup<'a> {
    /// The machine.
    pub host: &'a Host,
    /// What was asked for.
    pub asked: Asked,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Overwrite what somebody has changed.
    pub replace: bool,
    /// Restart nfs-server even if clients are served, or it cannot be seen that none are.
    pub restart: bool,
    /// All files, also those that are right.
    files: Vec<File>,
    wanted: Option<Wanted>,
    /// What ran before.
    before: Option<Running>,
    /// What was changed, for whoever has to undo it.
    written: bool,
    enabled: bool,
    restarted: Vec<&'static str>,
    /// Settings of the running kernel that were changed, and what they were.
    sysctls: Vec<(PathBuf, String)>,
}

/// The steps.
pub fn plan<'a>() -> [(&'static str, Action<Setup<'a>>); 7] {
    [
        ("preflight", Setup::preflight),
        ("files", Setup::write),
        ("nfs.conf", Setup::counts),
        ("service", Setup::service),
        ("module", Setup::module),
        ("rpc-statd", Setup::statd),
        ("nfs-server", Setup::server),
    ]
}

/// How many of them only look.
pub const LOOKS: usize = 1;

/// What takes back what a setup has done that could not be finished.
pub fn undo<'a>() -> [(&'static str, Action<Setup<'a>>); 2] {
    [("undo", Setup::undo_files), ("undo", Setup::undo_restarts)]
}

impl<'a> Setup<'a> {
    /// Nothing was looked at yet.
    pub fn new(host: &'a Host, asked: Asked) -> Self {
        Self {
            host,
            asked,
            dry_run: false,
            replace: false,
            restart: false,
            files: Vec::new(),
            wanted: None,
            before: None,
            written: false,
            enabled: false,
            restarted: Vec::new(),
            sysctls: Vec::new(),
        }
    }

    /// Whether there is something to take back.
    pub fn has_changed(&self) -> bool {
        self.written
    }

    fn wanted(&self) -> Result<&Wanted> {
        let missing = || Error::new("nothing was looked at yet");
        self.wanted.as_ref().ok_or_else(missing)
    }

    fn preflight(&mut self) -> Result<Taken> {
        let wanted = self.choose()?;
        let at = |name: &str| self.host.root.join(name);
        let mut problems = Vec::new();
        for name in ["nfsconf", "systemctl"] {
            if !program::exists(name) {
                problems.push(format!(
                    "there is no program {name}: install nfs-common and systemd"
                ));
            }
        }
        if !at(CALLOUT.trim_start_matches('/')).exists() {
            problems.push(format!(
                "there is no {CALLOUT}, without which rpc.statd records nobody: make tools_install, or apt install nfs-failover-tools"
            ));
        }
        let packaged = at("usr/lib/modules-load.d/nfs-failover.conf").exists();
        let mut files = Vec::new();
        for (name, text) in wanted.files() {
            if name == MODULES_LOAD && packaged && !at(name).exists() {
                continue;
            }
            let path = at(name);
            if path.is_symlink() {
                problems.push(format!(
                    "{} is a symbolic link, and what it leads to is of somebody else: remove it",
                    path.display()
                ));
                continue;
            }
            files.push(File::read(path, text)?);
        }
        for file in &files {
            let Fate::Changed(lines) = fate(file.old.as_deref(), &file.new) else {
                continue;
            };
            if !self.replace {
                problems.push(format!(
                    "{} was changed by somebody, and this would be lost: {}; move it to a file of another name, or use --replace",
                    file.path.display(),
                    lines.join(", ")
                ));
            }
        }
        let (ours, modprobe) = (at(NFS_CONF), at(MODPROBE));
        problems.extend(others::contradictions(self.host, &ours, &modprobe, &wanted));
        let mut over = others::overridden(self.host, &ours, &wanted);
        match units::contradictions(self.host, &wanted) {
            Ok(found) => problems.extend(found),
            Err(error) => over.push(format!(
                "with which options systemd starts the services could not be seen: {error}"
            )),
        }
        self.before = Some(Running::look(self.host));
        self.files = files;
        let what = format!(
            "scope \"{}\", ports {} (lockd), {} (statd), {} (mountd)",
            wanted.scope, wanted.lockd, wanted.statd, wanted.mountd
        );
        self.wanted = Some(wanted);
        looked(what, problems, false, over.join("; ")).map_err(|error| {
            // There is no --force.
            let said = error.to_string();
            Error::new(said.replace("; --force goes on all the same", ""))
        })
    }

    fn choose(&self) -> Result<Wanted> {
        let ours = self.host.root.join(NFS_CONF);
        let before = fs::read_to_string(&ours).unwrap_or_default();
        let before = settings::settings(&before);
        let had = |section: &str, key: &str| {
            let mut settings = before.iter();
            let found = settings.find(|known| known.section == section && known.key == key);
            found.map(|known| known.value.clone())
        };
        // One that the administrator has chosen elsewhere is as good as ours.
        let port = |asked: Option<u16>, section: &str, default: u16| {
            asked
                .or_else(|| had(section, "port").and_then(|word| word.parse().ok()))
                .or_else(|| others::port(self.host, &ours, section))
                .unwrap_or(default)
        };
        let set = || crate::doctor::configured("nfsd", "scope").ok().flatten();
        let scope = self.asked.scope.clone();
        let Some(scope) = scope.or_else(|| had("nfsd", "scope")).or_else(set) else {
            return Err(Error::new("give --scope NAME: a word that all nodes of this cluster have, and no other cluster"));
        };
        let hostname = self.host.proc().join("sys/kernel/hostname");
        let hostname = fs::read_to_string(hostname).ok();
        if let Some(why) = bad_scope(&scope, hostname.as_deref().map(str::trim)) {
            return Err(Error::new(why));
        }
        Ok(Wanted {
            scope,
            lockd: port(self.asked.lockd, "lockd", 4001),
            statd: port(self.asked.statd, "statd", 4002),
            mountd: port(self.asked.mountd, "mountd", 4003),
        })
    }

    fn changed(&self) -> impl Iterator<Item = &File> {
        let files = self.files.iter();
        files.filter(|file| file.old.as_ref() != Some(&file.new))
    }

    /// Whether what the services read when they start is another file than before.
    fn reads_anew(&self) -> bool {
        self.changed().any(|file| file.path.ends_with(NFS_CONF))
    }

    /// What is written, for people.
    pub fn changes(&self) -> String {
        let mut text = String::new();
        for file in self.changed() {
            let _ = writeln!(text, "{}:", file.path.display());
            for line in difference(file.old.as_deref(), &file.new) {
                let _ = writeln!(text, "    {line}");
            }
        }
        text
    }

    fn write(&mut self) -> Result<Taken> {
        let changed: Vec<_> = self.changed().cloned().collect();
        let names: Vec<_> = changed
            .iter()
            .map(|file| file.path.display().to_string())
            .collect();
        let what = match names.is_empty() {
            true => "all have what they have to".into(),
            false => format!("write {}", names.join(", ")),
        };
        if changed.is_empty() {
            return taken(what, Outcome::Already, "");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        files::write(&changed)?;
        self.written = true;
        taken(what, Outcome::Done, "")
    }

    /// Whether nfs-utils sees it as we do.
    fn counts(&mut self) -> Result<Taken> {
        let what = "what it says counts";
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        for (section, key, value) in self.wanted()?.nfs_conf() {
            let said = crate::doctor::configured(section, key).map_err(Error::new)?;
            if said.as_deref() != Some(value.as_str()) {
                let said = said.unwrap_or("nothing".into());
                return Err(Error::new(format!(
                    "nfsconf says that {key} in [{section}] is {said}, not {value}: look for it in /etc/nfs.conf and what that includes"
                )));
            }
        }
        taken(what, Outcome::Done, "")
    }

    fn service(&mut self) -> Result<Taken> {
        let what = format!("{UNIT} at boot");
        let wants = "etc/systemd/system/multi-user.target.wants";
        if self.host.root.join(wants).join(UNIT).is_symlink() {
            return taken(what, Outcome::Already, "");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        let enabled = program::run("systemctl", &["daemon-reload"])
            .and_then(|()| program::run("systemctl", &["enable", UNIT]));
        match enabled {
            Ok(()) => {
                self.enabled = true;
                taken(what, Outcome::Done, "")
            }
            Err(error) => taken(what, Outcome::Incomplete, error.to_string()),
        }
    }

    fn module(&mut self) -> Result<Taken> {
        let what = "load nfs_failover";
        if self.host.sys().join("module/nfs_failover").exists() {
            return taken(what, Outcome::Already, "");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        match program::run("modprobe", &["nfs_failover"]) {
            Ok(()) => taken(what, Outcome::Done, ""),
            // The rest is no worse for that.
            Err(error) => taken(what, Outcome::Incomplete, error.to_string()),
        }
    }

    /// Files as they were, and the unit.
    fn undo_files(&mut self) -> Result<Taken> {
        let files: Vec<PathBuf> = self.files.iter().map(|file| file.path.clone()).collect();
        files::restore(&self.files)?;
        if self.enabled {
            program::run("systemctl", &["disable", UNIT])?;
        }
        taken(
            format!("{} files as they were", files.len()),
            Outcome::Done,
            "",
        )
    }

    fn undo_restarts(&mut self) -> Result<Taken> {
        let units = self.restarted.join(" and ");
        if units.is_empty() {
            return taken("restarts", Outcome::Skipped, "there were none");
        }
        // All of it: what cannot be undone is no reason to leave the rest.
        let mut failed = Vec::new();
        for (file, before) in &self.sysctls {
            let written = fs::write(file, before);
            let written = written.context(|| format!("cannot restore {}", file.display()));
            failed.extend(written.err());
        }
        for unit in &self.restarted {
            failed.extend(program::run("systemctl", &["restart", unit]).err());
        }
        if failed.is_empty() {
            return taken(format!("restart {units} once more"), Outcome::Done, "");
        }
        let failed: Vec<_> = failed.iter().map(ToString::to_string).collect();
        Err(Error::new(failed.join("; ")))
    }
}

impl Running {
    fn look(host: &Host) -> Self {
        let threads = fs::read_to_string(host.nfsd.join("threads")).unwrap_or_default();
        let (pid, callout) = statd::runs(host);
        let server = server::Facts::gather(host);
        Self {
            nfsd: !matches!(threads.trim(), "" | "0"),
            statd: pid.is_some(),
            callout,
            scope: server.scope,
            ports: server.ports,
            served: Served::look(host),
        }
    }
}
