// SPDX-License-Identifier: GPL-2.0-only

//! Files that are still there, whole, after the power has failed.

use std::fs::{
    self,
    File,
    OpenOptions, //
};
use std::io::{
    self,
    Write, //
};
use std::os::unix::fs::{
    fchown,
    OpenOptionsExt, //
};
use std::path::Path;

/// Longest file name.
const NAME_MAX: usize = 255;

/// Writes or replaces a file: after an error or a crash it is as before or complete.
pub fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    write_for(path, content, mode, None)
}

/// As [`write`], and the file belongs to `owner`.
pub fn write_for(
    path: &Path,
    content: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
) -> io::Result<()> {
    let (dir, name) = split(path)?;
    let name = &name[..name.len().min(NAME_MAX - ".".len() - ".new".len())];
    let temporary = dir.join(format!(".{name}.new"));
    // Whoever owns the directory may have put a link there, a crash a piece of file.
    remove_if_there(&temporary)?;
    let written =
        fill(&temporary, content, mode, owner).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // On a full filesystem the piece is in the way of others.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_dir(dir)
}

fn fill(path: &Path, content: &[u8], mode: u32, owner: Option<(u32, u32)>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    if let Some((user, group)) = owner {
        fchown(&file, Some(user), Some(group))?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// Removes a file; returns whether it was there.
pub fn remove(path: &Path) -> io::Result<bool> {
    let (dir, _) = split(path)?;
    let removed = remove_if_there(path)?;
    if removed {
        sync_dir(dir)?;
    }
    Ok(removed)
}

/// Makes what was created, renamed or removed in a directory durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent(), name) {
        (Some(dir), Some(name)) if name.is_ascii() => Ok((dir, name)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
