// SPDX-License-Identifier: GPL-2.0-only

//! TCP connections of clients to a floating IP.
//!
//! When the address comes to another node, clients believe in their connections to the old one until
//! TCP has tried long enough. So the node that serves lists them on the filesystem that moves, where
//! the next one finds them, also after a crash, and tells the clients ([`tickle`]).

pub mod kernel;
pub mod packet;
pub mod ports;
pub mod stored;
pub mod tickle;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{
    IpAddr,
    SocketAddr, //
};

/// As many are listed and told.
pub const MAX: usize = 8192;

const HEADER: &str = "nfs-failover-connections 1";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// The client's end.
    pub client: SocketAddr,
    /// The port at the floating IP.
    pub port: u16,
}

/// Those that are listed, as they are kept. Returns how many did not fit, too.
pub fn text(connections: &BTreeSet<Connection>) -> (String, usize) {
    let mut text = format!("{HEADER}\n");
    for connection in connections.iter().take(MAX) {
        // A string takes all that is written to it.
        let _ = writeln!(text, "{} {}", connection.client, connection.port);
    }
    (text, connections.len().saturating_sub(MAX))
}

/// What may be sent to of a list, and why not to the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Connections to the services.
    pub connections: Vec<Connection>,
    /// Lines that are no connection of a client, or too many.
    pub garbage: usize,
    /// Connections to ports at which none of our services is.
    pub elsewhere: usize,
}

impl Chosen {
    /// Adds what was chosen from another list, as far as there is room.
    pub fn add(&mut self, other: Self) {
        let known: BTreeSet<_> = self.connections.iter().copied().collect();
        let new = |connection: &Connection| !known.contains(connection);
        self.connections
            .extend(other.connections.into_iter().filter(new));
        self.connections.truncate(MAX);
        self.garbage += other.garbage;
        self.elsewhere += other.elsewhere;
    }
}

/// Chooses from a list. Whoever can write there can have written anything: nothing is sent but to a
/// client that could have used the services, and to no more than are ever listed.
///
/// `server` is the floating IP, `here` are all addresses of this machine, `ports` those of its
/// services. [`None`] if it is no list.
pub fn choose(text: &[u8], server: IpAddr, here: &[IpAddr], ports: &[u16]) -> Option<Chosen> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.lines();
    lines.next().filter(|line| *line == HEADER)?;
    let mut chosen = Chosen::default();
    let mut connections = BTreeSet::new();
    for line in lines {
        match parse(line).filter(|connection| is_client(connection.client, server, here)) {
            None => chosen.garbage += 1,
            Some(connection) if !ports.contains(&connection.port) => chosen.elsewhere += 1,
            Some(_) if connections.len() == MAX => chosen.garbage += 1,
            Some(connection) => drop(connections.insert(connection)),
        }
    }
    chosen.connections = connections.into_iter().collect();
    Some(chosen)
}

fn parse(line: &str) -> Option<Connection> {
    let (client, port) = line.split_once(' ')?;
    let client: SocketAddr = client.parse().ok()?;
    Some(Connection {
        // Without the scope that it may have.
        client: SocketAddr::new(client.ip(), client.port()),
        port: port.parse().ok().filter(|port| *port != 0)?,
    })
}

/// Whether it can be a client of a floating IP: one machine, and another one than this.
fn is_client(client: SocketAddr, server: IpAddr, here: &[IpAddr]) -> bool {
    let one_machine = match client.ip() {
        IpAddr::V4(ip) => {
            // "This network", loopback, link-local, groups, reserved and broadcast.
            !matches!(ip.octets()[0], 0 | 127 | 224..) && !ip.is_link_local()
        }
        IpAddr::V6(ip) => {
            // Unspecified, loopback and IPv4 begin with 0.
            ip.segments()[0] != 0 && !ip.is_multicast() && !ip.is_unicast_link_local()
        }
    };
    one_machine
        && client.port() != 0
        && client.is_ipv4() == server.is_ipv4()
        && client.ip() != server
        && !here.contains(&client.ip())
}
