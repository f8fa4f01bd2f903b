// SPDX-License-Identifier: GPL-2.0-only

//! Clients, as lockd tells them apart.

use core::{
    fmt,
    net::IpAddr, //
};

/// How requests came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transport {
    /// By UDP, not TCP.
    pub udp: bool,
    /// Version of NLM.
    pub version: u8,
}

impl Transport {
    /// What nearly all use: TCP and version 4.
    pub const USUAL: Self = Self {
        udp: false,
        version: 4,
    };
}

/// The words that end the line of a holder: nothing for what is usual.
impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.udp {
            f.write_str(" proto=udp")?;
        }
        if self.version != Self::USUAL.version {
            write!(f, " vers={}", self.version)?;
        }
        Ok(())
    }
}

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// Address of the client.
    pub client: IpAddr,
    /// How it asks.
    pub transport: Transport,
    /// Address of the server that it uses, [`None`] if that is not known.
    pub server: Option<IpAddr>,
}
