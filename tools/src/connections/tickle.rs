// SPDX-License-Identifier: GPL-2.0-only

//! Has clients notice that the node that they were connected to has the address no more.
//!
//! Each gets a SYN|ACK of its connection with random numbers, from the floating IP, and answers with
//! the right ones. This kernel knows no such connection and says so: the client connects anew at
//! once. To whom the connection is none, or who has one to this node, it means nothing.

use super::packet::syn_ack;
use super::{
    choose,
    stored,
    Chosen,
    Connection, //
};
use crate::config::Service;
use crate::error::{
    text,
    Context,
    Result, //
};
use crate::host::{
    self,
    Host, //
};
use crate::interface::addresses;
use crate::ports::random;
use crate::services;
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
use std::io;
use std::net::{
    IpAddr,
    SocketAddr, //
};
use std::thread::{
    self,
    sleep,
    JoinHandle, //
};
use std::time::{
    Duration,
    Instant, //
};

/// When each is told. A packet may get lost; a client may still send its answer to the old node, if
/// it has not heard of the new one; and it answers to no more than two in a second.
const ROUNDS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(800),
    Duration::from_millis(1500),
];

/// Packets at once, and the pause after them.
const BURST: (usize, Duration) = (50, Duration::from_millis(5));

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
pub struct Tickling(Option<JoinHandle<Tickled>>);

impl Tickling {
    /// Begins.
    pub fn begin(host: &Host, service: &Service) -> Self {
        let (host, service) = (host.clone(), service.clone());
        let work = move || tickle(&host, &service);
        Self(thread::Builder::new().spawn(work).ok())
    }

    /// Waits until all were told.
    pub fn end(self) -> Tickled {
        let tickled = self.0.and_then(|thread| thread.join().ok());
        tickled.unwrap_or_else(|| Tickled {
            trouble: vec!["there can be no thread for it".into()],
            ..Tickled::default()
        })
    }
}

/// Tells all clients whose connections to a floating IP that is up here were listed.
pub fn tickle(host: &Host, service: &Service) -> Tickled {
    let mut tickled = Tickled::default();
    if let Err(error) = try_to(host, service, &mut tickled) {
        tickled.trouble.push(error.to_string());
    }
    tickled
}

fn try_to(host: &Host, service: &Service, tickled: &mut Tickled) -> Result<()> {
    let ip = service.ip;
    if !host::is_local(ip)? {
        return Ok(());
    }
    let mut lists = Vec::new();
    for list in stored::read_all(host, service) {
        match list {
            Ok(list) => lists.extend(list),
            Err(error) => tickled.trouble.push(error.to_string()),
        }
    }
    if lists.is_empty() {
        return Ok(());
    }
    let here: Vec<_> = addresses()?.into_iter().map(|known| known.ip).collect();
    let (ports, unknown) = services::tcp_ports(host);
    let mut chosen = Chosen::default();
    for list in lists {
        match choose(&list, ip, &here, &ports) {
            Some(more) => chosen.add(more),
            None => tickled.trouble.push("the list is none".into()),
        }
    }
    tickled.trouble.extend(left_out(&chosen, &ports, unknown));
    if chosen.connections.is_empty() {
        return Ok(());
    }
    let socket = socket(ip).context(|| format!("cannot send segments from {ip}"))?;
    let mut told = vec![false; chosen.connections.len()];
    let mut failed = None;
    let begun = Instant::now();
    for round in ROUNDS {
        sleep(round.saturating_sub(begun.elapsed()));
        for (at, connection) in chosen.connections.iter().enumerate() {
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
        tickled
            .trouble
            .push(format!("clients of {missed} could not be told: {why}"));
    }
    Ok(())
}

/// What there is to say about what was not chosen.
fn left_out(chosen: &Chosen, ports: &[u16], unknown: Vec<String>) -> Vec<String> {
    let mut said = Vec::new();
    if chosen.elsewhere > 0 {
        let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
        let mut why = format!(
            "{} are to ports where no service is here ({} are)",
            chosen.elsewhere,
            ports.join(", ")
        );
        match unknown.is_empty() {
            true => why += ": give all nodes the same ones",
            false => why += &format!(", and {}", unknown.join(", ")),
        }
        said.push(why);
    }
    if chosen.garbage > 0 {
        said.push(format!(
            "{} lines of the list are no connections of clients",
            chosen.garbage
        ));
    }
    said
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
