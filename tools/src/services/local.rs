// SPDX-License-Identifier: GPL-2.0-only

//! Whether an RPC program of this machine is there.

use crate::nsm;
use crate::rpc::Encoder;
use crate::statd::exchange;
use crate::udp;
use std::fmt;
use std::io;
use std::net::{
    IpAddr,
    Ipv4Addr,
    SocketAddr,
    TcpStream, //
};
use std::time::{
    Duration,
    Instant, //
};

/// How long a service may take to answer. statd answers nothing else while its callout runs.
const PATIENCE: Duration = Duration::from_secs(5);

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(super) const TCP: u32 = 6;
pub(super) const UDP: u32 = 17;
const NULL: u32 = 0;

/// An RPC program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    pub(super) number: u32,
    pub(super) version: u32,
}

/// Why it is of no use.
pub(super) enum Trouble {
    /// Nobody knows.
    Rpcbind(io::Error),
    /// rpcbind does not know it.
    Unknown,
    /// It is registered, which a dead process may have left.
    Silent(io::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rpcbind(why) => write!(f, "rpcbind does not answer ({why})"),
            Self::Unknown => f.write_str("rpcbind does not know it"),
            Self::Silent(why) => write!(f, "it is registered, but does not answer ({why})"),
        }
    }
}

/// Whether a program answers.
pub(super) fn answers(rpcbind: u16, program: Program) -> Result<(), Trouble> {
    if let Some(port) = port(rpcbind, program, UDP)? {
        return null(port, program).map_err(Trouble::Silent);
    }
    let port = port(rpcbind, program, TCP)?.ok_or(Trouble::Unknown)?;
    TcpStream::connect_timeout(&SocketAddr::from((HERE, port)), PATIENCE)
        .map(drop)
        .map_err(Trouble::Silent)
}

pub(super) fn port(rpcbind: u16, program: Program, protocol: u32) -> Result<Option<u16>, Trouble> {
    let xid = udp::first_xid();
    let call = Encoder::call(xid, nsm::RPCBIND, nsm::PMAP_VERSION, nsm::PMAP_GETPORT)
        .u32(program.number)
        .u32(program.version)
        .u32(protocol)
        .u32(0)
        .finish();
    let deadline = Instant::now() + PATIENCE;
    let port = exchange(rpcbind, xid, &call, deadline, |reply| {
        let results = reply.results.ok()?;
        nsm::port(results, HERE).ok()
    });
    port.map(|port| port.filter(|port| *port != 0))
        .map_err(Trouble::Rpcbind)
}

fn null(port: u16, program: Program) -> io::Result<()> {
    let xid = udp::first_xid();
    let call = Encoder::call(xid, program.number, program.version, NULL).finish();
    let deadline = Instant::now() + PATIENCE;
    let refusal = exchange(port, xid, &call, deadline, |reply| reply.results.err())?;
    refusal.map_or(Ok(()), |refusal| Err(io::Error::other(refusal.to_string())))
}
