// SPDX-License-Identifier: GPL-2.0-only

//! A segment that makes the other end of a connection say where it is: a SYN is answered with an ACK
//! whose numbers are right, whatever its own are (RFC 9293, 3.10.7.4), and what knows no such
//! connection answers that with RST.
//!
//! Other than the "tickle ACK" of clusters it has SYN and ACK, for the sake of firewalls that track
//! connections. That of this node would take a lone ACK for a connection that it begins, the RST for
//! its end, and the client's SYN from the same port for nonsense; nothing begins with SYN and ACK. That
//! of a client drops an ACK with wrong numbers, but lets through what may be a late answer to a SYN.

use crate::checksum::checksum;
use std::net::{
    IpAddr,
    SocketAddr, //
};

const TCP: u8 = 6;
const HOPS: u8 = 64;
/// Bytes of a TCP header without options.
const HEADER: u8 = 20;
const SYN_ACK: u8 = 0x12;
/// Any: nobody sends by it.
const WINDOW: u16 = 1024;

/// The whole packet, from one end of a connection to the other. [`None`] if these are of different
/// families.
pub fn syn_ack(
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    acknowledged: u32,
) -> Option<Vec<u8>> {
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
        &[(HEADER / 4) << 4, SYN_ACK],
        &WINDOW.to_be_bytes(),
        &[0; 4],
    ]
    .concat();
    let pseudo = [&packet[addresses..], &[0, TCP, 0, HEADER], &segment].concat();
    segment[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());
    packet.extend(segment);
    Some(packet)
}
