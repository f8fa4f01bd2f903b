// SPDX-License-Identifier: GPL-2.0-only

//! The file in which it goes from one node to the next which NFSv4 clients had something on a
//! filesystem. When all of them have completed their reclaims there, its recovery is over.
//!
//! It lies beside the manifest, and is believed as that is: see [`crate::manifest`].

use crate::config::Service;
use crate::error::Result;
use crate::inuse::nfs4::Client;
use crate::manifest::Stored;
use crate::policy::fsid::Fsid;
use crate::policy::manifest::text::{
    Buffers,
    Header,
    Line, //
};
use crate::policy::time::Stamp;
use crate::policy::words::{
    Escaped,
    Words, //
};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// The first line.
const VERSION: &str = "nfs-failover nfs4-clients 1";
/// Maximum number of clients of a unit, and how long the command with their names may be.
const MAX_CLIENTS: usize = 256;
const MAX_COMMAND: usize = 60_000;
/// Longest name, see `NFS4_OPAQUE_LIMIT`.
const MAX_NAME: usize = 1024;

/// Who is waited for.
#[derive(Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The unit.
    pub fsid: Fsid,
    /// When they were found, in nanoseconds of the wall clock.
    pub taken: u64,
    /// For how many seconds from then on the releasing node grants nothing.
    pub valid: u32,
    /// Their names.
    pub names: BTreeSet<Vec<u8>>,
}

/// Where the list is kept.
pub fn stored(service: &Service, manifest: &Path) -> Result<Stored> {
    let mut path = manifest.as_os_str().to_owned();
    path.push(".nfs4");
    Stored::new(service, Path::new(&path))
}

/// Why a client cannot be waited for, if that is so.
pub fn unknown(client: &Client, service: &Service) -> Option<&'static str> {
    if client.says("minor version") == Some("0") {
        // It reclaims, and never says that it is through (RFC 7530).
        Some("is one of NFSv4.0")
    } else if !client.is_of(service.ip) {
        Some("has mounted before the address was in floating_ips, or by another one")
    } else {
        None
    }
}

/// The name of a client: what nfsd prints of it has quotes and backslashes as `\xHH`.
pub fn name(client: &Client) -> Vec<u8> {
    let said = client.says("name").unwrap_or_default();
    let mut name = Vec::new();
    let mut rest = said.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = after
            .strip_prefix(b"x")
            .and_then(|after| std::str::from_utf8(after.get(..2)?).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if byte == b'\\' => {
                name.push(value);
                rest = &after[3..];
            }
            _ => name.push(byte),
        }
    }
    name
}

impl Awaited {
    /// As it is written.
    pub fn text(&self) -> String {
        let header = Header::Released {
            fsid: self.fsid,
            taken: self.taken,
            valid: self.valid,
        };
        let mut text = format!("{VERSION}\n{header}\n");
        for name in &self.names {
            let _ = writeln!(text, "client name={}", Escaped(name));
        }
        let _ = writeln!(text, "end clients={}", self.names.len());
        text
    }

    /// What was written, whole.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(text).ok()?.split_inclusive('\n');
        if lines.next()?.strip_suffix('\n')? != VERSION {
            return None;
        }
        let mut buffers = Buffers::new();
        let Ok(Line::Unit(Header::Released { fsid, taken, valid })) =
            Line::parse(lines.next()?.as_bytes(), &mut buffers)
        else {
            return None;
        };
        let mut names = BTreeSet::new();
        loop {
            let line = lines.next()?.strip_suffix('\n')?;
            if let Some(word) = line.strip_prefix("client name=") {
                let mut buffer = [0; MAX_NAME];
                let mut words = Words::new(word.as_bytes()).ok()?;
                let name = words.next_into(&mut buffer).ok()?.to_vec();
                words.finish().ok()?;
                if !names.insert(name) {
                    return None;
                }
            } else {
                let whole = line == format!("end clients={}", names.len());
                let last = lines.next().is_none();
                return (whole && last && !names.is_empty()).then_some(Self {
                    fsid,
                    taken,
                    valid,
                    names,
                });
            }
        }
    }

    /// What was written of a filesystem, or why it cannot be used. How old it may be the kernel knows.
    pub fn believe(text: &[u8], fsid: Fsid) -> std::result::Result<Self, &'static str> {
        let list = Self::parse(text).ok_or("it is damaged or cut off")?;
        match list.fsid == fsid {
            true => Ok(list),
            false => Err("it is of another filesystem"),
        }
    }

    /// Takes down clients of a unit of which the kernel says that nothing else is missing.
    pub fn new(said: &str, names: BTreeSet<Vec<u8>>) -> Option<Self> {
        let Ok(Line::Unit(Header::Released { fsid, taken, valid })) =
            Line::parse(said.as_bytes(), &mut Buffers::new())
        else {
            return None;
        };
        Some(Self {
            fsid,
            taken,
            valid,
            names,
        })
    }

    /// The command for the kernel, [`None`] if they are too many.
    pub fn command(&self) -> Option<String> {
        let mut command = format!(
            "{} taken={} valid={}",
            self.fsid,
            Stamp(self.taken),
            self.valid
        );
        for name in &self.names {
            let _ = write!(command, " {}", Escaped(name));
        }
        (self.names.len() <= MAX_CLIENTS && command.len() <= MAX_COMMAND).then_some(command)
    }
}
