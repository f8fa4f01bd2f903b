// SPDX-License-Identifier: GPL-2.0-only

//! A segment that makes the other end of a connection say where it is (a "tickle ACK", as clusters
//! call it): an ACK whose numbers are wrong is answered with one whose numbers are right (RFC 9293,
//! 3.10.7.4), and what knows no such connection answers that with RST.

use crate::checksum::checksum;
use std::net::{
    IpAddr,
    SocketAddr, //
};

const TCP: u8 = 6;
const HOPS: u8 = 64;
/// Bytes of a TCP header without options.
const HEADER: u8 = 20;
const ACK: u8 = 0x10;
/// Any: nobody sends by it.
const WINDOW: u16 = 1024;

/// The whole packet, from one end of a connection to the other. [`None`] if these are of different
/// families.
pub fn ack(from: SocketAddr, to: SocketAddr, sequence: u32, acknowledged: u32) -> Option<Vec<u8>> {
    let mut packet = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => [
            // Version and words of the header, no service; length, number, "do not fragment"; the
            // kernel puts in its own checksum.
            &[0x45, 0, 0, 20 + HEADER, 0, 0, 0x40, 0, HOPS, TCP, 0, 0][..],
            &from.octets(),
            &to.octets(),
        ]
        .concat(),
        (IpAddr::V6(from), IpAddr::V6(to)) => [
            &[0x60, 0, 0, 0, 0, HEADER, TCP, HOPS][..],
            &from.octets(),
            &to.octets(),
        ]
        .concat(),
        _ => return None,
    };
    let addresses = if from.is_ipv4() { 12 } else { 8 };
    let mut segment = [
        &from.port().to_be_bytes()[..],
        &to.port().to_be_bytes(),
        &sequence.to_be_bytes(),
        &acknowledged.to_be_bytes(),
        &[(HEADER / 4) << 4, ACK],
        &WINDOW.to_be_bytes(),
        &[0; 4],
    ]
    .concat();
    let pseudo = [&packet[addresses..], &[0, TCP, 0, HEADER], &segment].concat();
    segment[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());
    packet.extend(segment);
    Some(packet)
}
