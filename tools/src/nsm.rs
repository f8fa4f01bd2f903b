// SPDX-License-Identifier: GPL-2.0-only

//! The calls that are made: to rpcbind (RFC 1833), and to statd (the NSM protocol of X/Open's
//! "Protocols for Interworking: XNFS").

use crate::rpc::{
    Decoder,
    Encoder,
    Malformed, //
};
use std::net::IpAddr;

/// Port of rpcbind.
pub const RPCBIND_PORT: u16 = 111;

pub(crate) const RPCBIND: u32 = 100_000;
pub(crate) const PMAP_VERSION: u32 = 2;
pub(crate) const PMAP_GETPORT: u32 = 3;
const RPCB_VERSION: u32 = 3;
const RPCB_GETADDR: u32 = 3;

/// How a call travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram of its own.
    Udp,
    /// Over a connection of its own.
    Tcp,
}

impl Transport {
    /// As rpcbind of version 2 knows it.
    fn number(self) -> u32 {
        match self {
            Self::Udp => 17,
            Self::Tcp => 6,
        }
    }

    /// As rpcbind of version 3 knows it for IPv6.
    fn netid(self) -> &'static str {
        match self {
            Self::Udp => "udp6",
            Self::Tcp => "tcp6",
        }
    }
}

const STATD: u32 = 100_024;
const STATD_VERSION: u32 = 1;
const SM_UNMON: u32 = 3;
const SM_NOTIFY: u32 = 6;

/// What lockd has statd call when a client has restarted.
const LOCKD: u32 = 100_021;
const LOCKD_VERSION: u32 = 3;
const LOCKD_SM_NOTIFY: u32 = 16;

/// Asks rpcbind on a host of the family of `ip` for statd's port.
pub fn getport(xid: u32, ip: IpAddr, transport: Transport) -> Vec<u8> {
    match ip {
        IpAddr::V4(_) => Encoder::call(xid, RPCBIND, PMAP_VERSION, PMAP_GETPORT)
            .u32(STATD)
            .u32(STATD_VERSION)
            .u32(transport.number())
            .u32(0),
        IpAddr::V6(_) => Encoder::call(xid, RPCBIND, RPCB_VERSION, RPCB_GETADDR)
            .u32(STATD)
            .u32(STATD_VERSION)
            .string(transport.netid())
            .string("")
            .string(""),
    }
    .finish()
}

/// The answer to [`getport`]: 0 if statd is not registered.
pub fn port(mut results: Decoder<'_>, ip: IpAddr) -> Result<u16, Malformed> {
    if ip.is_ipv4() {
        return u16::try_from(results.u32()?).map_err(|_| Malformed);
    }
    // "fd00::1.3.18": the last two numbers are the bytes of the port.
    let address = results.string(256)?;
    if address.is_empty() {
        return Ok(0);
    }
    let mut parts = address.rsplitn(3, '.');
    let mut byte = || parts.next()?.parse::<u8>().ok();
    let (low, high) = (byte().ok_or(Malformed)?, byte().ok_or(Malformed)?);
    Ok(u16::from_be_bytes([high, low]))
}

/// Tells a client that the server it knows as `name` has restarted.
pub fn notify(xid: u32, name: &str, state: i32) -> Vec<u8> {
    Encoder::call(xid, STATD, STATD_VERSION, SM_NOTIFY)
        .string(name)
        .i32(state)
        .finish()
}

/// Tells our statd that lockd does not want to know of `client`'s restarts any more.
pub fn unmonitor(xid: u32, client: &str, my_name: &str) -> Vec<u8> {
    Encoder::call(xid, STATD, STATD_VERSION, SM_UNMON)
        .string(client)
        .string(my_name)
        .u32(LOCKD)
        .u32(LOCKD_VERSION)
        .u32(LOCKD_SM_NOTIFY)
        .finish()
}
