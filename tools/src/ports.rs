// SPDX-License-Identifier: GPL-2.0-only

//! The ports that we send from. Only root can use them, so statds that ask for that believe us.

use std::fs;
use std::hash::{
    BuildHasher,
    Hasher,
    RandomState, //
};

/// Those that `bindresvport(3)` takes.
const RESERVED: std::ops::Range<u16> = 600..1024;

/// Never to be used. The first two are taken out of the network by the management controller of
/// many servers (IPMI, AMT), so that answers to them never arrive; the others belong to services
/// that could not start meanwhile.
const TAKEN: [(u16, &str); 10] = [
    (623, "asf-rmcp"),
    (664, "asf-secure-rmcp"),
    (631, "ipp"),
    (636, "ldaps"),
    (749, "kerberos-adm"),
    (853, "domain-s"),
    (873, "rsync"),
    (989, "ftps-data"),
    (993, "imaps"),
    (995, "pop3s"),
];

/// Where the administrator, or the distribution, has others.
const BLACKLIST: &str = "/etc/bindresvport.blacklist";

/// All ports that may be used, each once, beginning anywhere.
pub fn reserved() -> impl Iterator<Item = u16> {
    let listed = listed(&fs::read_to_string(BLACKLIST).unwrap_or_default());
    let count = RESERVED.end - RESERVED.start;
    let first = random() as u16 % count;
    (0..count)
        .map(move |at| RESERVED.start + (first + at) % count)
        .filter(move |port| !TAKEN.iter().any(|taken| taken.0 == *port) && !listed.contains(port))
}

/// The ports of a blacklist: one in a line, with a remark behind `#`.
pub fn listed(blacklist: &str) -> Vec<u16> {
    blacklist
        .lines()
        .filter_map(|line| line.split(['#', ' ', '\t']).next()?.parse().ok())
        .collect()
}

/// A number that nobody can guess.
pub fn random() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}
