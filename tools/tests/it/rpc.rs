// SPDX-License-Identifier: GPL-2.0-only

use nfs_failoverctl::nsm::{
    self,
    Transport, //
};
use nfs_failoverctl::rpc::{
    Decoder,
    Malformed,
    Refusal,
    Reply, //
};
use std::net::IpAddr;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}

fn ip(word: &str) -> IpAddr {
    word.parse().unwrap()
}

const HEAD: &str = "12345678 00000000 00000002";
const NO_AUTH: &str = "00000000 00000000 00000000 00000000";

#[test]
fn calls_are_as_in_the_protocol() {
    let cases = [
        (
            nsm::getport(0x12345678, ip("10.0.0.1"), Transport::Udp),
            // rpcbind 100000, version 2, GETPORT; 100024, 1, UDP, 0
            format!("{HEAD} 000186a0 00000002 00000003 {NO_AUTH} 000186b8 00000001 00000011 00000000"),
        ),
        (
            nsm::getport(0x12345678, ip("fd00::1"), Transport::Udp),
            // version 3, GETADDR; 100024, 1, "udp6", "", ""
            format!("{HEAD} 000186a0 00000003 00000003 {NO_AUTH} 000186b8 00000001 00000004 75647036 00000000 00000000"),
        ),
        (
            nsm::getport(0x12345678, ip("10.0.0.1"), Transport::Tcp),
            format!("{HEAD} 000186a0 00000002 00000003 {NO_AUTH} 000186b8 00000001 00000006 00000000"),
        ),
        (
            nsm::getport(0x12345678, ip("fd00::1"), Transport::Tcp),
            format!("{HEAD} 000186a0 00000003 00000003 {NO_AUTH} 000186b8 00000001 00000004 74637036 00000000 00000000"),
        ),
        (
            nsm::notify(0x12345678, "10.0.0.5", -2),
            format!("{HEAD} 000186b8 00000001 00000006 {NO_AUTH} 00000008 31302e30 2e302e35 fffffffe"),
        ),
        (
            nsm::notify(0x12345678, "a.b.c", 5),
            format!("{HEAD} 000186b8 00000001 00000006 {NO_AUTH} 00000005 612e622e 63000000 00000005"),
        ),
        (
            nsm::unmonitor(0x12345678, "c1", "fd00::5"),
            format!("{HEAD} 000186b8 00000001 00000003 {NO_AUTH} 00000002 63310000 00000007 66643030 3a3a3500 000186b5 00000003 00000010"),
        ),
    ];
    for (call, expected) in cases {
        assert_eq!(call, bytes(&expected));
    }
}

#[test]
fn replies_are_understood() {
    let accepted = "12345678 00000001 00000000 00000000 00000000";
    let with = |rest: &str| bytes(&format!("{accepted} {rest}"));
    let port = with("00000000 00000801");
    let reply = Reply::parse(&port).unwrap();
    assert_eq!(reply.xid, 0x12345678);
    assert_eq!(nsm::port(reply.results.unwrap(), ip("10.0.0.1")), Ok(0x801));
    for (status, refusal) in [
        (1, Refusal::Status(1)),
        (2, Refusal::Status(2)),
        (5, Refusal::Status(5)),
    ] {
        let denied = with(&format!("{status:08x} 00000001 00000001"));
        assert_eq!(Reply::parse(&denied).unwrap().results.err(), Some(refusal));
    }
    let denied = bytes("12345678 00000001 00000001 00000000 00000002 00000002");
    assert_eq!(
        Reply::parse(&denied).unwrap().results.err(),
        Some(Refusal::Denied)
    );
    // A verifier is skipped.
    let verified = bytes("12345678 00000001 00000000 00000006 00000003 aabbcc00 00000000 00000007");
    let reply = Reply::parse(&verified).unwrap();
    assert_eq!(reply.results.unwrap().u32(), Ok(7));
}

#[test]
fn garbage_is_no_reply() {
    let whole = bytes("12345678 00000001 00000000 00000006 00000003 aabbcc00 00000000 00000007");
    for length in 0..28 {
        assert_eq!(
            Reply::parse(&whole[..length]).err(),
            Some(Malformed),
            "{length} bytes"
        );
    }
    for garbage in [
        // A call; neither accepted nor denied; verifiers that are too long.
        "12345678 00000000 00000002 000186a0 00000002 00000003",
        "12345678 00000001 00000007 00000000 00000000 00000000",
        "12345678 00000001 00000000 00000000 ffffffff 00000000",
        "12345678 00000001 00000000 00000000 00000191 00000000",
    ] {
        assert!(Reply::parse(&bytes(garbage)).is_err(), "{garbage}");
    }
}

#[test]
fn universal_addresses() {
    let port = |text: &str| {
        let mut data = (text.len() as u32).to_be_bytes().to_vec();
        data.extend(text.as_bytes());
        data.resize(data.len().next_multiple_of(4), 0);
        nsm::port(Decoder::new(&data), ip("fd00::1"))
    };
    assert_eq!(port("::.3.18"), Ok(3 * 256 + 18));
    assert_eq!(port("fd00::1.255.255"), Ok(65535));
    assert_eq!(port(""), Ok(0));
    for bad in [".", "1", "::.256.1", "::.1.", "::.-1.2", "a.b.c"] {
        assert_eq!(port(bad), Err(Malformed), "{bad}");
    }
    assert_eq!(
        nsm::port(Decoder::new(&[0, 1, 0, 0]), ip("10.0.0.1")),
        Err(Malformed)
    );
    assert_eq!(Decoder::new(&[0xff; 8]).opaque(usize::MAX), Err(Malformed));
    assert_eq!(
        Decoder::new(b"\0\0\0\x02\xff\xff\0\0").string(9),
        Err(Malformed)
    );
}
