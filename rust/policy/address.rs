// SPDX-License-Identifier: GPL-2.0-only

//! Server addresses.

use core::net::{
    IpAddr,
    Ipv6Addr, //
};

/// Parses an address in presentation format, without scope.
pub fn parse(word: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = core::str::from_utf8(word).ok()?.parse().ok()?;
    (!address.is_unspecified() && !address.is_multicast()).then_some(canonical(address))
}

/// An IPv4 address that came in mapped to IPv6 is the IPv4 address.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// From the 16 bytes of a `struct in6_addr`.
pub fn from_v6(octets: [u8; 16]) -> IpAddr {
    canonical(IpAddr::V6(Ipv6Addr::from(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_both_families() {
        let cases: &[(&[u8], Option<&str>)] = &[
            (b"10.0.0.5", Some("10.0.0.5")),
            (b"fd00::1", Some("fd00::1")),
            (b"FD00:0:0::1", Some("fd00::1")),
            (b"::ffff:10.0.0.5", Some("10.0.0.5")),
            (b"0.0.0.0", None),
            (b"::", None),
            (b"224.0.0.1", None),
            (b"ff02::1", None),
            (b"10.0.0", None),
            (b"10.0.0.256", None),
            (b"fe80::1%eth0", None),
            (b"", None),
            (b"\xff", None),
        ];
        for (word, expected) in cases {
            assert_eq!(
                parse(word),
                expected.map(|name| name.parse().unwrap()),
                "{word:?}"
            );
        }
    }
}
