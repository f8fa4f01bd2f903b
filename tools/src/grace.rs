// SPDX-License-Identifier: GPL-2.0-only

//! How long a recovery takes, and who needs it that long.

use crate::config::Service;
use crate::host::Host;
use std::fs;
use std::path::Path;

/// Seconds of a recovery of a service.
pub fn grace(host: &Host, service: &Service) -> u64 {
    service.grace.map_or_else(|| lockd_grace(host), u64::from)
}

/// The time that services are given which move together: the longest, as a client is told once for all.
pub fn longest(host: &Host, services: &[Service]) -> Option<u32> {
    let first = services.first()?.grace;
    if services.iter().all(|service| service.grace == first) {
        return first;
    }
    let longest = services.iter().map(|service| grace(host, service)).max();
    longest.and_then(|seconds| u32::try_from(seconds).ok())
}

/// What the kernel takes if no time is given: lockd's grace period, as its parameters say.
fn lockd_grace(host: &Host) -> u64 {
    let parameters = host.sys().join("module/lockd/parameters");
    let parameter = |name| number(&parameters.join(name));
    let timeout = parameter("nlm_timeout").unwrap_or(10).max(1);
    match parameter("nlm_grace_period") {
        Some(grace @ 1..) => grace.div_ceil(timeout) * timeout,
        _ => 5 * timeout,
    }
}

/// Why NFSv4 clients, if they are served, may be too late: who does nothing notices a move when it
/// renews its lease, after two thirds of it (RFC 8881, section 8.3), and has to reclaim then.
pub fn too_short(host: &Host, service: &Service) -> Option<String> {
    let versions = fs::read_to_string(host.nfsd.join("versions")).ok()?;
    if !versions.split(' ').any(|version| version.starts_with("+4")) {
        return None;
    }
    let lease = number(&host.nfsd.join("nfsv4leasetime"))?;
    let grace = grace(host, service);
    (grace < 2 * lease).then(|| {
        format!(
            "a recovery takes {grace} s, but an NFSv4 client that is idle notices only {} s after a move \
             that it has to reclaim, as nfsd's lease is {lease} s, and loses what it comes too late for: \
             set grace = {} or more, or lease-time and grace-time in the section [nfsd] of /etc/nfs.conf \
             to 15",
            lease * 2 / 3,
            2 * lease
        )
    })
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}
