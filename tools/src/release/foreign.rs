// SPDX-License-Identifier: GPL-2.0-only

//! The mark that a filesystem which is released was not taken over here.
//!
//! What is released has a unit, and else only what was taken over has one. Without the mark, a release
//! that is repeated would take the unit of the first time for that. It also says that no address was up
//! the first time: if one was, clients could come, and are on no list that lies there.

use super::Release;
use crate::error::{
    Context,
    Result, //
};
use crate::turn;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// What it says then. Anything else, as of one that was not written to its end, does not.
const UNREACHED: &str = "no address was up\n";

/// What a mark says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    No,
    Reached,
    Unreached,
}

impl Release<'_> {
    fn mark(&self) -> Result<PathBuf> {
        Ok(turn::place(self.host, &format!("foreign-{}", self.fsid()?)))
    }

    /// What it says, or what is safe if it cannot be read. It tells nothing but what a released unit is of.
    pub(super) fn foreign(&self) -> Result<Foreign> {
        Ok(match fs::read_to_string(self.mark()?) {
            Ok(text) if text == UNREACHED => Foreign::Unreached,
            Err(error) if error.kind() == ErrorKind::NotFound => Foreign::No,
            _ => Foreign::Reached,
        })
    }

    /// Leaves the mark, or removes that of an earlier release, before there is a unit.
    pub(super) fn mark_foreign(&self) -> Result<()> {
        let path = self.mark()?;
        let said = match self.found.keeps_list {
            true => UNREACHED,
            false => "",
        };
        let done = match self.found.taken_over {
            true => match fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                other => other,
            },
            false => path
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::write(&path, said)),
        };
        done.context(|| {
            format!(
                "whether this filesystem was taken over here cannot be noted in {}",
                path.display()
            )
        })
    }
}
