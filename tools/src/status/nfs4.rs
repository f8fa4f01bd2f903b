// SPDX-License-Identifier: GPL-2.0-only

//! What NFSv4 clients have on the filesystems of services, a line for each client.

use super::line::Line;
use crate::config::Config;
use crate::error::Result;
use crate::host::Host;
use crate::inuse::nfs4::{
    self,
    Client,
    KINDS, //
};
use crate::mounts;
use crate::octal::escape;
use crate::policy::address;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

/// `nfs4 path=PATH client=ADDRESS:PORT [ip=ADDRESS] version=4.N open=N lock=N deleg=N layout=N elsewhere=N
/// status=WORD renewed=SECONDS name=NAME`: how many of each kind it has there, how many of all kinds on
/// other filesystems, how long ago it renewed its lease, and how it calls itself. `ip` is the floating IP
/// that it has mounted by; without that word, it has mounted otherwise.
pub fn lines(host: &Host, config: &Config) -> Result<Vec<Line>> {
    let mounts = mounts::read(&host.mountinfo)?;
    let paths: BTreeSet<_> = config
        .services
        .iter()
        .map(|service| &service.path)
        .collect();
    let mut lines = Vec::new();
    for path in paths {
        let Some(mount) = mounts::at(&mounts, path) else {
            continue;
        };
        let clients = nfs4::clients(&host.nfsd, mount.device);
        lines.extend(clients.iter().map(|client| line(path, client)));
    }
    Ok(lines)
}

fn line(path: &Path, client: &Client) -> Line {
    let says = |key| escape(Path::new(client.says(key).unwrap_or("?")));
    let counts = KINDS.iter().zip(client.kinds);
    let mut words = vec![
        ("path".to_string(), escape(path)),
        ("client".into(), says("address")),
    ];
    words.extend(floating_ip(client).map(|ip| ("ip".into(), ip.to_string())));
    words.push(("version".into(), format!("4.{}", says("minor version"))));
    words.extend(counts.map(|(kind, count)| (kind.to_string(), count.to_string())));
    words.extend([
        ("elsewhere".into(), client.elsewhere.to_string()),
        ("status".into(), says("status")),
        ("renewed".into(), says("seconds from last renew")),
        ("name".into(), says("name")),
    ]);
    Line {
        kind: "nfs4".into(),
        words,
    }
}

/// What `floating_ips` has added to the name.
fn floating_ip(client: &Client) -> Option<IpAddr> {
    let (_, ip) = client.says("name")?.rsplit_once('@')?;
    address::parse(ip.as_bytes()).filter(|ip| client.is_of(*ip))
}
