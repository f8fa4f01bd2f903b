// SPDX-License-Identifier: GPL-2.0-only

//! statd's own lists, `sm` and `sm.bak`: one file per client, one line per name under which we
//! monitor it: `<callback> <prog> <vers> <proc> <cookie> <mon_name> <my_name>`.

use crate::durable;
use crate::error::{
    Context,
    Result, //
};
use crate::host;
use crate::policy::address;
use std::cmp::Reverse;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{
    Path,
    PathBuf, //
};

/// Who is monitored, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The client.
    pub mon_name: String,
    /// We.
    pub my_name: String,
}

/// The pair of a line.
fn pair(line: &str) -> Option<Pair> {
    let mut words = line.split_whitespace().rev();
    let my_name = words.next()?.into();
    let mon_name = words.next()?.into();
    Some(Pair { mon_name, my_name })
}

/// Whether a line is about one of these addresses.
fn is_about(line: &str, ips: &[IpAddr]) -> bool {
    let ip = pair(line).and_then(|pair| address::parse(pair.my_name.as_bytes()));
    ip.is_some_and(|ip| ips.contains(&ip))
}

/// The files of a list, in order.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.context(|| format!("cannot read {}", dir.display()))?,
    };
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok())
        // statd skips what begins with a dot, and it is where its half-written files are.
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read(path) {
        // statd has just removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other
            .map(|text| Some(String::from_utf8_lossy(&text).into()))
            .context(|| format!("cannot read {}", path.display())),
    }
}

/// The pairs in a list whose `my_name` is `ip`, the newest first.
///
/// In this order statd has them on its list. To find one it looks up the names of all before it.
pub fn pairs(dir: &Path, ip: IpAddr) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for path in files(dir)? {
        let since = fs::metadata(&path).and_then(|file| file.modified()).ok();
        let text = read(&path)?.unwrap_or_default();
        let lines = text.lines().filter(|line| is_about(line, &[ip]));
        pairs.extend(lines.filter_map(pair).map(|pair| (since, pair)));
    }
    pairs.sort_by_key(|(since, _)| Reverse(*since));
    Ok(pairs.into_iter().map(|(_, pair)| pair).collect())
}

/// Removes the lines about these addresses durably. Returns whom they were about.
///
/// statd must not be running: it would not notice, and write over it.
pub fn remove(dir: &Path, ips: &[IpAddr]) -> Result<Vec<Pair>> {
    let mut removed = Vec::new();
    for path in files(dir)? {
        let Some(text) = read(&path)? else { continue };
        let (ours, others): (Vec<_>, Vec<_>) = text
            .split_inclusive('\n')
            .partition(|line| is_about(line, ips));
        if ours.is_empty() {
            continue;
        }
        let what = || format!("cannot remove a floating IP from {}", path.display());
        if others.is_empty() {
            durable::remove(&path).context(what)?;
        } else {
            let owner = host::owner(&path)?;
            durable::write_for(&path, others.concat().as_bytes(), 0o600, Some(owner))
                .context(what)?;
        }
        removed.extend(ours.into_iter().filter_map(pair));
    }
    Ok(removed)
}
