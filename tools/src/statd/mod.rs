// SPDX-License-Identifier: GPL-2.0-only

//! rpc.statd on this node: what it has on record under a floating IP.

mod call;
pub mod list;

use crate::error::Result;
use std::net::IpAddr;
use std::path::Path;

/// What became of the pairs that statd knew.
#[derive(Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// How many there were.
    pub pairs: usize,
    /// Whether statd was asked, or, as it is not running, its list was edited.
    pub running: bool,
}

/// Makes statd forget whom it monitors under the name `ip`.
///
/// statd does not call out for what it knows already: a client that comes back to this node would
/// not be recorded again.
pub fn forget(statd_dir: &Path, ip: IpAddr) -> Result<Forgotten> {
    let pairs = list::pairs(&statd_dir.join("sm"), ip)?;
    let running = pairs.is_empty() || call::unmonitor(&pairs)?;
    if !running {
        list::remove(&statd_dir.join("sm"), &[ip])?;
    }
    Ok(Forgotten {
        pairs: pairs.len(),
        running,
    })
}
