// SPDX-License-Identifier: GPL-2.0-only

//! The Internet checksum (RFC 1071).

/// Of what is to be sent: where the sum belongs there are zeros.
pub fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])))
        .sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded + (folded >> 16)) as u16)
}
