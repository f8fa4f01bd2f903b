// SPDX-License-Identifier: GPL-2.0-only

//! Whom the next node has to wait for if NFSv4 clients had something on the filesystem.

use super::Release;
use crate::awaited::{
    self,
    Awaited, //
};
use crate::error::{
    text,
    Error,
    Result, //
};
use crate::inuse::nfs4::Client;
use crate::key::Key;
use crate::manifest::Stored;

impl Release<'_> {
    /// Removes a list of clients, if there is one.
    pub(super) fn remove_clients(&self) -> Result<bool> {
        let stored = awaited::stored(&self.service, &self.manifest)?;
        stored.remove().map_err(|error| {
            Error::new(format!(
                "cannot remove {}.nfs4, which does not name all NFSv4 clients: {}; REMOVE IT before the next node takes over",
                self.manifest.display(),
                text(&error)
            ))
        })
    }

    /// Adds what clients of addresses that went down had then, and have given up behind the fence.
    fn with_holders(&self, clients: &[Client]) -> Vec<Client> {
        let mut clients = clients.to_vec();
        let moved = self.moved.iter();
        let here = moved.filter(|other| other.path == self.service.path);
        let went: Vec<_> = here.map(|other| other.ip).collect();
        for before in &self.found.holders {
            match clients.iter_mut().find(|client| client.is(before)) {
                Some(client) => client.had(before),
                None if before.is_of_any(&went) => clients.push(before.clone()),
                None => {}
            }
        }
        clients
    }

    /// Writes down those who lost by the release what they had, and what clients of NLM had, if they had
    /// anything; that is all that there was. Among them is who has not been heard of for a while, as it may
    /// come back.
    pub(super) fn leave_clients(&mut self, clients: &[Client]) -> Result<String> {
        let clients = self.with_holders(clients);
        let addresses = self.addresses();
        for client in &clients {
            if let Some(why) = awaited::unknown(client, &addresses) {
                return Ok(format!(
                    "; {} {why}, so takeover waits its time",
                    client.name
                ));
            }
        }
        // After they are gone: who has got something meanwhile is not among them.
        let said = self
            .nfsd()
            .converse("nfs4_clients", &self.fsid()?.to_string())?;
        let Some(list) = Awaited::new(&said, &clients) else {
            return Ok(String::new());
        };
        let Some(text) = list.text() else {
            return Ok(String::new());
        };
        let key = Key::load(&self.config.key_file)?;
        let stored = awaited::stored(&self.service, &self.manifest)?;
        stored.write(text.into_bytes(), key.as_ref())?;
        let others = match list.nlm {
            true => self.leave_beside()?,
            false => String::new(),
        };
        self.found.clients_listed = true;
        Ok(format!("; {}{others}", list.says()))
    }

    /// Leaves the manifest that belongs to the list, or neither.
    fn leave_beside(&self) -> Result<String> {
        let stored = Stored::new(&self.service, &self.manifest)?;
        match self.write_manifest(&stored) {
            Ok(said) => Ok(format!("; of NLM clients {said}")),
            Err(error) => {
                self.remove_clients()?;
                Err(error)
            }
        }
    }
}
