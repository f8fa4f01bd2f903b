// SPDX-License-Identifier: GPL-2.0-only

//! TCP connections of clients to a floating IP.
//!
//! When the address comes to another node, clients believe in their connections to the old one until
//! TCP has tried long enough. So the node that serves lists them on the filesystem that moves, where
//! the next one finds them, also after a crash, and tells the clients ([`tickle`]).
//!
//! Whatever goes wrong with that costs clients some seconds, and nothing else.

pub mod kernel;
pub mod packet;
pub mod stored;
pub mod tickle;

use crate::error::Result;
use crate::interface::addresses;
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

/// Those that are listed, as they are kept: the first ones, if they are too many.
pub fn text(connections: &BTreeSet<Connection>) -> String {
    let mut text = format!("{HEADER}\n");
    for connection in connections.iter().take(MAX) {
        // A string takes all that is written to it.
        let _ = writeln!(text, "{} {}", connection.client, connection.port);
    }
    text
}

/// What may be sent to of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Connections of what can be clients.
    pub connections: BTreeSet<Connection>,
    /// Lines that are none, or too many.
    pub garbage: usize,
}

impl Chosen {
    /// Chooses from a list, too. Whoever can write there can have written anything: nothing is sent but
    /// to what could be a client, and to no more than are ever listed.
    ///
    /// `server` is the floating IP, `here` are all addresses of this machine. Returns whether it is a
    /// list.
    pub fn add(&mut self, text: &[u8], server: IpAddr, here: &[IpAddr]) -> bool {
        let text = std::str::from_utf8(text).unwrap_or_default();
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) {
            return false;
        }
        for line in lines {
            match parse(line).filter(|connection| is_client(connection.client, server, here)) {
                Some(connection) if self.connections.contains(&connection) => {}
                Some(connection) if self.connections.len() < MAX => {
                    self.connections.insert(connection);
                }
                _ => self.garbage += 1,
            }
        }
        true
    }
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

/// All addresses of this machine.
fn here() -> Result<Vec<IpAddr>> {
    Ok(addresses()?.into_iter().map(|known| known.ip).collect())
}
