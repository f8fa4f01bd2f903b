// SPDX-License-Identifier: GPL-2.0-only

//! The file in which it goes from one node to the next which NFSv4 clients had something on a
//! filesystem, and what. When all of them have completed their reclaims there, its recovery is over; until
//! then others wait only for what they cannot have beside that.
//!
//! It lies beside the manifest, and is believed as that is: see [`crate::manifest`]. If clients of NLM had
//! something, too, each of the two is worth nothing without the other, and says so.

mod inodes;
mod old;
mod text;

use crate::config::Service;
use crate::error::Result;
use crate::held::{
    File,
    Files, //
};
use crate::inuse::nfs4::Client;
use crate::manifest::Stored;
use crate::policy::fsid::Fsid;
use crate::policy::manifest::text::{
    Buffers,
    Header,
    Line, //
};
use crate::policy::nfs4::list::{
    self,
    MAX_CLIENTS,
    MAX_LINES,
    MAX_NAME, //
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// How many digits of a number are read.
const DIGITS: usize = 19;

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
    /// What it had, if it is known on which files it had anything.
    pub files: Option<Files>,
}

impl Lost {
    fn of(client: &Client) -> Self {
        let is_read = |inode: &u64| inode.to_string().len() <= DIGITS;
        let files = client.files().filter(|files| files.keys().all(is_read));
        Self {
            completes: client
                .says("minor version")
                .is_some_and(|minor| minor != "0"),
            files: files.cloned(),
        }
    }

    /// Whether it is known until when others have to wait for it, or of what.
    fn is_useful(&self) -> bool {
        self.completes || self.files.is_some()
    }

    /// How many files and locks it had.
    fn count(&self) -> (u64, u64) {
        let files = self.files.iter().flatten();
        files.fold((0, 0), |(files, locks), (_, file)| {
            (files + 1, locks + file.locks())
        })
    }

    /// Takes of each file with locks that it had anything there, so that the locks need no lines.
    fn without_locks(&mut self) {
        for file in self.files.iter_mut().flat_map(Files::values_mut) {
            if file.locks() > 0 {
                *file = File::anything();
            }
        }
    }
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

impl Awaited {
    /// What was written of a filesystem, or why it cannot be used. How old it may be the kernel knows.
    pub fn believe(text: &[u8], fsid: Fsid) -> std::result::Result<Self, &'static str> {
        let is_new = text.starts_with(list::VERSION.as_bytes());
        let list = if is_new {
            Self::parse(text)
        } else {
            old::parse(text)
        };
        let list = list.ok_or("it is damaged or cut off")?;
        match list.fsid == fsid {
            true => Ok(list),
            false => Err("it is of another filesystem"),
        }
    }

    /// Takes down clients of a unit of which the kernel says that nothing else is missing; [`None`] if
    /// it does not, or the next one would not take them, or could not tell them apart.
    pub fn new(said: &str, clients: &[Client]) -> Option<Self> {
        let Ok(Line::Unit(header)) = Line::parse(said.as_bytes(), &mut Buffers::new()) else {
            return None;
        };
        let count = clients.len();
        let clients: BTreeMap<_, _> = clients
            .iter()
            .map(|client| (client.called(), Lost::of(client)))
            .collect();
        // A name with such a byte would be read by nobody.
        let is_read = |name: &Vec<u8>| (1..=MAX_NAME).contains(&name.len()) && !name.contains(&0);
        let all = clients.len() == count && clients.keys().all(is_read);
        Self::of(header, clients).filter(|_| all)?.within(MAX_LINES)
    }

    fn of(header: Header, clients: BTreeMap<Vec<u8>, Lost>) -> Option<Self> {
        match header {
            Header::Released {
                fsid,
                taken,
                valid,
                nfs4: nlm,
            } => Some(Self {
                fsid,
                taken,
                valid,
                nlm,
                clients,
            }),
            Header::Held { .. } => None,
        }
    }

    /// The same with so many files and locks at most. Who has most is known less well, and others wait for
    /// more of it: first for all that they want of its files, then for all that they want.
    pub fn within(mut self, most: u64) -> Option<Self> {
        let clients = self.clients.values_mut();
        let mut counted: Vec<_> = clients.map(|lost| (lost.count(), lost)).collect();
        let mut total: u64 = counted
            .iter()
            .map(|((files, locks), _)| files + locks)
            .sum();
        while total > most {
            let largest = counted
                .iter_mut()
                .max_by_key(|((files, locks), _)| (*locks > 0, files + locks));
            let ((files, locks), lost) = largest?;
            let left_out = match *locks {
                0 => {
                    lost.files = None;
                    files
                }
                _ => {
                    lost.without_locks();
                    locks
                }
            };
            total -= *left_out;
            *left_out = 0;
        }
        let useful = self.clients.values().all(Lost::is_useful);
        (useful && self.clients.len() as u64 <= MAX_CLIENTS).then_some(self)
    }

    /// How long the next node waits, and who there waits for what.
    pub fn says(&self) -> String {
        let count = self.clients.len();
        let is_known = self.clients.values().all(|lost| lost.files.is_some());
        let counts = self.clients.values().map(Lost::count);
        let (files, locks) = counts.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        let only = match (is_known, locks) {
            (false, _) => String::new(),
            (true, 0) => format!(", and others only for what they had, on {files} files"),
            (true, _) => {
                format!(", and others only for what they had, on {files} files with {locks} locks")
            }
        };
        match self.clients.values().all(|lost| lost.completes) {
            true => format!("takeover waits for {count} of them{only}"),
            false => format!("takeover waits its time for {count} of them{only}"),
        }
    }
}
