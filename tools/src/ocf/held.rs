// SPDX-License-Identifier: GPL-2.0-only

//! What clients hold here, as the kernel says without the module: NFSv3 locks are POSIX locks of the
//! process lockd, and nfsd shows what NFSv4 clients have.

use crate::doctor::finding::Sight;
use crate::host::Host;
use crate::inuse::nfs4;
use crate::inuse::processes::comm;
use crate::mounts::{
    self,
    Mount, //
};
use crate::policy::fsid::Dev;
use std::fs;
use std::io;

/// Where they may be held.
#[derive(Clone, Copy, Debug)]
pub enum Where<'a> {
    /// On what is mounted there.
    On(&'a Mount),
    /// On what is not mounted any more, or not where we can see it: "umount -l" leaves a filesystem to
    /// lockd and nfsd as long as they have files open.
    Hidden,
    /// On any but these filesystems.
    Beside(&'a [Dev]),
}

/// What is held, a few words for each kind. An error is what could not be seen.
pub fn held(host: &Host, on: Where<'_>) -> Sight<Vec<String>> {
    let mut found = Vec::new();
    match locks(host, on)? {
        0 => {}
        count => found.push(format!("{count} locks of NFSv3 clients")),
    }
    readable(host)?;
    let clients = match on {
        Where::On(mount) => nfs4::clients(&host.nfsd, mount.device),
        Where::Hidden => nfs4::beside(&host.nfsd, &mounted(host)?),
        Where::Beside(known) => nfs4::beside(&host.nfsd, known),
    };
    let clients = clients.into_iter();
    found.extend(clients.map(|client| format!("NFSv4 client {}", client.name)));
    Ok(found)
}

/// The filesystems that are mounted.
fn mounted(host: &Host) -> Sight<Vec<Dev>> {
    let all = mounts::read(&host.mountinfo).map_err(|error| error.to_string())?;
    Ok(all.into_iter().map(|mount| mount.device).collect())
}

/// How many locks lockd has.
fn locks(host: &Host, on: Where<'_>) -> Sight<usize> {
    let file = host.proc().join("locks");
    let text = fs::read(&file).map_err(|why| format!("cannot read {}: {why}", file.display()))?;
    let mounted = match on {
        Where::Hidden => mounted(host)?,
        _ => Vec::new(),
    };
    let is_there = |device: Dev| match on {
        // Both are s_dev of the superblock, other than what stat(2) says of btrfs, for example.
        Where::On(mount) => device == mount.device,
        Where::Hidden => !mounted.contains(&device),
        Where::Beside(known) => !known.contains(&device),
    };
    let text = String::from_utf8_lossy(&text);
    let locks = text.lines().filter_map(parse);
    Ok(locks
        .filter(|(pid, device)| is_there(*device) && comm(host, *pid) == "lockd")
        .count())
}

/// Process and device of a POSIX lock: `1: POSIX  ADVISORY  WRITE 845 fe:10:13 0 9`.
pub fn parse(line: &str) -> Option<(u32, Dev)> {
    let mut words = line.split_whitespace().skip(1);
    let kind = words.next()?;
    // "->" stands before who waits, and has nothing.
    if kind != "POSIX" {
        return None;
    }
    let pid = words.nth(2)?.parse().ok()?;
    let mut place = words.next()?.split(':');
    let mut number = || u32::from_str_radix(place.next()?, 16).ok();
    let device = Dev {
        major: number()?,
        minor: number()?,
    };
    Some((pid, device))
}

/// Fails if what NFSv4 clients have cannot be seen. Without nfsd there are none.
fn readable(host: &Host) -> Sight<()> {
    let dir = host.nfsd.join("clients");
    let context = |why: io::Error| format!("cannot see what NFSv4 clients have: {why}");
    let entries = match fs::read_dir(&dir) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(context)?,
    };
    for entry in entries {
        let client = entry.map_err(context)?.path();
        if let Err(why) = fs::read(client.join("states")) {
            // It may have gone meanwhile.
            if client.exists() {
                return Err(context(why));
            }
        }
    }
    Ok(())
}
