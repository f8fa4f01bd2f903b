// SPDX-License-Identifier: GPL-2.0-only

//! Files that are still there, whole, after the power has failed.

use crate::beneath::Dir;
use std::io;
use std::path::Path;

/// Writes or replaces a file for its owner: after an error or a crash it is as before or complete.
pub fn write_for(
    path: &Path,
    content: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
) -> io::Result<()> {
    let (dir, name) = split(path)?;
    dir.write(name, content, mode, owner)
}

/// Removes a file; returns whether it was there.
pub fn remove(path: &Path) -> io::Result<bool> {
    let (dir, name) = split(path)?;
    dir.remove(name)
}

fn split(path: &Path) -> io::Result<(Dir, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent(), name) {
        (Some(dir), Some(name)) => Ok((Dir::open(dir)?, name)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
