// SPDX-License-Identifier: GPL-2.0-only

//! Processes that use a filesystem.
//!
//! What they have open is told from what `/proc` says of it. Nothing is opened or looked at
//! itself: that would wait for a server that is dead.

use super::namespaces::Namespaces;
use crate::host::Host;
use crate::mounts::{
    self,
    Mount, //
};
use crate::records::watch;
use crate::turn;
use std::fs;
use std::path::Path;

/// The processes of the machine.
pub fn pids(host: &Host) -> Vec<u32> {
    let entries = fs::read_dir(host.proc());
    let mut pids: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// The name of a process.
pub fn comm(host: &Host, pid: u32) -> String {
    let comm = fs::read(host.proc().join(format!("{pid}/comm"))).unwrap_or_default();
    String::from_utf8_lossy(comm.trim_ascii_end()).into()
}

/// Who uses the filesystem of `mount`, and how.
pub(super) fn users(host: &Host, namespaces: &Namespaces<'_>, mount: &Mount) -> Vec<String> {
    let ids = namespaces.mount_ids(mount);
    let myself = std::process::id();
    let turn = fs::canonicalize(turn::place(host, watch::TURN)).ok();
    let mut found = Vec::new();
    for pid in pids(host) {
        // What this process has from its shell it has left by the time of the umount.
        if pid == myself {
            continue;
        }
        let dir = host.proc().join(pid.to_string());
        let here = |path: &Path| {
            let mounts = namespaces.of(pid).map(|namespace| &namespace.mounts[..]);
            mounts
                .and_then(|mounts| mounts::containing(mounts, path))
                .is_some_and(|on| on.device == mount.device)
        };
        let how = link(&dir, &here)
            .or_else(|| {
                // Who watches the records has something open again and again, and no more when the
                // address has gone.
                open(&dir, |id| ids.contains(&id)).filter(|_| !has_turn(&dir, turn.as_deref()))
            })
            .or_else(|| mapped(&dir, mount));
        if let Some(how) = how {
            found.push(format!("process {pid} ({}) {how}", comm(host, pid)));
        }
    }
    found
}

fn link(dir: &Path, here: &dyn Fn(&Path) -> bool) -> Option<String> {
    [
        ("cwd", "works in"),
        ("root", "has its root in"),
        ("exe", "runs"),
    ]
    .into_iter()
    .find_map(|(name, how)| {
        let path = fs::read_link(dir.join(name)).ok()?;
        here(&path).then(|| format!("{how} {}", path.display()))
    })
}

fn open(dir: &Path, is_here: impl Fn(u32) -> bool) -> Option<String> {
    let entries = fs::read_dir(dir.join("fdinfo")).ok()?;
    entries.flatten().find_map(|entry| {
        let text = fs::read(entry.path()).ok()?;
        let text = String::from_utf8_lossy(&text);
        let id = text
            .lines()
            .find_map(|line| line.strip_prefix("mnt_id:"))
            .and_then(|id| id.trim().parse().ok())?;
        is_here(id).then(|| {
            let path = fs::read_link(dir.join("fd").join(entry.file_name())).unwrap_or_default();
            format!("has {} open", path.display())
        })
    })
}

/// Whether a process has locked this file.
fn has_turn(dir: &Path, turn: Option<&Path>) -> bool {
    let entries = fs::read_dir(dir.join("fd"));
    let mut links = entries.into_iter().flatten().flatten();
    links.any(|entry| {
        turn.is_some()
            && fs::read_link(entry.path()).ok().as_deref() == turn
            && fs::read_to_string(dir.join("fdinfo").join(entry.file_name()))
                .is_ok_and(|text| text.lines().any(|line| line.starts_with("lock:")))
    })
}

fn mapped(dir: &Path, mount: &Mount) -> Option<String> {
    let wanted = format!("{:02x}:{:02x}", mount.device.major, mount.device.minor);
    let text = fs::read(dir.join("maps")).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(3);
        (words.next() == Some(&wanted)).then(|| {
            let path: Vec<_> = words.skip(1).collect();
            format!("has {} mapped", path.join(" "))
        })
    })
}
