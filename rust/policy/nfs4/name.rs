// SPDX-License-Identifier: GPL-2.0-only

//! A client for each floating address: the name that it gets.
//!
//! nfsd knows a client by the name that it gives itself, and that is the same through all addresses of
//! a node. What it holds through one of them could not leave alone. With the address in its name it is
//! another client through each.

use crate::policy::address::canonical;
use core::{
    fmt::{
        self,
        Write, //
    },
    net::IpAddr, //
};

/// Longest name that NFSv4 allows (`NFS4_OPAQUE_LIMIT`).
pub const LIMIT: usize = 1024;

/// Longest tail: a mark, a hash, and an IPv6 address.
const MAX_TAIL: usize = 1 + 16 + 1 + 45;

/// What a name ends with.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    bytes: [u8; MAX_TAIL],
    len: usize,
}

impl Tail {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Tail {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// How many bytes the client keeps of its `name`, and what comes after them for those who use the
/// server address `ip`.
///
/// Of a name that would get too long the end makes room for a hash of all of it.
pub fn of(name: &[u8], ip: IpAddr) -> (usize, Tail) {
    let ip = canonical(ip);
    let mut tail = Tail {
        bytes: [0; MAX_TAIL],
        len: 0,
    };
    // There is room for the longest address and the longest hash.
    let _ = write!(tail, "@{ip}");
    if name.len() + tail.len <= LIMIT {
        return (name.len(), tail);
    }
    tail.len = 0;
    let _ = write!(tail, "#{:016x}@{ip}", hash(name));
    (LIMIT - tail.len, tail)
}

/// Whether a name can be that of a client through `ip`.
pub fn is_through(name: &[u8], ip: IpAddr) -> bool {
    let (_, tail) = of(&[], ip);
    name.ends_with(tail.bytes())
}

/// A client by the name that it has through an address of the server, whether nfsd knows it by that or
/// by its own.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    kept: &'a [u8],
    tail: Option<Tail>,
}

impl<'a> Known<'a> {
    /// The client that calls itself `name`, and uses that address; [`None`] if one of these is not known.
    pub fn through(name: &'a [u8], server: Option<IpAddr>) -> Option<Self> {
        let server = server.filter(|_| !name.is_empty())?;
        let (kept, tail) = match is_through(name, server) {
            true => (name.len(), None),
            false => {
                let (kept, tail) = of(name, server);
                (kept, Some(tail))
            }
        };
        Some(Self {
            kept: &name[..kept],
            tail,
        })
    }

    /// Whether that is its name.
    pub fn is(&self, name: &[u8]) -> bool {
        let tail = self.tail.as_ref().map_or(&[][..], Tail::bytes);
        name.strip_prefix(self.kept) == Some(tail)
    }
}

/// FNV-1a. Who wants to be taken for another client need not find a collision: it can use its name.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    fn named(name: &[u8], ip: &str) -> Vec<u8> {
        let (kept, tail) = of(name, ip.parse().unwrap());
        [&name[..kept], tail.bytes()].concat()
    }

    #[test]
    fn a_client_is_known_by_its_name_through_the_address() {
        let ip = IpAddr::from([10, 0, 0, 5]);
        let long = [b'x'; LIMIT];
        let (kept, tail) = of(&long, ip);
        let mut longest = [0; LIMIT];
        longest[..kept].copy_from_slice(&long[..kept]);
        longest[kept..].copy_from_slice(tail.bytes());
        for (name, is) in [
            (&b"c1"[..], &b"c1@10.0.0.5"[..]),
            (b"c1@10.0.0.5", b"c1@10.0.0.5"),
            (b"c1@10.0.0.6", b"c1@10.0.0.6@10.0.0.5"),
            (&long, &longest),
        ] {
            let known = Known::through(name, Some(ip)).unwrap();
            assert!(known.is(is));
            for other in [&b"c1"[..], b"c1@10.0.0.6", b"", b"c2@10.0.0.5"] {
                assert!(!known.is(other));
            }
        }
        assert!(Known::through(b"", Some(ip)).is_none());
        assert!(Known::through(b"c1", None).is_none());
    }

    #[test]
    fn it_is_seen_in_the_name() {
        for (name, ip, expected) in [
            (&b"c1@10.0.0.5"[..], "10.0.0.5", true),
            (b"c1@10.0.0.5", "::ffff:10.0.0.5", true),
            (b"c1@10.0.0.55", "10.0.0.5", false),
            (b"c1@110.0.0.5", "10.0.0.5", false),
            (b"c1", "10.0.0.5", false),
            (b"", "10.0.0.5", false),
        ] {
            assert_eq!(is_through(name, ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn the_address_is_in_the_name() {
        assert_eq!(
            named(b"Linux NFSv4.2 c1", "10.0.0.5"),
            b"Linux NFSv4.2 c1@10.0.0.5"
        );
        assert_eq!(named(b"c1", "::ffff:10.0.0.5"), b"c1@10.0.0.5");
        assert_eq!(named(b"c1", "fd00::1"), b"c1@fd00::1");
        assert_eq!(named(b"", "fd00::1"), b"@fd00::1");
    }

    /// The longest address, and names around the limit.
    #[test]
    fn long_names_stay_different() {
        let ip = "2001:db80:1234:5678:9abc:def0:1234:5678";
        for len in LIMIT - 60..=LIMIT {
            let mut one: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let first = named(&one, ip);
            assert!(first.len() <= LIMIT, "{len}");
            assert!(first.ends_with(ip.as_bytes()));
            one[len - 1] ^= 1;
            assert_ne!(named(&one, ip), first, "{len}");
        }
    }
}
