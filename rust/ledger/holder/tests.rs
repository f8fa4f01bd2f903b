// SPDX-License-Identifier: GPL-2.0-only

//! Tests of `holder.rs`.

use super::*;
use crate::policy::state::client::Transport;
extern crate std;
use std::vec::Vec;

#[derive(Clone, Copy, Debug)]
struct Listed(Host, &'static [u8]);

impl AsRef<Host> for Listed {
    fn as_ref(&self) -> &Host {
        &self.0
    }
}

/// Clients 10.0.0.n and servers 10.0.1.n; server 0 is not known.
fn host(client: u8, server: u8, udp: bool, version: u8) -> Host {
    Host {
        client: IpAddr::from([10, 0, 0, client]),
        transport: Transport { udp, version },
        server: (server > 0).then(|| IpAddr::from([10, 0, 1, server])),
    }
}

fn tcp(client: u8, server: u8) -> Host {
    host(client, server, false, 4)
}

struct List {
    all: Vec<Listed>,
    by_name: Vec<u32>,
}

impl List {
    fn new(listed: &[(Host, &'static str)]) -> Self {
        let mut all: Vec<_> = listed
            .iter()
            .map(|(host, name)| Listed(*host, name.as_bytes()))
            .collect();
        all.sort_by_key(|it| (it.0, it.1));
        let mut by_name: Vec<_> = (0..all.len() as u32).collect();
        order_by_name(&all, |it| it.1, &mut by_name);
        Self { all, by_name }
    }

    fn hosts<'s>(&'s self) -> Hosts<'s, Listed, impl Fn(&Listed) -> &'s [u8]> {
        Hosts {
            all: &self.all,
            by_name: &self.by_name,
            name: |it: &Listed| it.1,
        }
    }

    fn host(&self, number: Option<u32>) -> Option<Host> {
        number.map(|at| self.all[at as usize].0)
    }

    fn very(&self, host: &Host) -> Option<Host> {
        self.host(self.hosts().very(host))
    }

    /// Servers that are `here`: all but those above 5.
    fn like(&self, host: &Host, name: &str) -> Option<Host> {
        let here = |server: IpAddr| matches!(server, IpAddr::V4(ip) if ip.octets()[3] <= 5);
        self.host(self.hosts().like(host, name.as_bytes(), here))
    }
}

#[test]
fn a_host_is_both_addresses_transport_and_version() {
    let all: Vec<_> = (0..32)
        .map(|n| {
            host(
                1 + (n & 1),
                1 + ((n >> 1) & 1),
                (n >> 2) & 1 == 1,
                [1, 3, 4, 4][n as usize >> 3],
            )
        })
        .collect();
    let list = List::new(&all.iter().map(|host| (*host, "c")).collect::<Vec<_>>());
    for host in &all {
        assert_eq!(list.very(host), Some(*host));
        let alone = List::new(&[(*host, "c")]);
        for other in &all {
            let expected = (host == other).then_some(*host);
            assert_eq!(alone.very(other), expected, "{host:?} {other:?}");
        }
    }
    assert_eq!(List::new(&[]).very(&tcp(1, 1)), None);
}

#[test]
fn an_address_that_is_not_known_is_any() {
    let list = List::new(&[(tcp(1, 0), "c1"), (tcp(1, 1), "c1"), (tcp(2, 2), "c2")]);
    assert_eq!(list.very(&tcp(1, 1)), Some(tcp(1, 1)));
    assert_eq!(list.very(&tcp(1, 2)), Some(tcp(1, 0)));
    assert_eq!(list.very(&tcp(2, 1)), None);
    assert_eq!(list.very(&host(1, 2, true, 4)), None);
}

/// What may have become of what: (listed, who asks, its name, whether it is found).
#[test]
fn likeness() {
    let (here, gone, other) = (1, 9, 2);
    // Everything but the two addresses and the name has to be the same anyhow.
    let cases = [
        // (listed client, server; asking client, server, name) of a client named c1.
        ((1, here), (1, other, "c1"), false),
        ((1, gone), (1, other, "c1"), true),
        ((1, gone), (1, other, "another"), true),
        ((1, here), (7, here, "c1"), true),
        ((1, here), (7, here, "c10"), false),
        ((1, here), (7, here, "c"), false),
        ((1, here), (7, here, "C1"), false),
        ((1, here), (7, here, ""), false),
        ((1, here), (7, other, "c1"), false),
        ((1, gone), (7, other, "c1"), true),
        ((1, gone), (7, other, "another"), false),
        ((1, 0), (7, other, "c1"), true),
    ];
    for ((client, server), (asking, by, name), expected) in cases {
        for (udp, version) in [(false, 4), (true, 4), (false, 3), (true, 1)] {
            let listed = host(client, server, udp, version);
            let list = List::new(&[
                (listed, "c1"),
                // Others that are listed change nothing.
                (tcp(20, here), "c2"),
                (tcp(21, gone), "c3"),
            ]);
            for (other_udp, other_version) in [(false, 4), (true, 4), (false, 3), (true, 1)] {
                let asks = host(asking, by, other_udp, other_version);
                let same = (udp, version) == (other_udp, other_version);
                assert_eq!(
                    list.like(&asks, name),
                    (expected && same).then_some(listed),
                    "{listed:?} {asks:?} {name}"
                );
            }
        }
    }
}

#[test]
fn when_in_doubt_it_is_nobody() {
    let (here, gone) = (1, 9);
    // Two clients of one name.
    let two = List::new(&[(tcp(1, here), "c"), (tcp(2, here), "c")]);
    assert_eq!(two.like(&tcp(7, here), "c"), None);
    // One that has mounted by two addresses is one client, and each of its hosts is itself.
    let twice = List::new(&[(tcp(1, here), "c"), (tcp(1, 2), "c")]);
    assert_eq!(twice.like(&tcp(7, here), "c"), Some(tcp(1, here)));
    assert_eq!(twice.like(&tcp(7, 2), "c"), Some(tcp(1, 2)));
    assert_eq!(twice.like(&tcp(7, 3), "c"), None);
    // So is one that is known by two addresses, if it used them for different ones of the server.
    let homes = List::new(&[(tcp(1, here), "c"), (tcp(2, 2), "c")]);
    assert_eq!(homes.like(&tcp(7, 2), "c"), Some(tcp(2, 2)));
    // Two addresses of the server that have gone.
    let gone_twice = List::new(&[(tcp(1, gone), "c"), (tcp(1, 8), "c")]);
    assert_eq!(gone_twice.like(&tcp(1, here), "c"), None);
    assert_eq!(gone_twice.like(&tcp(7, here), "c"), None);
    // An address that is listed is not that of somebody else, whatever it calls itself.
    let listed = List::new(&[(tcp(1, here), "c"), (tcp(7, 2), "d")]);
    assert_eq!(listed.like(&tcp(7, here), "c"), None);
    // Two names of one host, such as of clients behind the same address.
    let shared = List::new(&[(tcp(1, here), "c"), (tcp(1, here), "d")]);
    for name in ["c", "d"] {
        let found = shared
            .hosts()
            .like(&tcp(7, here), name.as_bytes(), |_| true);
        assert_eq!(found, Some(0));
    }
}

#[test]
fn who_reclaims_is_believed_and_nobody_else_then() {
    let (first, second) = (tcp(7, 1), tcp(8, 1));
    let mut alias = Alias::default();
    // Not for something new; and whoever gives up what it asked for had nothing before.
    assert!(alias.admits(&first, Op::Release, 1));
    assert!(!alias.admits(&first, Op::New, 1));
    assert!(!alias.admits(&first, Op::Release, 1));
    assert!(!alias.admits(&first, Op::Release, 65));
    assert!(alias.admits(&first, Op::Release, 2));
    assert!(alias.admits(&first, Op::Reclaim, 1));
    assert_eq!(alias.known(), None);
    alias.bind(&first);
    alias.bind(&second);
    assert_eq!(alias.known(), Some(&first));
    for op in [Op::Reclaim, Op::New, Op::Release] {
        assert!(alias.admits(&first, op, 1));
        assert!(!alias.admits(&second, op, 3));
    }
}
