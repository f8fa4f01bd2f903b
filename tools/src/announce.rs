// SPDX-License-Identifier: GPL-2.0-only

//! Tells the neighbours on a network that an address is here now: gratuitous ARP (RFC 5227) or
//! unsolicited neighbour advertisements (RFC 4861, 7.2.6).

use crate::checksum::checksum;
use crate::error::{
    Context,
    Error,
    Result, //
};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    bind,
    send,
    socket,
    AddressFamily,
    LinkAddr,
    MsgFlags,
    SockFlag,
    SockType,
    SockaddrLike, //
};
use std::net::{
    IpAddr,
    Ipv4Addr,
    Ipv6Addr, //
};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::Duration;

/// A frame may get lost. Who hears of none asks by itself, later.
const TIMES: u32 = 3;
/// The time between two frames.
const PAUSE: Duration = Duration::from_millis(50);

type Mac = [u8; 6];

/// Announces `ip` on an interface of Ethernet's kind.
pub fn announce(interface: &str, ip: IpAddr) -> Result<()> {
    let what = || format!("the neighbours of {interface} cannot be told of {ip}");
    let link = link(interface)?;
    let mac = link
        .addr()
        .filter(|_| link.halen() == 6)
        .ok_or_else(|| Error::new(format!("{}: it is no Ethernet", what())))?;
    let frame = match ip {
        IpAddr::V4(ip) => arp(mac, ip),
        IpAddr::V6(ip) => advertisement(mac, ip),
    };
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .context(what)?;
    bind(socket.as_raw_fd(), &link).context(what)?;
    for at in 0..TIMES {
        if at > 0 {
            sleep(PAUSE);
        }
        send(socket.as_raw_fd(), &frame, MsgFlags::empty()).context(what)?;
    }
    Ok(())
}

fn link(interface: &str) -> Result<LinkAddr> {
    getifaddrs()
        .context(|| "cannot list the interfaces of this machine".into())?
        .filter(|entry| entry.interface_name == interface)
        .filter_map(|entry| entry.address)
        .filter(|address| address.family() == Some(AddressFamily::Packet))
        .find_map(|address| address.as_link_addr().copied())
        .ok_or_else(|| Error::new(format!("there is no interface {interface}")))
}

/// An ARP request of an address for itself, to everybody.
pub fn arp(mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    let ip = ip.octets();
    [
        &[0xff; 6][..],
        &mac,
        // ARP: Ethernet, IPv4, a request.
        &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
        &mac,
        &ip,
        &[0; 6],
        &ip,
    ]
    .concat()
}

/// A neighbour advertisement that replaces what is known, to all nodes.
pub fn advertisement(mac: Mac, ip: Ipv6Addr) -> Vec<u8> {
    const ICMPV6: u8 = 58;
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let (source, all) = (ip.octets(), ALL_NODES.octets());
    let mut body = [
        // Type 136, no checksum yet; flag "override".
        &[136, 0, 0, 0, 0x20, 0, 0, 0][..],
        &source,
        // Option: link-layer address of the target, 8 bytes.
        &[2, 1],
        &mac,
    ]
    .concat();
    let length = body.len() as u8;
    let pseudo = [
        &source[..],
        &all,
        &[0, 0, 0, length, 0, 0, 0, ICMPV6],
        &body,
    ]
    .concat();
    let sum = checksum(&pseudo).to_be_bytes();
    body[2..4].copy_from_slice(&sum);
    [
        &[0x33, 0x33, 0, 0, 0, 1][..],
        &mac,
        // IPv6: version, length, next header, hop limit.
        &[0x86, 0xdd, 0x60, 0, 0, 0, 0, length, ICMPV6, 255],
        &source,
        &all,
        &body,
    ]
    .concat()
}
