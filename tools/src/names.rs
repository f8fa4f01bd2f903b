// SPDX-License-Identifier: GPL-2.0-only

//! Who on this machine waits for name servers while clients wait for locks.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

const STATD: &str = "rpc.statd";

/// A warning if an rpc.statd that runs asks name servers. `proc` is `/proc`.
pub fn statd_asks(proc: &Path) -> Option<String> {
    let processes = fs::read_dir(proc).ok()?.flatten().map(|entry| entry.path());
    let mut statds = processes.filter(|dir| {
        fs::read_to_string(dir.join("comm")).is_ok_and(|comm| comm.trim_end() == STATD)
    });
    let sources = statds.find_map(|dir| {
        // As it sees it.
        let file = fs::read_to_string(dir.join("root/etc/nsswitch.conf")).ok()?;
        asked(&file).map(String::from)
    })?;
    Some(format!(
        "{STATD} looks up names of clients in \"{sources}\": if name servers do not answer, locks of all clients wait 10 seconds and more for each new client. Install the drop-in rpc-statd.service.d/nfs-failover.conf and restart rpc-statd"
    ))
}

/// Where hosts are looked up, if that is not in `/etc/hosts` alone.
pub fn asked(nsswitch: &str) -> Option<&str> {
    let hosts = nsswitch
        .lines()
        .filter_map(|line| line.split('#').next()?.trim().strip_prefix("hosts:"))
        .map(str::trim)
        .next()
        // What glibc does without.
        .unwrap_or("dns [!UNAVAIL=return] files");
    (hosts != "files").then_some(hosts)
}

/// Whether mountd has to look up a name to know whether an export is for somebody.
pub fn is_name(client: &str) -> bool {
    let address = client.trim_start_matches('[').replace(']', "");
    let address = address.split('/').next().unwrap_or_default();
    client != "*" && !client.starts_with("gss/") && address.parse::<IpAddr>().is_err()
}
