// SPDX-License-Identifier: GPL-2.0-only

//! The grace period of the filesystem.

use super::Takeover;
use crate::durable;
use crate::error::{
    text,
    Context,
    Result, //
};
use crate::nfsd::meaning;
use crate::steps::{
    taken,
    Outcome,
    Taken, //
};
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

impl Takeover<'_> {
    pub(super) fn has_manifest_already(&self) -> Result<bool> {
        let service = &self.service;
        let status = self.nfsd().status()?;
        let has = status
            .units_of(&service.path, service.fsid, service.ip)
            .any(|unit| unit.recovers() && unit.get("manifest").is_some());
        Ok(has)
    }

    /// A manifest may be used once, whatever becomes of the node: it is gone before it is used.
    pub(super) fn manifest(&mut self) -> Result<Taken> {
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

    pub(super) fn grace(&mut self) -> Result<Taken> {
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
