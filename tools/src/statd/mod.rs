// SPDX-License-Identifier: GPL-2.0-only

//! rpc.statd on this node: what it has on record under a floating IP.

mod call;
pub mod list;

use crate::error::Result;
use crate::host::Host;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

pub(crate) use call::exchange;

/// How long statd may take while clients wait. It has one thread, runs our program for each client
/// that it forgets, and may wait for a name server.
pub const BRIEFLY: Duration = Duration::from_secs(5);

/// How long it may take while nobody waits.
pub const AT_LEISURE: Duration = Duration::from_secs(20);

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
/// not be recorded again, unless lockd has forgotten it meanwhile and calls it by another cookie.
pub fn forget(host: &Host, statd_dir: &Path, ip: IpAddr, patience: Duration) -> Result<Forgotten> {
    let pairs = list::pairs(&statd_dir.join("sm"), ip)?;
    let running = pairs.is_empty() || call::unmonitor(host.rpcbind_port, &pairs, patience)?;
    if !running {
        list::remove(&statd_dir.join("sm"), &[ip])?;
    }
    Ok(Forgotten {
        pairs: pairs.len(),
        running,
    })
}
