// SPDX-License-Identifier: GPL-2.0-only

//! What would keep clients from getting their locks back, looked at before they see anything.

use super::Takeover;
use crate::error::Result;
use crate::export::{
    exports,
    interface, //
};
use crate::exporttable::Table;
use crate::interface::of;
use crate::manifest::Stored;
use crate::program;
use crate::scope;
use crate::services;
use crate::steps::{
    looked,
    taken,
    Outcome,
    Taken, //
};
use std::fs;

impl Takeover<'_> {
    /// Only some clients lose by a scope that others do not have, and all would if nothing were served.
    pub(super) fn preflight(&mut self) -> Result<Taken> {
        let scope = scope::look(self.host);
        let looked = self.preflight_with(scope.note())?;
        match (looked, scope.problem_of_takeover()) {
            ((what, Outcome::Done, _), Some(problem)) => taken(what, Outcome::Incomplete, problem),
            ((what, Outcome::Incomplete, why), Some(problem)) => {
                taken(what, Outcome::Incomplete, format!("{why}; {problem}"))
            }
            (looked, _) => Ok(looked),
        }
    }

    fn preflight_with(&self, note: Option<String>) -> Result<Taken> {
        let service = &self.service;
        let mut problems = services::problems_within(self.host, self.patience());
        if let Some(fsid) = service.fsid {
            problems.extend(Table::read(self.host, self.config)?.misfits(&service.path, fsid));
        }
        let mounted = self.host.is_mounted(&service.path)?;
        if mounted && !self.dry_run {
            let answers = Stored::new(service, &self.manifest)?.answers_within(self.patience());
            problems.extend(answers.err().map(|error| error.to_string()));
        }
        let mounts = self.mount && !mounted;
        if mounts {
            problems.extend(self.cannot_mount());
        }
        if self.export {
            problems.extend(exports(service).err().map(|error| error.to_string()));
        }
        let up = !of(service.ip)?.is_empty();
        if self.address && !up {
            problems.extend(self.cannot_go_up());
        }
        for (program, wanted) in [
            ("mount", mounts),
            ("exportfs", self.export),
            ("ip", self.address && !up),
        ] {
            if wanted && !program::exists(program) {
                problems.push(format!("there is no program {program}"));
            }
        }
        let what = "all that clients need is there";
        looked(what, problems, self.force, note.unwrap_or_default())
    }

    fn cannot_mount(&self) -> Option<String> {
        let path = &self.service.path;
        if !path.is_dir() {
            return Some(format!("there is no directory {}", path.display()));
        }
        match &self.service.device {
            None => Some("--mount needs device of the service in the configuration".into()),
            // UUID=... and the like are for mount(8) to understand.
            Some(device) if device.has_root() => fs::metadata(device)
                .err()
                .map(|error| format!("device {}: {error}", device.display())),
            Some(_) => None,
        }
    }

    fn cannot_go_up(&self) -> Option<String> {
        let (interface, _) = match interface(&self.service) {
            Ok(known) => known,
            Err(error) => return Some(error.to_string()),
        };
        let there = self.host.sys().join("class/net").join(interface).exists();
        (!there).then(|| format!("there is no interface {interface} for {}", self.service.ip))
    }
}
