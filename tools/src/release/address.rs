// SPDX-License-Identifier: GPL-2.0-only

//! The address of a release, and the connections to it.

use super::Release;
use crate::connections::{
    kernel::connections,
    stored,
    text,
    Connection, //
};
use crate::error::Result;
use crate::interface;
use crate::program;
use crate::steps::{
    taken,
    Outcome,
    Taken, //
};
use std::collections::BTreeSet;
use std::net::IpAddr;

impl Release<'_> {
    /// Ends connections and takes the address down.
    pub(super) fn address(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let what = format!("{ip} down");
        let addresses = interface::of(ip)?;
        if addresses.is_empty() {
            return taken(what, Outcome::Already, "");
        }
        if !self.address {
            return taken(what, Outcome::Skipped, "left to the cluster manager, it is still up: the manifest is safe, but may list locks that are given up from now on");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        let source = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let before = connections(self.host, ip);
        // A client answers that it was granted a lock over a connection that it believes in, and
        // does not repeat that. Without this it believes in those to this node.
        program::run("ss", &["-K", "-t", "src", &source])?;
        let mut said = Vec::new();
        for address in addresses {
            // Before: what follows may fail when it is down.
            self.found.downed.push(address.clone());
            said.extend(Some(interface::take_down(self.host, &address)?).filter(|s| !s.is_empty()));
        }
        // Who has connected again meanwhile would hear nothing from this node any more, nor from the next.
        let left = before.and_then(|before| self.leave_connections(before));
        said.extend(left.unwrap_or_else(|error| {
            Some(format!(
                "{error}; clients may take some 15 s longer to notice"
            ))
        }));
        taken(what, Outcome::Done, said.join("; "))
    }

    /// Leaves it to the next node to end connections that were made while the address was taken down.
    fn leave_connections(&self, before: BTreeSet<Connection>) -> Result<Option<String>> {
        let later = connections(self.host, self.service.ip)?;
        if later.is_empty() || !self.found.mounted {
            return Ok(None);
        }
        let all = before.union(&later).copied().collect();
        stored::leave(&self.service, &text(&all))?;
        Ok(Some(format!(
            "{} connections were made meanwhile, and are left to the next node to end",
            later.len()
        )))
    }
}
