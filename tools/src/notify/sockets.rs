// SPDX-License-Identifier: GPL-2.0-only

//! The UDP sockets that clients are told from, each on another reserved port: what is sent to one
//! port may be lost on the way, by firewalls and by hardware that takes it for its own.

use crate::ports;
use crate::udp;
use nix::sys::socket::{
    setsockopt,
    sockopt, //
};
use socket2::{
    SockFilter,
    SockRef, //
};
use std::io;
use std::net::{
    IpAddr,
    SocketAddr,
    UdpSocket, //
};

/// Enough for the answers of tens of thousands of clients, and for as many questions that wait
/// until the network knows that a neighbour is dead.
const BUFFER: usize = 16 << 20;

/// More ports than this are not tried: then it is not the port.
const MAX: usize = 8;

/// Datagrams that are taken from one socket before something else gets its turn.
const AT_ONCE: usize = 512;

/// So many calls are made at most.
const CALLS: u32 = 1 << 24;

/// UDP sockets of one address.
pub struct Sockets {
    ip: IpAddr,
    ports: Box<dyn Iterator<Item = u16>>,
    first_xid: u32,
    open: Vec<UdpSocket>,
}

impl Sockets {
    /// One socket, on `port` if that is given; then there will be no other.
    pub fn new(ip: IpAddr, port: Option<u16>, first_xid: u32) -> io::Result<Self> {
        let ports: Box<dyn Iterator<Item = u16>> = match port {
            Some(port) => Box::new(std::iter::once(port)),
            None => Box::new(ports::reserved()),
        };
        let mut sockets = Self {
            ip,
            ports,
            first_xid,
            open: Vec::new(),
        };
        sockets.open_one()?;
        Ok(sockets)
    }

    fn open_one(&mut self) -> io::Result<()> {
        let socket = udp::bound_to_first(self.ip, &mut self.ports)?;
        socket.set_nonblocking(true)?;
        // What the administrator allows is better than nothing.
        if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER);
        }
        if setsockopt(&socket, sockopt::SndBufForce, &BUFFER).is_err() {
            let _ = setsockopt(&socket, sockopt::SndBuf, &BUFFER);
        }
        // Without it all is looked at here, which costs more.
        let _ = SockRef::from(&socket).attach_filter(&answers_only(self.first_xid));
        self.open.push(socket);
        Ok(())
    }

    /// All that are open.
    pub fn all(&self) -> &[UdpSocket] {
        &self.open
    }

    /// Sends from the port that comes after `turn` others.
    pub fn send(&mut self, turn: usize, packet: &[u8], to: SocketAddr) -> io::Result<usize> {
        while self.open.len() <= turn % MAX && self.open_one().is_ok() {}
        let turn = turn % MAX % self.open.len();
        self.open[turn].send_to(packet, to)
    }

    /// What has come, but no more than can be dealt with in a moment.
    pub fn receive(&self, mut each: impl FnMut(&[u8], SocketAddr)) {
        let mut buffer = [0; 2048];
        for socket in &self.open {
            for _ in 0..AT_ONCE {
                match socket.recv_from(&mut buffer) {
                    Ok((length, from)) => each(&buffer[..length], from),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An error of an earlier packet.
                    Err(_) => {}
                }
            }
        }
    }
}

/// The kernel keeps only answers to our calls: a flood must not fill the buffers. The xid is in
/// the first word behind the header of UDP, the second one is 1 in an answer.
fn answers_only(first_xid: u32) -> [SockFilter; 7] {
    const LOAD: u16 = 0x20;
    const SUBTRACT: u16 = 0x14;
    const IF_GREATER_OR_EQUAL: u16 = 0x35;
    const IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD, 0, 0, 8),
        SockFilter::new(SUBTRACT, 0, 0, first_xid),
        SockFilter::new(IF_GREATER_OR_EQUAL, 3, 0, CALLS),
        SockFilter::new(LOAD, 0, 0, 12),
        SockFilter::new(IF_EQUAL, 0, 1, 1),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
