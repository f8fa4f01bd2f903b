// SPDX-License-Identifier: GPL-2.0-only

//! Calls to the statd of this machine.

use super::list::Pair;
use crate::error::{
    Error,
    Result, //
};
use crate::nsm;
use crate::rpc::Reply;
use crate::udp;
use std::io;
use std::net::{
    IpAddr,
    Ipv4Addr,
    UdpSocket, //
};
use std::time::{
    Duration,
    Instant, //
};

/// statd listens to the kernel, and to us, on this address only.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Makes statd forget pairs, for so long. Returns whether it is running.
pub fn unmonitor(rpcbind: u16, pairs: &[Pair], patience: Duration) -> Result<bool> {
    let deadline = Instant::now() + patience;
    let Some(port) = statd_port(rpcbind, deadline)? else {
        return Ok(false);
    };
    for (at, pair) in pairs.iter().enumerate() {
        let xid = udp::first_xid().wrapping_add(at as u32);
        let call = nsm::unmonitor(xid, &pair.mon_name, &pair.my_name);
        match exchange(port, xid, &call, deadline, |reply| reply.results.is_ok()) {
            Ok(true) => {}
            // Registered, but dead.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(false),
            Ok(false) => return Err(failed(at, pairs.len(), "it refuses SM_UNMON")),
            Err(error) => return Err(failed(at, pairs.len(), &error.to_string())),
        }
    }
    Ok(true)
}

fn failed(done: usize, of: usize, why: &str) -> Error {
    Error::new(format!(
        "rpc.statd has forgotten {done} of {of} clients only: {why}; nobody loses a record by that, the next takeover here has it forget the rest"
    ))
}

fn statd_port(rpcbind: u16, deadline: Instant) -> Result<Option<u16>> {
    let xid = udp::first_xid();
    let call = nsm::getport(xid, HERE, nsm::Transport::Udp);
    let port = exchange(rpcbind, xid, &call, deadline, |reply| {
        reply
            .results
            .ok()
            .and_then(|results| nsm::port(results, HERE).ok())
    });
    match port {
        Ok(port) => Ok(port.filter(|port| *port != 0)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(Error::new(format!(
            "rpcbind on 127.0.0.1 cannot be asked for rpc.statd: {error}"
        ))),
    }
}

/// One call and its answer, repeated once a second until the deadline.
pub(crate) fn exchange<T>(
    port: u16,
    xid: u32,
    call: &[u8],
    deadline: Instant,
    read: impl Fn(Reply<'_>) -> T,
) -> io::Result<T> {
    let socket: UdpSocket = udp::reserved(HERE)?;
    // Connected: nobody else can answer, and we hear that nobody listens.
    socket.connect((HERE, port))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut buffer = [0; 1024];
    while Instant::now() < deadline {
        socket.send(call)?;
        match socket.recv(&mut buffer) {
            Ok(length) => match Reply::parse(&buffer[..length]) {
                Ok(reply) if reply.xid == xid => return Ok(read(reply)),
                _ => {}
            },
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "it does not answer",
    ))
}
