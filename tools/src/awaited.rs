// SPDX-License-Identifier: GPL-2.0-only

//! The file in which it goes from one node to the next which NFSv4 clients had something on a
//! filesystem, and on which files. When all of them have completed their reclaims there, its recovery is
//! over; until then others wait for those files only.
//!
//! It lies beside the manifest, and is believed as that is: see [`crate::manifest`]. If clients of NLM had
//! something, too, each of the two is worth nothing without the other, and says so.

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
use crate::policy::nfs4::files;
use crate::policy::time::Stamp;
use crate::policy::words::{
    Escaped,
    Words, //
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

/// The first line.
const VERSION: &str = "nfs-failover nfs4-clients 1";
/// The same of a list that belongs to a manifest.
const WITH_MANIFEST: &str = "nfs-failover nfs4-clients 2";
/// Maximum number of clients of a unit, and how long the command with their names may be.
const MAX_CLIENTS: usize = 256;
const MAX_COMMAND: usize = 60_000;
/// Longest name, see `NFS4_OPAQUE_LIMIT`.
const MAX_NAME: usize = 1024;

/// What the word with the files of a client begins with.
const FILES: &str = "files=";

/// Who is waited for.
#[derive(Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The unit.
    pub fsid: Fsid,
    /// When they were found, in nanoseconds of the wall clock.
    pub taken: u64,
    /// For how many seconds from then on the releasing node grants nothing.
    pub valid: u32,
    /// Whether clients of NLM had something, too, which is on the manifest.
    pub nlm: bool,
    /// They, by name.
    pub clients: BTreeMap<Vec<u8>, Lost>,
}

/// What is known of a client that lost what it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Whether it says when it has back what it wanted: one of NFSv4.0 does not (RFC 7530).
    pub completes: bool,
    /// On which files it had anything, as [`files::parse`] has them, if that is known.
    pub files: Option<String>,
}

impl Lost {
    fn of(client: &Client) -> Self {
        Self {
            completes: client
                .says("minor version")
                .is_some_and(|minor| minor != "0"),
            files: client.files.as_ref().and_then(ranges),
        }
    }

    /// Whether it is known until when others have to wait for it, or of what.
    fn is_useful(&self) -> bool {
        self.completes || self.files.is_some()
    }

    /// How many files.
    fn count(&self) -> Option<u64> {
        let inodes = files::parse(self.files.as_ref()?.as_bytes()).flatten();
        Some(inodes.map(files::Inodes::count).sum())
    }
}

/// Inode numbers as they are written; [`None`] if there are none, or one that the kernel would not read.
fn ranges(inodes: &BTreeSet<u64>) -> Option<String> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for inode in inodes {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*inode) => *last = *inode,
            _ => ranges.push((*inode, *inode)),
        }
    }
    let word = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let text = ranges.iter().map(word).collect::<Vec<_>>().join(",");
    is_files(&text).then_some(text)
}

fn is_files(text: &str) -> bool {
    files::parse(text.as_bytes()).all(|inodes| inodes.is_ok())
}

/// Where the list is kept.
pub fn stored(service: &Service, manifest: &Path) -> Result<Stored> {
    let mut path = manifest.as_os_str().to_owned();
    path.push(".nfs4");
    Stored::new(service, Path::new(&path))
}

/// Why a client cannot be waited for, if that is so. It has to have come by one of these addresses.
pub fn unknown(client: &Client, addresses: &[IpAddr]) -> Option<&'static str> {
    if !client.is_of_any(addresses) {
        Some("has mounted before the address was in floating_ips, or by another one")
    } else if !Lost::of(client).is_useful() {
        Some("is one of NFSv4.0, and it is not known which files it had")
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
            nfs4: self.nlm,
        };
        let mut text = format!("{}\n{header}\n", version(self.nlm));
        for (name, lost) in &self.clients {
            text.push_str("client ");
            if !lost.completes {
                text.push_str("completes=no ");
            }
            if let Some(files) = &lost.files {
                let _ = write!(text, "{FILES}{files} ");
            }
            let _ = writeln!(text, "name={}", Escaped(name));
        }
        let _ = writeln!(text, "end clients={}", self.clients.len());
        text
    }

    /// What was written, whole.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(text).ok()?.split_inclusive('\n');
        let first = lines.next()?.strip_suffix('\n')?;
        let (fsid, taken, valid, nlm) = unit(lines.next()?)?;
        if first != version(nlm) {
            return None;
        }
        let mut clients = BTreeMap::new();
        loop {
            let line = lines.next()?.strip_suffix('\n')?;
            if let Some(words) = line.strip_prefix("client ") {
                let (name, lost) = client(words)?;
                if clients.insert(name, lost).is_some() {
                    return None;
                }
            } else {
                let whole = line == format!("end clients={}", clients.len());
                let last = lines.next().is_none();
                return (whole && last && !clients.is_empty()).then_some(Self {
                    fsid,
                    taken,
                    valid,
                    nlm,
                    clients,
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

    /// Takes down clients of a unit of which the kernel says that nothing else is missing; [`None`] if
    /// it does not, or the next one would not take them, or could not tell them apart.
    pub fn new(said: &str, clients: &[Client]) -> Option<Self> {
        let (fsid, taken, valid, nlm) = unit(said)?;
        let count = clients.len();
        let clients: BTreeMap<_, _> = clients.iter().map(|it| (name(it), Lost::of(it))).collect();
        if clients.len() != count {
            return None;
        }
        let mut list = Self {
            fsid,
            taken,
            valid,
            nlm,
            clients,
        };
        if list.command().is_none() {
            // Then others wait for all that they want.
            for lost in list.clients.values_mut() {
                lost.files = None;
            }
        }
        let useful = list.clients.values().all(Lost::is_useful);
        (useful && list.command().is_some()).then_some(list)
    }

    /// The command for the kernel, [`None`] if they are too many.
    pub fn command(&self) -> Option<String> {
        let nlm = match self.nlm {
            true => " nlm=listed",
            false => "",
        };
        let mut command = format!(
            "{}{nlm} taken={} valid={}",
            self.fsid,
            Stamp(self.taken),
            self.valid
        );
        for (name, lost) in &self.clients {
            let name = Escaped(name).to_string();
            // Else it would be read as the files of the one before.
            let name = match name.strip_prefix(FILES) {
                Some(rest) => format!("\\146iles={rest}"),
                None => name,
            };
            let _ = write!(command, " {name}");
            if let Some(files) = &lost.files {
                let _ = write!(command, " {FILES}{files}");
            }
        }
        (self.clients.len() <= MAX_CLIENTS && command.len() <= MAX_COMMAND).then_some(command)
    }

    /// How long the next node waits, and who there waits for what.
    pub fn says(&self) -> String {
        let count = self.clients.len();
        let files: Option<Vec<_>> = self.clients.values().map(Lost::count).collect();
        let only = match files {
            Some(files) => format!(
                ", and others only for what they had, on {} files",
                files.iter().sum::<u64>()
            ),
            None => String::new(),
        };
        match self.clients.values().all(|lost| lost.completes) {
            true => format!("takeover waits for {count} of them{only}"),
            false => format!("takeover waits its time for {count} of them{only}"),
        }
    }
}

/// How the list begins, which belongs to a manifest or does not.
fn version(nlm: bool) -> &'static str {
    match nlm {
        true => WITH_MANIFEST,
        false => VERSION,
    }
}

/// Of which unit a line is, when it was released, for how long nothing is granted there, and whether there
/// is a manifest that belongs to it.
fn unit(line: &str) -> Option<(Fsid, u64, u32, bool)> {
    match Line::parse(line.as_bytes(), &mut Buffers::new()) {
        Ok(Line::Unit(Header::Released {
            fsid,
            taken,
            valid,
            nfs4,
        })) => Some((fsid, taken, valid, nfs4)),
        _ => None,
    }
}

/// A client of the list, from what its line says of it.
fn client(words: &str) -> Option<(Vec<u8>, Lost)> {
    let (completes, words) = match words.strip_prefix("completes=no ") {
        Some(rest) => (false, rest),
        None => (true, words),
    };
    let (files, words) = match words.strip_prefix(FILES) {
        Some(rest) => rest
            .split_once(' ')
            .map(|(files, rest)| (Some(files.to_string()), rest))?,
        None => (None, words),
    };
    let mut buffer = [0; MAX_NAME];
    let mut words = Words::new(words.strip_prefix("name=")?.as_bytes()).ok()?;
    let name = words.next_into(&mut buffer).ok()?.to_vec();
    words.finish().ok()?;
    let lost = Lost { completes, files };
    let sound = lost.files.as_deref().is_none_or(is_files) && lost.is_useful();
    sound.then_some((name, lost))
}
