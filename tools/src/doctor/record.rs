// SPDX-License-Identifier: GPL-2.0-only

//! Whether rpc.statd's user can make a record where records are: tried, with one that is no record.

use super::finding::Finding;
use super::sight;
use crate::config::{
    Config,
    Service, //
};
use crate::host::{
    self,
    Host, //
};
use crate::program;
use crate::statedir::StateDir;
use std::fs;

const COST: &str = "its NFSv3 clients are not on record: after a crash they are not told to reclaim, and lose their locks";

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was made.
    Made,
    /// It could not be made.
    Failed(String),
    /// It could not be tried.
    Unseen(String),
}

/// Tries. [`None`] if the filesystem is not mounted here, or cannot have records for another reason
/// that is said elsewhere.
pub fn attempt(host: &Host, config: &Config, service: &Service) -> Option<Attempt> {
    match host.is_mounted(&service.path) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) => return Some(Attempt::Unseen(error.to_string())),
    }
    let state = StateDir::of(service).if_mounted(host);
    let clients = state.path().join("clients");
    let user = host::statd_user(&config.statd_dir).map_err(|error| error.to_string());
    if user
        .as_ref()
        .is_ok_and(|user| !state.problems(*user).is_empty())
    {
        // What check.rs says.
        return None;
    }
    if !program::exists("setpriv") {
        return Some(Attempt::Unseen("there is no program setpriv".into()));
    }
    let made = user.and_then(|(user, group)| {
        let (user, group) = (format!("--reuid={user}"), format!("--regid={group}"));
        let clients = clients.display().to_string();
        // Its name begins with a dot, so nobody takes it for a record, and cannot be guessed.
        let made = sight::said(
            "setpriv",
            &[
                &user,
                &group,
                "--clear-groups",
                "mktemp",
                "-p",
                &clients,
                ".doctor.XXXXXXXXXX",
            ],
        )?;
        fs::remove_file(&made).map_err(|error| format!("cannot remove {made}: {error}"))
    });
    Some(match made {
        Ok(()) => Attempt::Made,
        Err(why) => Attempt::Failed(why),
    })
}

/// Judges.
pub fn judge(name: &str, attempt: Option<&Attempt>) -> Option<Finding> {
    let finding = match attempt? {
        Attempt::Made => Finding::ok("record", "rpc.statd's user can make one"),
        Attempt::Unseen(why) => {
            Finding::unknown("record", why, COST, "findmnt; apt install util-linux")
        }
        Attempt::Failed(why) => Finding::error(
            "record",
            why,
            COST,
            format!("nfs-failoverctl takeover {name}"),
        ),
    };
    Some(finding.of(name))
}
