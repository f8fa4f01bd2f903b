// SPDX-License-Identifier: GPL-2.0-only

//! Floating IPs on interfaces: up, down, and what else is there.

use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::Host;
use crate::program;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use std::fs;
use std::net::{
    IpAddr,
    Ipv4Addr, //
};

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub interface: String,
    /// The address.
    pub ip: IpAddr,
    /// Bits of its network.
    pub prefix: u32,
}

/// All addresses of this machine.
pub fn addresses() -> Result<Vec<Address>> {
    let all = getifaddrs().context(|| "cannot list the addresses of this machine".into())?;
    Ok(all
        .filter_map(|entry| {
            let ip = ip(entry.address.as_ref()?)?;
            let mask = entry.netmask.as_ref().and_then(ip_of_mask)?;
            // A label ("eth0:1") is not the name of an interface.
            let (interface, _) = entry
                .interface_name
                .split_once(':')
                .unwrap_or((&entry.interface_name, ""));
            Some(Address {
                interface: interface.into(),
                ip,
                prefix: mask,
            })
        })
        .collect())
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    let v6 = address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
    v4.or(v6)
}

fn ip_of_mask(mask: &SockaddrStorage) -> Option<u32> {
    Some(match ip(mask)? {
        IpAddr::V4(mask) => u32::from(mask).count_ones(),
        IpAddr::V6(mask) => u128::from(mask).count_ones(),
    })
}

/// Where `ip` is up.
pub fn of(ip: IpAddr) -> Result<Vec<Address>> {
    let all = addresses()?;
    Ok(all.into_iter().filter(|known| known.ip == ip).collect())
}

/// Takes an address down, and nothing else. Returns what to say.
///
/// With the first address of a network the kernel takes down all others of that, unless
/// `promote_secondaries` is set. What is missing then somebody else has taken down in the same
/// moment, perhaps for another node: it is not put back. Only if it cannot be set, as in a container
/// that may not write there, the two cannot be told apart, in the same network of the same
/// interface.
pub fn take_down(host: &Host, address: &Address) -> Result<String> {
    let promote = address.ip.is_ipv4().then(|| Promote::set(host, address));
    let nobody = promote.as_ref().is_none_or(|promote| promote.is_set);
    let with_prefix = format!("{}/{}", address.ip, address.prefix);
    let along: Vec<_> = addresses()?
        .into_iter()
        .filter(|other| !nobody && address.takes_along(other))
        .collect();
    let down = program::run(
        "ip",
        &["addr", "del", &with_prefix, "dev", &address.interface],
    );
    let after = addresses()?;
    if after.contains(address) {
        // Otherwise somebody else was faster.
        down?;
    }
    let mut back = Vec::new();
    for lost in along.iter().filter(|other| !after.contains(other)) {
        up(lost).map_err(|error| {
            Error::new(format!(
                "{}/{} of {} was taken down along with {with_prefix} and cannot be put back: {error}",
                lost.ip, lost.prefix, lost.interface
            ))
        })?;
        back.push(format!("{}/{}", lost.ip, lost.prefix));
    }
    Ok(if back.is_empty() {
        String::new()
    } else {
        format!("{} went along and was put back", back.join(", "))
    })
}

impl Address {
    /// Whether the kernel can take down `other` with this one.
    fn takes_along(&self, other: &Self) -> bool {
        let (IpAddr::V4(ours), IpAddr::V4(theirs)) = (self.ip, other.ip) else {
            return false;
        };
        let host_bits = 32 - self.prefix.min(32);
        let network = |ip: Ipv4Addr| u64::from(u32::from(ip)) >> host_bits;
        self != other
            && (&self.interface, self.prefix) == (&other.interface, other.prefix)
            && network(ours) == network(theirs)
    }
}

/// `promote_secondaries` of an interface, for as long as this lives.
struct Promote {
    file: std::path::PathBuf,
    before: Option<Vec<u8>>,
    is_set: bool,
}

impl Promote {
    fn set(host: &Host, address: &Address) -> Self {
        let file = host.proc().join(format!(
            "sys/net/ipv4/conf/{}/promote_secondaries",
            address.interface
        ));
        let before = fs::read(&file).ok();
        let _ = fs::write(&file, "1\n");
        let is_set = fs::read(&file).is_ok_and(|value| value.trim_ascii() == b"1");
        Self {
            file,
            before,
            is_set,
        }
    }
}

impl Drop for Promote {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = fs::write(&self.file, before);
        }
    }
}

/// Puts an address up.
pub fn up(address: &Address) -> Result<()> {
    let with_prefix = format!("{}/{}", address.ip, address.prefix);
    let mut arguments = vec!["addr", "add", &with_prefix, "dev", &address.interface];
    if address.ip.is_ipv6() {
        // Nobody else has it, and finding that out takes a second.
        arguments.push("nodad");
    }
    match program::run("ip", &arguments) {
        // Somebody else was faster.
        Err(_) if addresses()?.contains(address) => Ok(()),
        other => other,
    }
}
