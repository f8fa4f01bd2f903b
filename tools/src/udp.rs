// SPDX-License-Identifier: GPL-2.0-only

//! UDP sockets as NSM expects them.

use crate::ports;
use std::io;
use std::net::{
    IpAddr,
    UdpSocket, //
};

/// A socket bound to `ip` and a reserved port, the first of `ports` that is free.
pub fn bound_to_first(ip: IpAddr, ports: impl Iterator<Item = u16>) -> io::Result<UdpSocket> {
    for port in ports {
        match UdpSocket::bind((ip, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// A socket bound to `ip` and any reserved port.
pub fn reserved(ip: IpAddr) -> io::Result<UdpSocket> {
    bound_to_first(ip, ports::reserved())
}

/// Where to begin to count calls: late answers to an earlier process must not match, nor what
/// somebody sends who does not see our calls.
pub fn first_xid() -> u32 {
    ports::random()
}
