// SPDX-License-Identifier: GPL-2.0-only

//! The connections that the kernel has, as `/proc/net/tcp` and `/proc/net/tcp6` list them.

use super::{
    here,
    is_client,
    Connection, //
};
use crate::error::{
    Context,
    Result, //
};
use crate::host::Host;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{
    self,
    BufRead,
    BufReader, //
};
use std::net::{
    IpAddr,
    Ipv4Addr,
    Ipv6Addr,
    SocketAddr, //
};

const ESTABLISHED: &str = "01";
/// The last ACK of the client has not come.
const SYN_RECV: &str = "03";

/// Connections of other machines to a floating IP, whatever they are for: all of them end with this
/// node.
pub fn connections(host: &Host, ip: IpAddr) -> Result<BTreeSet<Connection>> {
    in_states(host, ip, &[ESTABLISHED])
}

/// Connections in which clients may believe when nothing of theirs arrives any more.
pub fn believed(host: &Host, ip: IpAddr) -> Result<BTreeSet<Connection>> {
    in_states(host, ip, &[ESTABLISHED, SYN_RECV])
}

fn in_states(host: &Host, ip: IpAddr, states: &[&str]) -> Result<BTreeSet<Connection>> {
    let here = here()?;
    let mut found = BTreeSet::new();
    for table in ["net/tcp", "net/tcp6"] {
        let path = host.proc().join(table);
        let context = || format!("cannot read {}", path.display());
        let file = match File::open(&path) {
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file.context(context)?,
        };
        // There may be tens of thousands, most of which are none of ours.
        for line in BufReader::new(file).lines() {
            let line = line.context(context)?;
            found.extend(parse(&line, states).and_then(|(server, client)| {
                (server.ip() == ip && is_client(client, ip, &here)).then_some(Connection {
                    client,
                    port: server.port(),
                })
            }));
        }
    }
    Ok(found)
}

/// Both ends of a connection in one of these states.
fn parse(line: &str, states: &[&str]) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (server, client) = (words.next()?, words.next()?);
    states.contains(&words.next()?).then_some(())?;
    Some((end(server)?, end(client)?))
}

/// One end. The address is in words as they are in memory.
fn end(word: &str) -> Option<SocketAddr> {
    let (address, port) = word.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let memory = |at: usize| {
        let word = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(memory(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (at, four) in octets.chunks_mut(4).enumerate() {
                four.copy_from_slice(&memory(at)?);
            }
            // A socket of IPv6 takes connections of IPv4, too.
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
