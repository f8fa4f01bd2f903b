// SPDX-License-Identifier: GPL-2.0-only

//! The address of a release, and the connections to it.

use super::Release;
use crate::config::Service;
use crate::connections::{
    kernel::{
        believed,
        connections, //
    },
    stored,
    text,
    Connection, //
};
use crate::error::Result;
use crate::host::Host;
use crate::interface;
use crate::program;
use crate::steps::{
    taken,
    Outcome,
    Taken, //
};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

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
        let made = before.and_then(|before| Made::look(self.host, ip, before));
        self.found.made = Some(made.map_err(|error| error.to_string()));
        taken(what, Outcome::Done, said.join("; "))
    }

    /// Leaves it to the next node to end connections that were made while the address was taken down: their
    /// clients would hear nothing from this node any more, nor from the next.
    ///
    /// Not before NFSv4 clients are expired. A name is made for that, which waits for a client that has
    /// the directory delegated until its lease is over, as the client cannot be reached any more.
    pub(super) fn connections(&mut self) -> Result<Taken> {
        let what = format!(
            "those made while {} went down are left to the next node to end",
            self.service.ip
        );
        match &self.found.made {
            None if self.dry_run && self.address && !interface::of(self.service.ip)?.is_empty() => {
                taken(what, Outcome::Would, "")
            }
            None => taken(what, Outcome::Skipped, "it does not go down by this"),
            Some(Ok(made)) if made.count == 0 => taken(what, Outcome::Already, "there are none"),
            Some(made) => match made.clone().and_then(|made| self.leave(&made)) {
                Ok(count) => taken(what, Outcome::Done, count.to_string()),
                // It costs nothing else.
                Err(why) => taken(
                    what,
                    Outcome::Skipped,
                    format!("{why}; clients may take some 15 s longer to notice"),
                ),
            },
        }
    }

    fn leave(&self, made: &Made) -> std::result::Result<usize, String> {
        // On one of those behind the address, where the next node looks for it.
        let mut its = self.moved.iter().filter(|it| it.ip == self.service.ip);
        let is_mounted = |it: &&Service| self.host.is_mounted(&it.path).unwrap_or(false);
        let Some(service) = its.find(is_mounted) else {
            return Err("no filesystem of it is mounted here".into());
        };
        if let Some(client) = self.unreached(&service.path) {
            return Err(format!("NFSv4 client {client} may have the place of the list delegated, and cannot be reached any more"));
        }
        stored::leave(service, &made.text).map_err(|error| error.to_string())?;
        Ok(made.count)
    }

    /// A client that may have a delegation there still, and does not answer when that is recalled: it was
    /// left alone, or could not be expired.
    fn unreached(&self, path: &Path) -> Option<String> {
        let went: Vec<_> = self.moved.iter().map(|moved| moved.ip).collect();
        let moved = self.devices();
        let clients = self.clients(path).into_iter();
        let mut left = clients.filter(|client| {
            client.may_delay() && (client.is_of_any(&went) || client.loses(&moved).is_some())
        });
        left.next().map(|client| client.name)
    }
}

/// Connections of clients that were made while an address was taken down.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// How many.
    count: usize,
    /// The list of all, for the next node.
    text: String,
}

impl Made {
    /// Looks at what the kernel has when the address is down, and adds what it had before.
    fn look(host: &Host, ip: IpAddr, before: BTreeSet<Connection>) -> Result<Self> {
        let later = believed(host, ip)?;
        // Nobody has ended these.
        let all = later.iter().chain(before.difference(&later));
        Ok(Self {
            count: later.len(),
            text: text(all),
        })
    }
}
