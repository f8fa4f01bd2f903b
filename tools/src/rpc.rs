// SPDX-License-Identifier: GPL-2.0-only

//! As much of ONC RPC (RFC 5531) and XDR (RFC 4506) as NSM needs: calls without credentials, each
//! in a datagram of its own.

use std::fmt;

const CALL: u32 = 0;
const REPLY: u32 = 1;
const RPC_VERSION: u32 = 2;
const AUTH_NULL: u32 = 0;
/// Longest body of credentials or verifiers.
const MAX_AUTH: usize = 400;

/// Writes XDR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// Begins a call.
    pub fn call(xid: u32, program: u32, version: u32, procedure: u32) -> Self {
        let mut call = Self::default();
        for word in [xid, CALL, RPC_VERSION, program, version, procedure] {
            call = call.u32(word);
        }
        // Credentials and verifier.
        call.u32(AUTH_NULL).u32(0).u32(AUTH_NULL).u32(0)
    }

    /// Appends an unsigned integer.
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Appends a signed integer.
    pub fn i32(self, value: i32) -> Self {
        self.u32(value as u32)
    }

    /// Appends a string.
    pub fn string(self, value: &str) -> Self {
        let mut grown = self.u32(value.len() as u32);
        grown.0.extend(value.as_bytes());
        grown.0.resize(grown.0.len().next_multiple_of(4), 0);
        grown
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads XDR.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    /// Reads from the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Reads an unsigned integer.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        let (word, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*word))
    }

    /// Reads opaque data of at most `limit` bytes.
    pub fn opaque(&mut self, limit: usize) -> Result<&'a [u8], Malformed> {
        let length = self.u32()? as usize;
        if length > limit || length.next_multiple_of(4) > self.0.len() {
            return Err(Malformed);
        }
        let (padded, rest) = self.0.split_at(length.next_multiple_of(4));
        self.0 = rest;
        Ok(&padded[..length])
    }

    /// Reads a string of at most `limit` bytes.
    pub fn string(&mut self, limit: usize) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.opaque(limit)?).map_err(|_| Malformed)
    }
}

/// Why a server did not carry a call out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `MSG_DENIED`: it does not like the version of RPC or our credentials.
    Denied,
    /// `accept_stat` other than `SUCCESS`.
    Status(u32),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("RPC: call denied"),
            Self::Status(1) => f.write_str("RPC: program unavailable"),
            Self::Status(2) => f.write_str("RPC: program version mismatch"),
            Self::Status(3) => f.write_str("RPC: procedure unavailable"),
            Self::Status(4) => f.write_str("RPC: arguments not understood"),
            Self::Status(status) => write!(f, "RPC: error {status}"),
        }
    }
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Which call it answers.
    pub xid: u32,
    /// The results.
    pub results: Result<Decoder<'a>, Refusal>,
}

impl<'a> Reply<'a> {
    /// Reads a datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let mut from = Decoder::new(datagram);
        let xid = from.u32()?;
        if from.u32()? != REPLY {
            return Err(Malformed);
        }
        let results = match from.u32()? {
            0 => {
                from.u32()?;
                from.opaque(MAX_AUTH)?;
                match from.u32()? {
                    0 => Ok(from),
                    status => Err(Refusal::Status(status)),
                }
            }
            1 => Err(Refusal::Denied),
            _ => return Err(Malformed),
        };
        Ok(Self { xid, results })
    }
}
