// SPDX-License-Identifier: GPL-2.0-only

//! Floating IPs: up only where takeover brings them up, on an interface that is there.

use super::finding::{
    Finding,
    Sight, //
};
use super::sight;
use crate::config::Service;
use crate::host::Host;
use crate::interface;
use std::net::IpAddr;
use std::path::{
    Path,
    PathBuf, //
};

const TWICE: &str =
    "after a crash this node takes the address up at boot while another serves it: its clients are torn between two nodes";

/// Where addresses are configured that come up at boot.
const FILES: [&str; 5] = [
    "etc/network",
    "etc/systemd/network",
    "run/systemd/network",
    "etc/NetworkManager/system-connections",
    "etc/netplan",
];

/// What was seen of one service.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// The interface and the prefix that the configuration has.
    pub wanted: Option<(String, u8)>,
    /// Whether that interface is there.
    pub there: bool,
    /// On which it is up, with which prefix.
    pub up: Sight<Vec<(String, u32)>>,
    /// Files that have it.
    pub files: Vec<PathBuf>,
    /// Files that cannot be read.
    pub unseen: Vec<String>,
}

impl Facts {
    /// Looks.
    pub fn gather(host: &Host, service: &Service) -> Self {
        let wanted = service.interface.clone().zip(service.prefix);
        let up = interface::of(service.ip).map(|there| {
            let there = there.into_iter();
            there.map(|at| (at.interface, at.prefix)).collect()
        });
        let ip = service.ip.to_string();
        let mut files = Vec::new();
        let mut unseen: Vec<_> = sight::has_etc(&host.root).err().into_iter().collect();
        for dir in FILES {
            search(&host.root.join(dir), service.ip, &mut files, &mut unseen);
        }
        Self {
            name: service.name.clone(),
            there: wanted.as_ref().is_some_and(|(interface, _)| {
                host.sys().join("class/net").join(interface).exists()
            }),
            up: up.map_err(|error| error.to_string()),
            ip,
            wanted,
            files,
            unseen,
        }
    }
}

fn search(dir: &Path, ip: IpAddr, found: &mut Vec<PathBuf>, unseen: &mut Vec<String>) {
    let mut entries = match sight::dir(dir) {
        Ok(entries) => entries,
        Err(why) => return unseen.push(why),
    };
    entries.retain(|path| !is_backup(path));
    for path in entries {
        if path.is_dir() {
            // A link may lead back.
            if !path.is_symlink() {
                search(&path, ip, found, unseen);
            }
            continue;
        }
        match sight::file(&path) {
            Ok(text) if text.as_ref().is_some_and(|text| names(text, ip)) => found.push(path),
            Ok(_) => {}
            Err(why) => unseen.push(why),
        }
    }
}

/// What editors and dpkg leave, and nobody reads.
fn is_backup(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with('~') || name.contains(".dpkg-")
}

/// Whether a text has an address as a word in any spelling, outside of remarks.
pub fn names(text: &str, ip: IpAddr) -> bool {
    let outside = |letter: char| !(letter.is_ascii_alphanumeric() || ".:".contains(letter));
    let is_it = |word: &str| {
        word.parse()
            .is_ok_and(|other: IpAddr| other.to_canonical() == ip)
    };
    text.lines()
        .map(|line| line.split(['#', ';']).next().unwrap_or(""))
        .flat_map(|line| line.split(outside))
        // In YAML a colon may be behind it.
        .any(|word| is_it(word) || word.strip_suffix(':').is_some_and(is_it))
}

/// Judges.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<_> = facts
        .files
        .iter()
        .map(|file| {
            Finding::warning(
                "address",
                format!("{} is in {}", facts.ip, file.display()),
                TWICE,
                format!("remove it from {}", file.display()),
            )
        })
        .collect();
    found.extend(
        facts
            .unseen
            .iter()
            .map(|why| Finding::unknown("address", why, TWICE, "look for it there by hand")),
    );
    found.extend(interface_of(facts));
    if found.is_empty() {
        let what = format!("{} is left to takeover or a cluster manager", facts.ip);
        found.push(Finding::ok("address", what));
    }
    found
        .into_iter()
        .map(|finding| finding.of(&facts.name))
        .collect()
}

fn interface_of(facts: &Facts) -> Option<Finding> {
    let (interface, prefix) = facts.wanted.as_ref()?;
    if !facts.there {
        return Some(Finding::error(
            "address",
            format!("there is no interface {interface} for {}", facts.ip),
            "\"takeover --address\" is refused, and its clients wait",
            super::finding::EDIT,
        ));
    }
    match &facts.up {
        Ok(there) => there
            .iter()
            .find(|(at, length)| at != interface || *length != u32::from(*prefix))
            .map(|(at, length)| {
                Finding::warning(
                    "address",
                    format!(
                        "{}/{length} is up on {at}, and the configuration has {interface} and prefix {prefix}",
                        facts.ip
                    ),
                    "\"release --address\" and the next takeover may differ about where it is",
                    super::finding::EDIT,
                )
            }),
        Err(why) => Some(Finding::unknown("address", why, TWICE, "ip addr")),
    }
}
