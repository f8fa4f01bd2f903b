// SPDX-License-Identifier: GPL-2.0-only

//! The manifest of what NLM clients had, left for the next node.

use super::{
    Release,
    NOT_TAKEN_OVER, //
};
use crate::error::{
    text,
    Error,
    Result, //
};
use crate::key::Key;
use crate::manifest::{
    self,
    Stored, //
};
use crate::steps::{
    taken,
    Outcome,
    Taken, //
};

impl Release<'_> {
    /// A manifest that cannot be written is not worth the move, of which clients wait for the end.
    pub(super) fn manifest(&mut self) -> Result<Taken> {
        let what = format!("manifest to {}", self.manifest.display());
        self.leave_manifest(&what).or_else(|error| {
            taken(
                what,
                Outcome::Incomplete,
                format!("{error}; takeover will give all clients the time to reclaim"),
            )
        })
    }

    fn leave_manifest(&self, what: &str) -> Result<Taken> {
        let lost = self.manifest.starts_with(&self.service.path) && !self.found.mounted;
        if lost || self.found.gone {
            return taken(what, Outcome::Already, "the filesystem has taken it along");
        }
        if self.found.clients_listed {
            return taken(
                what,
                Outcome::Already,
                "what there was is on the list of NFSv4 clients, or beside it",
            );
        }
        if self.found.keeps_list {
            return taken(
                what,
                Outcome::Skipped,
                format!("{NOT_TAKEN_OVER}; a list that lies there stays as it is"),
            );
        }
        let stored = Stored::new(&self.service, &self.manifest)?;
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        // Before anything can fail: one of an earlier release lists locks that were given up long
        // ago.
        let removed = stored.remove().map_err(|error| {
            Error::new(format!(
                "cannot remove {}, which is an old one, nor write a new one: {}; REMOVE IT on the next node before it takes over",
                self.manifest.display(),
                text(&error)
            ))
        })?;
        self.remove_clients()?;
        if !self.found.manifest && self.found.lists_nfs4 {
            return taken(what, Outcome::Skipped, "NFSv4 clients have something: what there was is listed when nfsd has forgotten them");
        }
        if !self.found.manifest {
            let old = if removed {
                ", an old one was removed"
            } else {
                ""
            };
            let why = match self.found.taken_over {
                true => "the kernel has no manifest of this release",
                false => NOT_TAKEN_OVER,
            };
            return taken(
                what,
                Outcome::Skipped,
                format!("{why}{old}; takeover will give all clients the time to reclaim"),
            );
        }
        let said = self.write_manifest(&stored)?;
        taken(what, Outcome::Done, said)
    }

    /// Writes what the kernel lists; returns how much that is.
    pub(super) fn write_manifest(&self, stored: &Stored) -> Result<String> {
        let list = self
            .nfsd()
            .converse("lock_manifest", &self.fsid()?.to_string())
            .map_err(|error| match error.errno() {
                Some(number) if number == nix::errno::Errno::ENOENT as i32 => Error::new(
                    "the list of locks is not valid any more: the fence is over, which asks for a longer --fence the next time, or something was found to be missing; takeover gives all clients the time to reclaim",
                ),
                _ => error,
            })?;
        match manifest::end_of(&list) {
            Some(tally) => {
                let said = tally.to_string();
                let key = Key::load(&self.config.key_file)?;
                stored.write(list.into_bytes(), key.as_ref())?;
                Ok(said)
            }
            _ => Err(Error::new(
                "the kernel's manifest is cut off; repeat this command",
            )),
        }
    }
}
