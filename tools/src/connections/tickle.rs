// SPDX-License-Identifier: GPL-2.0-only

//! Has clients notice that the node that they were connected to has the address no more.
//!
//! Each gets a SYN|ACK of its connection with random numbers, from the floating IP, and answers with
//! the right ones. This kernel knows no such connection and says so: the client connects anew at
//! once. To whom the connection is none, or who has one to this node, it means nothing.

use super::packet::syn_ack;
use super::{
    here,
    stored,
    Chosen,
    Connection, //
};
use crate::config::Service;
use crate::error::{
    text,
    Result, //
};
use crate::host::{
    self,
    Host, //
};
use crate::ports::random;
use nix::libc::IPPROTO_RAW;
use nix::sys::socket::{
    setsockopt,
    sockopt, //
};
use serde::Serialize;
use socket2::{
    Domain,
    Protocol,
    Socket,
    Type, //
};
use std::collections::BTreeSet;
use std::io;
use std::net::{
    IpAddr,
    SocketAddr, //
};
use std::sync::mpsc::{
    channel,
    Receiver, //
};
use std::thread::{
    self,
    sleep, //
};
use std::time::{
    Duration,
    Instant, //
};

/// When each is told. A packet may get lost; a client may still send its answer to the old node, if
/// it has not heard of the new one; and it answers to no more than two in a second.
const ROUNDS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(700),
];

/// Nobody waits longer for all of it, whatever the disk does.
const LIMIT: Duration = Duration::from_secs(1);

/// Packets at once, and the pause after them.
const BURST: (usize, Duration) = (100, Duration::from_millis(2));

/// Enough for one packet to each, all of which wait until their neighbour is known.
const BUFFER: usize = 16 << 20;

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tickled {
    /// Connections of which the client was told.
    pub connections: usize,
    /// What was left out, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trouble: Vec<String>,
}

impl Tickled {
    fn failed(why: impl Into<String>) -> Self {
        Self {
            connections: 0,
            trouble: vec![why.into()],
        }
    }

    /// In words, if there is anything to say.
    pub fn said(&self) -> Option<String> {
        let count = match self.connections {
            0 => None,
            count => Some(format!("{count} connections to the node before tickled")),
        };
        let trouble = (!self.trouble.is_empty()).then(|| {
            let why = self.trouble.join("; ");
            format!("not all connections to the node before are tickled: {why}")
        });
        let said: Vec<_> = [count, trouble].into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// Tells clients, while others go on.
pub struct Tickling {
    begun: Instant,
    tickled: Receiver<Tickled>,
}

impl Tickling {
    /// Begins with the clients of a floating IP, whose connections are listed on each of the filesystems
    /// behind it.
    pub fn begin(host: &Host, ip: IpAddr, services: &[Service]) -> Self {
        let (host, services) = (host.clone(), services.to_vec());
        let (sender, tickled) = channel();
        let work = move || {
            let tickled =
                tickle(&host, ip, &services).unwrap_or_else(|why| Tickled::failed(why.to_string()));
            // Perhaps nobody waits any more.
            let _ = sender.send(tickled);
        };
        // Without a thread the sender is gone, and that is what is found.
        let _ = thread::Builder::new().spawn(work);
        Self {
            begun: Instant::now(),
            tickled,
        }
    }

    /// Waits until all were told, but not for long.
    pub fn end(self) -> Tickled {
        let left = LIMIT.saturating_sub(self.begun.elapsed());
        let tickled = self.tickled.recv_timeout(left);
        tickled.unwrap_or_else(|why| Tickled::failed(format!("after {LIMIT:?}: {why}")))
    }
}

/// Tells all clients whose connections to a floating IP that is up here were listed.
fn tickle(host: &Host, ip: IpAddr, services: &[Service]) -> Result<Tickled> {
    let mut tickled = Tickled::default();
    if !host::is_local(ip)? {
        return Ok(tickled);
    }
    let here = here()?;
    let mut chosen = Chosen::default();
    let lists = services
        .iter()
        .flat_map(|service| stored::read_all(host, service));
    for list in lists {
        match list.map(|list| list.is_none_or(|list| chosen.add(&list, ip, &here))) {
            Ok(true) => {}
            Ok(false) => tickled.trouble.push("the list is none".into()),
            Err(error) => tickled.trouble.push(error.to_string()),
        }
    }
    if chosen.garbage > 0 {
        let garbage = chosen.garbage;
        let why = format!("{garbage} lines of the list are no connections of clients");
        tickled.trouble.push(why);
    }
    let Tickled {
        connections,
        trouble,
    } = tell(ip, &chosen.connections);
    tickled.connections = connections;
    tickled.trouble.extend(trouble);
    Ok(tickled)
}

/// Tells the clients of these connections to a floating IP that is up here. If that is not possible, they
/// notice by themselves, some seconds later.
pub fn tell(ip: IpAddr, connections: &BTreeSet<Connection>) -> Tickled {
    let mut tickled = Tickled::default();
    if connections.is_empty() {
        return tickled;
    }
    let socket = match socket(ip) {
        Ok(socket) => socket,
        Err(error) => {
            let why = text(&error);
            return Tickled::failed(format!("cannot send segments from {ip}: {why}"));
        }
    };
    let mut told = vec![false; connections.len()];
    let mut failed = None;
    let begun = Instant::now();
    for round in ROUNDS {
        sleep(round.saturating_sub(begun.elapsed()));
        for (at, connection) in connections.iter().enumerate() {
            match send(&socket, ip, connection) {
                Ok(()) => told[at] = true,
                Err(error) => failed = Some(text(&error)),
            }
            if at % BURST.0 == BURST.0 - 1 {
                sleep(BURST.1);
            }
        }
    }
    tickled.connections = told.iter().filter(|told| **told).count();
    let missed = told.len() - tickled.connections;
    if let Some(why) = failed.filter(|_| missed > 0) {
        let why = format!("clients of {missed} could not be told: {why}");
        tickled.trouble.push(why);
    }
    tickled
}

/// Sends whole packets, from this address only, and receives nothing.
fn socket(ip: IpAddr) -> io::Result<Socket> {
    let domain = if ip.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(IPPROTO_RAW)))?;
    socket.bind(&SocketAddr::new(ip, 0).into())?;
    socket.set_nonblocking(true)?;
    if setsockopt(&socket, sockopt::SndBufForce, &BUFFER).is_err() {
        let _ = setsockopt(&socket, sockopt::SndBuf, &BUFFER);
    }
    Ok(socket)
}

fn send(socket: &Socket, ip: IpAddr, connection: &Connection) -> io::Result<()> {
    let from = SocketAddr::new(ip, connection.port);
    // Other numbers each time: a TCP that is older than RFC 5961 may end a connection, which is one to
    // this node perhaps, if the first happens to fit.
    let Some(packet) = syn_ack(from, connection.client, random(), random()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let to = SocketAddr::new(connection.client.ip(), 0);
    socket.send_to(&packet, &to.into()).map(drop)
}
