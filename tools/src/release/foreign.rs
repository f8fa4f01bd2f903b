// SPDX-License-Identifier: GPL-2.0-only

//! The mark that a filesystem which is released was not taken over here.
//!
//! What is released has a unit, and else only what was taken over has one. Without the mark, a release
//! that is repeated would take the unit of the first time for that.

use super::Release;
use crate::error::{
    Context,
    Result, //
};
use crate::turn;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

impl Release<'_> {
    fn mark(&self) -> Result<PathBuf> {
        Ok(turn::place(self.host, &format!("foreign-{}", self.fsid()?)))
    }

    /// Whether it is there, or cannot be seen. It tells nothing but what a released unit is of.
    pub(super) fn is_foreign(&self) -> Result<bool> {
        Ok(self.mark()?.try_exists().unwrap_or(true))
    }

    /// Leaves the mark, or removes that of an earlier release, before there is a unit.
    pub(super) fn mark_foreign(&self) -> Result<()> {
        let path = self.mark()?;
        let done = match self.found.taken_over {
            true => match fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                other => other,
            },
            false => path
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::write(&path, "")),
        };
        done.context(|| {
            format!(
                "whether this filesystem was taken over here cannot be noted in {}",
                path.display()
            )
        })
    }
}
