// SPDX-License-Identifier: GPL-2.0-only

//! The list of connections on the filesystem that moves, `<state_dir>/<ip>/connections`, and that of
//! the node before, `connections.before`.

use crate::apart;
use crate::beneath::{
    doubt,
    Dir, //
};
use crate::config::Service;
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::Host;
use crate::statedir::StateDir;
use nix::sys::statvfs::fstatvfs;
use std::io;

const NAME: &str = "connections";

/// Where the list of the node before is, as long as that may be needed.
const BEFORE: &str = "connections.before";

/// [`MAX`](super::MAX) lines of two addresses, one of them of IPv6.
const MAX_SIZE: u64 = super::MAX as u64 * 64;

/// Files, and bytes, that must be free: what is left is for the records.
const SPARE: (u64, u64) = (64, 16 * MAX_SIZE);

/// Makes place for a list of this node. If the node before has left none, what was put aside earlier
/// stays: it did not serve for long.
pub fn put_aside(host: &Host, service: &Service) -> Result<()> {
    let state = StateDir::of(service).if_mounted(host);
    match state.open().and_then(|dir| dir.replace(NAME, BEFORE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.context(|| {
            let dir = state.path().display();
            format!("cannot rename {NAME} in {dir} to {BEFORE}, so there is no newer list")
        }),
    }
}

/// Keeps a list, if it is not there already, however long that takes.
pub fn keep(host: &Host, service: &Service, text: &str) -> Result<()> {
    if matches!(read(host, service, NAME), Ok(Some(there)) if there == text.as_bytes()) {
        return Ok(());
    }
    let state = StateDir::of(service).if_mounted(host);
    state
        .open()
        .and_then(|dir| {
            has_room(&dir)?;
            dir.write(NAME, text.as_bytes(), 0o600, None)
        })
        .context(|| format!("cannot write {}/{NAME}", state.path().display()))
}

/// Leaves a list for the next node, if the disk answers in time.
pub fn leave(service: &Service, text: &str) -> Result<()> {
    let file = StateDir::of(service).path().join(NAME);
    apart::write(service, &file, text.as_bytes())
}

fn has_room(dir: &Dir) -> io::Result<()> {
    let free = fstatvfs(dir.file()?)?;
    // Some filesystems do not count files.
    let files = free.files() == 0 || free.files_available() >= SPARE.0;
    let bytes = free.blocks_available().saturating_mul(free.fragment_size());
    match files && bytes >= SPARE.1 {
        true => Ok(()),
        false => Err(io::Error::other("the disk is nearly full")),
    }
}

/// All that is there: that of the node before, and what may be that of the node before or of this one.
pub fn read_all(host: &Host, service: &Service) -> [Result<Option<Vec<u8>>>; 2] {
    // In this order, so that one that is put aside meanwhile is not missed.
    let newer = read(host, service, NAME);
    [read(host, service, BEFORE), newer]
}

/// One list, if it is there and can be ours.
fn read(host: &Host, service: &Service, name: &str) -> Result<Option<Vec<u8>>> {
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
