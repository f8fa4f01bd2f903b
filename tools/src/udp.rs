// SPDX-License-Identifier: GPL-2.0-only

//! UDP sockets as NSM expects them.

use std::io;
use std::net::{
    IpAddr,
    UdpSocket, //
};
use std::time::{
    SystemTime,
    UNIX_EPOCH, //
};

/// Ports that only root can use and that nothing is assigned to, as `bindresvport(3)` has them.
const RESERVED: std::ops::Range<u16> = 600..1024;

/// A socket bound to `ip` and a reserved port.
pub fn reserved(ip: IpAddr) -> io::Result<UdpSocket> {
    let count = RESERVED.end - RESERVED.start;
    let first = (std::process::id() % u32::from(count)) as u16;
    for at in 0..count {
        match UdpSocket::bind((ip, RESERVED.start + (first + at) % count)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Where to begin to count calls: late answers to an earlier process must not match.
pub fn first_xid() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos() as u64 / 1000);
    (now as u32).wrapping_mul(0x9e37_79b1) ^ std::process::id()
}
