// SPDX-License-Identifier: GPL-2.0-only

//! Which NFSv4 clients have completed their reclaims on a unit that recovers: the kernel knows it of
//! those on the list that came along. After a crash there is none.

use super::line::{
    Line,
    Status, //
};
use crate::host::Host;
use std::fs;

/// What the kernel knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reclaims {
    /// `reclaims fsid=FSID completed=WORD [files=COUNT] name=NAME`: what the kernel says of each client.
    pub lines: Vec<Line>,
    served: bool,
}

/// What is known of one unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Known {
    /// Nobody is waited for: it does not recover, or NFSv4 clients had nothing.
    #[default]
    Nobody,
    /// It waits its time, as whom for is not known.
    Unknown,
    /// How many clients are on its list, and the names of those that have not completed their reclaims.
    Clients(usize, Vec<String>),
}

impl Reclaims {
    /// Looks. A module that is too old has no such file, and one whose hooks are dead does not tell.
    pub fn look(host: &Host) -> Self {
        let text = |name| fs::read(host.nfsd.join(name)).unwrap_or_default();
        Self::parse(&text("nfs4_clients"), &text("versions"))
    }

    /// Reads `nfs4_clients` and `versions`.
    pub fn parse(clients: &[u8], versions: &[u8]) -> Self {
        let lines = Status::parse(clients).lines.into_iter();
        let lines = lines.filter(|line| line.kind == "client");
        let versions = String::from_utf8_lossy(versions);
        Self {
            lines: lines
                .map(|line| Line {
                    kind: "reclaims".into(),
                    ..line
                })
                .collect(),
            served: versions
                .split_whitespace()
                .any(|word| word.starts_with("+4")),
        }
    }

    /// What is known of a unit.
    pub fn of(&self, unit: &Line) -> Known {
        if !unit.recovers() {
            return Known::Nobody;
        }
        let fsid = unit.get("fsid");
        let lines: Vec<_> = self
            .lines
            .iter()
            .filter(|line| fsid.is_some() && line.get("fsid") == fsid)
            .collect();
        if lines.is_empty() {
            // A manifest of which nothing is outstanding, and a recovery that goes on: NFSv4 clients had
            // something, too, and the list of them did not come.
            let half = unit.get("outstanding") == Some("0");
            let waits =
                unit.get("phase") == Some("recovering") && (unit.get("manifest").is_none() || half);
            return match waits && self.served {
                true => Known::Unknown,
                false => Known::Nobody,
            };
        }
        let missing = lines
            .iter()
            .filter(|line| line.get("completed") != Some("yes"));
        let name = |line: &&Line| line.get("name").unwrap_or("?").to_string();
        Known::Clients(lines.len(), missing.map(name).collect())
    }
}

impl Known {
    /// The names of those that have not, if they are known.
    pub fn missing(&self) -> Option<&[String]> {
        match self {
            Self::Clients(_, missing) => Some(missing),
            _ => None,
        }
    }
}
