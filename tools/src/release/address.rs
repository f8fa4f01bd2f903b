// SPDX-License-Identifier: GPL-2.0-only

//! The address of a release, and the connections to it.

use super::Release;
use crate::config::Service;
use crate::connections::{
    kernel::believed,
    stored,
    text,
    Connection,
    MAX, //
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
use std::path::Path;

impl Release<'_> {
    /// Takes the address down.
    pub(super) fn address(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let what = format!("{ip} down");
        let addresses = interface::of(ip)?;
        if addresses.is_empty() {
            return taken(what, Outcome::Already, "");
        }
        if !self.address {
            if !self.dry_run {
                // Better than what may be some seconds old.
                self.found.believed = Some(self.believed());
            }
            return taken(what, Outcome::Skipped, "left to the cluster manager, it is still up: the manifest is safe, but may list locks that are given up from now on");
        }
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        // Who is told now connects again at once, to this node, and hears nothing more of anybody. Who is
        // told when the address is up again finds the next node. So it is left to that one to tell them.
        let believed = match self.mounted_behind() {
            Some(_) => self.believed(),
            None => {
                self.end_connections()?;
                Err("no filesystem of it is mounted here".into())
            }
        };
        self.found.believed = Some(believed);
        let mut said = Vec::new();
        for address in addresses {
            // Before: what follows may fail when it is down.
            self.found.downed.push(address.clone());
            said.extend(Some(interface::take_down(self.host, &address)?).filter(|s| !s.is_empty()));
        }
        // What is left of them here is in the way when the address comes back.
        said.extend(self.end_connections().err().map(|error| error.to_string()));
        taken(what, Outcome::Done, said.join("; "))
    }

    /// In which connections to the address clients believe.
    fn believed(&self) -> std::result::Result<BTreeSet<Connection>, String> {
        believed(self.host, self.service.ip).map_err(|error| error.to_string())
    }

    fn end_connections(&self) -> Result<()> {
        let source = match self.service.ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        program::run("ss", &["-K", "-t", "src", &source]).map(drop)
    }

    /// Leaves it to the next node to end the connections in which clients believe: they hear nothing from
    /// this one any more.
    ///
    /// Not before NFSv4 clients are expired. A name is made for that, which waits for a client that has
    /// the directory delegated until its lease is over, as the client cannot be reached any more.
    pub(super) fn connections(&mut self) -> Result<Taken> {
        let what = format!(
            "those to {} are left to the next node to end",
            self.service.ip
        );
        match &self.found.believed {
            None if self.dry_run && !interface::of(self.service.ip)?.is_empty() => {
                taken(what, Outcome::Would, "")
            }
            None => taken(what, Outcome::Skipped, "it was not up here"),
            Some(Ok(all)) if all.is_empty() => taken(what, Outcome::Already, "there are none"),
            Some(all) => match all.clone().and_then(|all| self.leave(&all)) {
                Ok(count) if count > MAX => taken(what, Outcome::Done, format!("{MAX} of {count}")),
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

    /// A filesystem behind the address, where the next node looks for the list.
    fn mounted_behind(&self) -> Option<&Service> {
        let mut its = self.moved.iter().filter(|it| it.ip == self.service.ip);
        its.find(|it| self.host.is_mounted(&it.path).unwrap_or(false))
    }

    fn leave(&self, all: &BTreeSet<Connection>) -> std::result::Result<usize, String> {
        let Some(service) = self.mounted_behind() else {
            return Err("no filesystem of it is mounted here".into());
        };
        if let Some(client) = self.unreached(&service.path) {
            return Err(format!("NFSv4 client {client} may have the place of the list delegated, and cannot be reached any more"));
        }
        stored::leave(service, &text(all)).map_err(|error| error.to_string())?;
        Ok(all.len())
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
