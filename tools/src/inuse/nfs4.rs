// SPDX-License-Identifier: GPL-2.0-only

//! NFSv4 clients that hold something on a filesystem, which nfsd keeps open for them.

mod look;

use crate::error::{
    Error,
    Result, //
};
use crate::held::{
    self,
    File,
    Files, //
};
use crate::policy::fsid::Dev;
use crate::program;
pub use look::look;
use std::fs;
use std::net::IpAddr;
use std::path::{
    Path,
    PathBuf, //
};

/// What a client may have, as `states` names it.
pub const KINDS: [&str; 4] = ["open", "lock", "deleg", "layout"];

/// A client and how many opens, locks, delegations and layouts it has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address and how it calls itself.
    pub name: String,
    /// How many.
    pub states: usize,
    /// How many of each of [`KINDS`]. What was revoked is of none.
    pub kinds: [usize; KINDS.len()],
    /// How many it has on other filesystems.
    pub elsewhere: usize,
    /// What it has there, as far as it is known. What `states` shows can be anything: it does not say what
    /// others may not do with a file, nor which bytes are locked.
    had_on: Files,
    /// Whether these are all files on which it has something there.
    knows_files: bool,
    /// The filesystem of each, of whichever.
    on: Vec<Dev>,
    /// How many opens of NFSv4.0 it has closed that nfsd has not forgotten yet: the last one of each
    /// owner, for a lease, and with it the export, whichever that is (`move_to_close_lru()`,
    /// `fs/nfsd/nfs4state.c`). The filesystem cannot be unmounted so long.
    pub closed: usize,
    /// It is just getting something, and it is not seen where.
    pub is_busy: bool,
    /// Its `info` (`client_info_show()`, `fs/nfsd/nfs4state.c`).
    info: String,
    /// What nfsd has for it.
    dir: PathBuf,
}

impl Client {
    /// What nfsd says of it, `address` for example. It quotes what the client has chosen.
    pub fn says(&self, key: &str) -> Option<&str> {
        value(&self.info, key)
    }

    /// What it has on filesystems that do not move along, of which it would lose all if it were
    /// expired.
    pub fn loses(&self, moved: &[Dev]) -> Option<String> {
        let stays = |on: &&Dev| !moved.contains(on);
        let count = self.on.iter().filter(stays).count();
        (count > 0).then(|| {
            format!(
                "NFSv4 client {} has {count} opens, locks or delegations on other filesystems, too",
                self.name
            )
        })
    }

    /// Whether it is there for a floating address only, whose name is then at the end of its own (see
    /// `floating_ips` in Documentation/ABI).
    pub fn is_of(&self, ip: IpAddr) -> bool {
        self.name.ends_with(&format!("@{ip})"))
    }

    /// Whether it is there for one of these only.
    pub fn is_of_any(&self, addresses: &[IpAddr]) -> bool {
        addresses.iter().any(|ip| self.is_of(*ip))
    }

    /// Whether it has something on a filesystem that was not revoked.
    pub fn is_served(&self, device: Dev) -> bool {
        self.on.contains(&device)
    }

    /// Whether it may have something delegated there, or is just getting it: who changes that waits for it.
    pub fn may_delay(&self) -> bool {
        let delegations = KINDS.iter().position(|kind| *kind == "deleg");
        self.is_busy || delegations.is_some_and(|at| self.kinds[at] > 0)
    }

    /// Whether both are looks at the same one.
    pub fn is(&self, other: &Self) -> bool {
        self.dir == other.dir
    }

    /// What it has, or had when it was looked before, if all files are known.
    pub fn files(&self) -> Option<&Files> {
        Some(&self.had_on).filter(|files| self.knows_files && !files.is_empty())
    }

    /// Adds what an earlier look at the same one has seen. If it was busy then, it either is seen with what
    /// it got, or has not got it.
    pub fn had(&mut self, before: &Self) {
        held::add(&mut self.had_on, before.had_on.clone());
    }

    /// Has nfsd forget the client with all it has, and waits for that.
    ///
    /// This is not what `unlock_filesystem` does, which leaves revoked locks with the client: after
    /// an unmount, the end of the client's lease looks at the inodes that are gone
    /// (`nfs4_lockowner_has_blockers()`), and the node is dead.
    pub fn expire(&self) -> Result<()> {
        // nfsd waits for what it does for the client, which may never end.
        let file = self.dir.join("ctl").display().to_string();
        match program::run("sh", &["-c", "echo expire >\"$0\"", &file]) {
            // It may have gone by itself.
            Err(error) if self.dir.exists() => Err(Error::new(format!(
                "cannot expire NFSv4 client {}: {error}",
                self.name
            ))),
            _ => Ok(()),
        }
    }
}

/// The clients of the nfsd that `nfsd` is the filesystem of, which have something on `device`.
pub fn clients(nfsd: &Path, device: Dev) -> Vec<Client> {
    let mut found = all(nfsd, Some(device));
    found.retain(|client| client.states > 0);
    found
}

/// The clients that are there for a floating address only.
pub fn clients_of(nfsd: &Path, ip: IpAddr) -> Vec<Client> {
    let mut found = all(nfsd, None);
    found.retain(|client| client.is_of(ip));
    found
}

/// The clients that have closed something, which may have been on `device`, and have nothing else
/// there.
pub fn closed(nfsd: &Path, device: Dev) -> Vec<Client> {
    let mut found = all(nfsd, Some(device));
    found.retain(|client| client.closed > 0 && client.states == 0);
    found
}

/// The clients that have something on a filesystem that is none of these.
pub fn beside(nfsd: &Path, known: &[Dev]) -> Vec<Client> {
    let mut found = all(nfsd, None);
    found.retain(|client| client.on.iter().any(|device| !known.contains(device)));
    found
}

/// Adds another look at the same filesystem.
pub fn merge(clients: &mut Vec<Client>, other: Vec<Client>) {
    for seen in other {
        match clients.iter_mut().find(|client| client.is(&seen)) {
            Some(client) => client.had(&seen),
            None => clients.push(seen),
        }
    }
}

fn all(nfsd: &Path, device: Option<Dev>) -> Vec<Client> {
    let entries = fs::read_dir(nfsd.join("clients"));
    let mut found: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let dir = entry.path();
            // It may have gone meanwhile.
            let text = fs::read(dir.join("states")).ok()?;
            let text = String::from_utf8_lossy(&text);
            let info = fs::read(dir.join("info")).unwrap_or_default();
            let info = String::from_utf8_lossy(&info).into_owned();
            // A file name may contain a newline, and what looks like a line then.
            let lines: Vec<_> = text.lines().filter(|line| line.starts_with("- ")).collect();
            let somewhere: Vec<_> = lines.iter().filter_map(|line| superblock(line)).collect();
            // What was revoked may be of any filesystem, and must not outlive an umount.
            let lost = lines.iter().filter(|line| is_revoked(line)).count();
            let most = value(&info, "admin-revoked states").and_then(|count| count.parse().ok());
            let lost = lost.min(most.unwrap_or(usize::MAX)) * usize::from(device.is_some());
            let seen = somewhere.iter().filter(|on| Some(**on) == device).count();
            let here = |line: &&&str| device.is_some() && superblock(line) == device;
            let kinds = KINDS.map(|kind| {
                lines
                    .iter()
                    .filter(here)
                    .filter(|line| is_of(kind, line))
                    .count()
            });
            let closed = lines.iter().filter(|line| is_closed(line)).count();
            let nowhere =
                |line: &&&str| superblock(line).is_none() && !is_closed(line) && !is_revoked(line);
            let is_busy = lines.iter().any(|line| nowhere(&line));
            let inodes = || lines.iter().filter(here).map(|line| inode(line));
            let had_on = inodes().flatten().map(|inode| (inode, File::anything()));
            let sees_all = device.is_some() && !is_busy && lost == 0;
            Some(Client {
                name: name(&info),
                states: seen + lost,
                kinds,
                elsewhere: somewhere.len() - seen,
                had_on: had_on.collect(),
                knows_files: sees_all && inodes().all(|inode| inode.is_some()),
                on: somewhere,
                closed,
                is_busy,
                info,
                dir,
            })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The filesystem of a state, and the number of its inode there (`nfs4_show_superblock()`).
struct Place<'a> {
    device: Dev,
    inode: &'a str,
}

impl<'a> Place<'a> {
    /// That of a line. File names and owners, which clients choose, come after it.
    fn of(line: &'a str) -> Option<Self> {
        let (before, rest) = line.split_once("superblock: \"")?;
        if ["filename:", "owner:"]
            .iter()
            .any(|word| before.contains(word))
        {
            return None;
        }
        let mut parts = rest.splitn(3, ':');
        let mut number = || u32::from_str_radix(parts.next()?, 16).ok();
        let device = Dev {
            major: number()?,
            minor: number()?,
        };
        let inode = parts.next()?.split_once('"')?.0;
        Some(Self { device, inode })
    }
}

fn superblock(line: &str) -> Option<Dev> {
    Some(Place::of(line)?.device)
}

fn inode(line: &str) -> Option<u64> {
    Place::of(line)?.inode.parse().ok()
}

/// Whether a state is of a kind, as its line begins: `- 0x...: { type: open, `.
fn is_of(kind: &str, line: &str) -> bool {
    let rest = line.split_once("{ type: ").map(|(_, rest)| rest);
    let rest = rest.and_then(|rest| rest.strip_prefix(kind));
    rest.is_some_and(|rest| rest.starts_with([',', ' ']))
}

/// Whether it was taken away, and its file closed. What clients choose is in quotes before that.
fn is_revoked(line: &str) -> bool {
    superblock(line).is_none() && line.ends_with(", admin-revoked }")
}

/// Whether it is an open that is closed (`nfs4_show_open()`). The owner, which a client chooses, comes
/// after that word.
fn is_closed(line: &str) -> bool {
    let before = line.split("owner: ").next().unwrap_or_default();
    is_of("open", line) && before.ends_with(", closed, ")
}

fn value<'a>(info: &'a str, key: &str) -> Option<&'a str> {
    let mut lines = info.lines();
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(value.trim().trim_matches('"'))
}

fn name(info: &str) -> String {
    let value = |key| value(info, key).unwrap_or("?");
    format!("{} ({})", value("address"), value("name"))
}
