// SPDX-License-Identifier: GPL-2.0-only

//! The list of connections on the filesystem that moves, `<state_dir>/<ip>/connections`, and that of
//! the node before, `connections.before`.

use super::{
    kernel,
    text, //
};
use crate::apart;
use crate::beneath::doubt;
use crate::config::Service;
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::Host;
use crate::statedir::StateDir;
use std::io;

const NAME: &str = "connections";

/// Where a takeover puts what it finds.
const BEFORE: &str = "connections.before";

/// [`MAX`](super::MAX) lines of two addresses, one of them of IPv6.
const MAX_SIZE: u64 = super::MAX as u64 * 64;

/// What was listed: the text, how many connections it has, and how many did not fit.
pub struct Listed {
    text: String,
    /// How many there are.
    pub count: usize,
    /// How many of these are not on the list.
    left_out: usize,
}

impl Listed {
    /// Lists what the kernel has now.
    pub fn now(host: &Host, service: &Service, ports: &[u16]) -> Result<Self> {
        let connections = kernel::connections(host, service.ip, ports)?;
        let (text, left_out) = text(&connections);
        Ok(Self {
            text,
            count: connections.len(),
            left_out,
        })
    }

    /// What there is to say of it.
    pub fn trouble(&self) -> Option<String> {
        (self.left_out > 0).then(|| {
            format!(
                "{} of {} connections are not listed: {} is the most",
                self.left_out,
                self.count,
                super::MAX
            )
        })
    }

    /// Whether it is there already.
    pub fn is_kept(&self, host: &Host, service: &Service) -> bool {
        match read(host, service) {
            Ok(None) => self.count == 0,
            Ok(Some(there)) => there == self.text.as_bytes(),
            // Something else is in its place.
            Err(_) => false,
        }
    }

    /// Keeps it, however long that takes.
    pub fn keep(&self, host: &Host, service: &Service) -> Result<()> {
        let state = StateDir::of(service).if_mounted(host);
        state
            .open()
            .and_then(|dir| dir.write(NAME, self.text.as_bytes(), 0o600, None))
            .context(|| format!("cannot write {}/{NAME}", state.path().display()))
    }

    /// Keeps it, or fails after some seconds. Returns whether it was not there already.
    pub fn keep_soon(&self, service: &Service) -> Result<bool> {
        let file = StateDir::of(service).path().join(NAME);
        apart::keep(service, &file, self.text.as_bytes())
    }
}

/// Makes place for a list of this node. Who tells the clients may come long after the address, when
/// that was written. If the node before has left none, what was put aside earlier stays: it did not
/// serve for long.
pub fn put_aside(host: &Host, service: &Service) -> Result<()> {
    let state = StateDir::of(service).if_mounted(host);
    match state.open().and_then(|dir| dir.replace(NAME, BEFORE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.context(|| {
            let dir = state.path().display();
            format!("cannot rename {NAME} in {dir} to {BEFORE}, it is overwritten soon")
        }),
    }
}

/// What is there, if it can be ours.
pub fn read(host: &Host, service: &Service) -> Result<Option<Vec<u8>>> {
    read_one(host, service, NAME)
}

/// All that is there: that of the node before, and what may be that of the node before or of this one.
pub fn read_all(host: &Host, service: &Service) -> [Result<Option<Vec<u8>>>; 2] {
    [BEFORE, NAME].map(|name| read_one(host, service, name))
}

fn read_one(host: &Host, service: &Service, name: &str) -> Result<Option<Vec<u8>>> {
    let state = StateDir::of(service).if_mounted(host);
    let shown = || format!("{}/{name}", state.path().display());
    let read = state.open().and_then(|dir| {
        let content = dir.read(name, MAX_SIZE)?;
        Ok((dir.metadata()?, content))
    });
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(|| format!("cannot read {}", shown())),
        Ok((dir, content)) => match doubt(&dir, &content.metadata) {
            None => Ok(Some(content.bytes)),
            Some(doubt) => Err(Error::new(format!("{} is not believed: {doubt}", shown()))),
        },
    }
}
