// SPDX-License-Identifier: GPL-2.0-only

//! The file in which a manifest goes from one node to the next.
//!
//! It lies where clients can write. A list that a client has made up or cut would make the kernel
//! keep locks for nobody, or give one away that somebody has. So it has to be root's, in a
//! directory of root's, and to bear the nodes' signature if they have a key: of a client that is
//! root there, the signature is all that tells.

use crate::apart;
use crate::beneath::{
    doubt,
    Dir, //
};
use crate::config::Service;
use crate::error::{
    text,
    Context,
    Error,
    Result, //
};
use crate::key::{
    self,
    Key, //
};
use crate::place::Place;
use crate::policy::fsid::Fsid;
use crate::policy::manifest::text::{
    Buffers,
    Header,
    Line, //
};
use crate::policy::state::Tally;
use nix::unistd::{
    getegid,
    geteuid, //
};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::Duration;

/// The kernel lists 262144 locks, each in 200 bytes or so; names can be longer.
const MAX_SIZE: u64 = 256 << 20;

/// A lock takes 200 bytes or so: this is enough for 20000.
const MIN_RESERVE: u64 = 4 << 20;

/// Where a manifest is kept.
pub struct Stored {
    place: Place,
    name: String,
    service: Service,
}

/// What is there.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// The manifest that the last node left.
    Manifest(Vec<u8>),
    /// Something that cannot be believed, and why.
    Other(String),
}

impl Stored {
    /// The manifest of a service in a file.
    pub fn new(service: &Service, path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).context(|| format!("{}", path.display()))?;
        match (
            path.parent(),
            path.file_name().and_then(|name| name.to_str()),
        ) {
            (Some(dir), Some(name)) => Ok(Self {
                place: Place::new(service, dir),
                name: name.into(),
                service: service.clone(),
            }),
            _ => Err(Error::new(format!(
                "{} cannot be a manifest: name a file",
                path.display()
            ))),
        }
    }

    /// Looks what is there.
    pub fn read(&self, key: Option<&Key>) -> Found {
        let read = self.place.open().and_then(|dir| {
            let content = dir.read(&self.name, MAX_SIZE)?;
            Ok((dir.metadata()?, content))
        });
        let (dir, content) = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
            Err(error) => return Found::Other(text(&error)),
            Ok(read) => read,
        };
        if let Some(doubt) = doubt(&dir, &content.metadata) {
            return Found::Other(doubt);
        }
        self.verify(content.bytes, key)
            .unwrap_or_else(|why| Found::Other(why.into()))
    }

    fn verify(
        &self,
        bytes: Vec<u8>,
        key: Option<&Key>,
    ) -> std::result::Result<Found, &'static str> {
        let text = match (key::split(&bytes), key) {
            (None, None) => &bytes[..],
            (Some((text, signature)), Some(key)) if key.fits(text, &signature) => text,
            (Some(_), Some(_)) => {
                return Err("its signature is wrong: the other node has another key, or somebody has written it who has none")
            }
            (None, Some(_)) => {
                return Err("it is not signed: the other node has no key, or somebody has written it who has none")
            }
            (Some(_), None) => return Err("it is signed, and this node has no key"),
        };
        match self.service.fsid {
            Some(fsid) if fsid_of(text).is_some_and(|of| of != fsid) => {
                Err("it is of another filesystem")
            }
            _ => Ok(Found::Manifest(text.into())),
        }
    }

    /// Removes what is there durably. Returns whether there was anything.
    pub fn remove(&self) -> io::Result<bool> {
        match self.place.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            dir => dir?.remove(&self.name),
        }
    }

    /// Writes a manifest, or fails after some seconds.
    pub fn write(&self, text: Vec<u8>, key: Option<&Key>) -> Result<()> {
        let text = Self::signed(text, key)?;
        self.dir()
            .context(|| format!("cannot write {}", self.path().display()))?;
        apart::write(&self.service, &self.path(), &text)
    }

    /// A manifest as it is written.
    pub fn signed(mut text: Vec<u8>, key: Option<&Key>) -> Result<Vec<u8>> {
        if let Some(key) = key {
            key.sign(&mut text);
        }
        if text.len() as u64 > MAX_SIZE {
            return Err(Error::new(format!(
                "it has {} bytes, no node would read it",
                text.len()
            )));
        }
        Ok(text)
    }

    /// Fails after some seconds if nothing can be written or read where the manifest is.
    pub fn answers(&self) -> Result<()> {
        self.answers_within(Duration::ZERO)
    }

    /// The same after so long, or the usual time.
    pub fn answers_within(&self, patience: Duration) -> Result<()> {
        apart::write_within(&self.service, &self.path(), b"", patience)
    }

    fn path(&self) -> PathBuf {
        self.place.path().join(&self.name)
    }

    /// Keeps room for the next manifest, which may be twice as long as the last one.
    pub fn reserve(&self, last: usize) -> Result<()> {
        let size = (last as u64 * 2).clamp(MIN_RESERVE, MAX_SIZE);
        self.dir()
            .and_then(|dir| dir.reserve(apart::RESERVE, size))
            .context(|| {
                format!(
                    "no room is kept for the next manifest in {}",
                    self.place.path().display()
                )
            })
    }

    fn dir(&self) -> io::Result<Dir> {
        match self.place.open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let us = (geteuid().as_raw(), getegid().as_raw());
                Ok(self.place.make(us, 0o711)?.0)
            }
            other => other,
        }
    }
}

/// The filesystem that a manifest says it is of.
fn fsid_of(text: &[u8]) -> Option<Fsid> {
    let mut buffers = Buffers::new();
    let lines = text.split_inclusive(|byte| *byte == b'\n').take(2);
    let mut found = None;
    for line in lines {
        if let Ok(Line::Unit(Header::Released { fsid, .. })) = Line::parse(line, &mut buffers) {
            found = Some(fsid);
        }
    }
    found
}

/// What a manifest that is whole says at its end.
pub fn end_of(text: &str) -> Option<Tally> {
    let end = text.split_inclusive('\n').next_back()?;
    match Line::parse(end.as_bytes(), &mut Buffers::new()) {
        Ok(Line::End(tally)) => Some(tally),
        _ => None,
    }
}

/// Who holds something through an address of the server by a manifest, and what these clients call
/// themselves.
pub fn holders(text: &[u8], server: IpAddr) -> BTreeMap<IpAddr, String> {
    let mut buffers = Buffers::new();
    let mut found = BTreeMap::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if let Ok(Line::Lock(who, _) | Line::Share(who, _)) = Line::parse(line, &mut buffers) {
            if who.host.server == Some(server) {
                let name = String::from_utf8_lossy(who.name).into_owned();
                found.insert(who.host.client, name);
            }
        }
    }
    found
}
