// SPDX-License-Identifier: GPL-2.0-only

//! The clients of a floating IP that are on record on any of the filesystems behind it.
//!
//! Each of these has a record of all of them: a client that has come by the address may have locks on
//! each, and is told of all at once. One that was removed from one filesystem is still on the others.

use crate::config::Service;
use crate::error::Result;
use crate::host::Host;
use crate::statedir::StateDir;
use std::collections::BTreeSet;

/// Who is on record.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Union {
    /// The clients, in order.
    pub names: Vec<String>,
    /// What cannot be a record, or cannot be read, and why not.
    pub garbage: Vec<String>,
    /// Of each filesystem, who is on record there.
    there: Vec<BTreeSet<String>>,
}

impl Union {
    /// Reads the records of services with one address. If one of several filesystems cannot be read,
    /// whoever is on record on the others has to be told all the same.
    pub fn read(host: &Host, services: &[Service]) -> Result<Self> {
        let mut found = Self::default();
        let (mut failed, mut read) = (None, false);
        for service in services {
            let state = StateDir::of(service).if_mounted(host);
            match state.clients() {
                Ok(clients) => {
                    read = true;
                    found.garbage.extend(clients.garbage);
                    found.there.push(clients.names.into_iter().collect());
                }
                Err(error) => {
                    found.garbage.push(error.to_string());
                    found.there.push(BTreeSet::new());
                    failed = failed.or(Some(error));
                }
            }
        }
        if let (Some(error), false) = (failed, read) {
            return Err(error);
        }
        let names: BTreeSet<&String> = found.there.iter().flatten().collect();
        found.names = names.into_iter().cloned().collect();
        Ok(found)
    }

    /// Records everybody on each of the same services. Returns what has failed.
    pub fn complete(&self, host: &Host, services: &[Service]) -> Vec<String> {
        let mut trouble = Vec::new();
        for (service, there) in services.iter().zip(&self.there) {
            let state = StateDir::of(service).if_mounted(host);
            let mut missing = self.names.iter().filter(|name| !there.contains(*name));
            let failed = missing.find_map(|name| state.record(name).err());
            trouble.extend(failed.map(|error| error.to_string()));
        }
        trouble
    }
}
