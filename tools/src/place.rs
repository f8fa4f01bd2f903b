// SPDX-License-Identifier: GPL-2.0-only

//! Where something of a service is kept: below its mount point, or in a directory elsewhere.

use crate::beneath::Dir;
use crate::config::Service;
use crate::host::Host;
use std::fs;
use std::io;
use std::path::{
    Path,
    PathBuf, //
};

/// The way to a directory, of which the beginning is the administrator's and the rest may be
/// anybody's.
#[derive(Clone, Debug)]
pub struct Place {
    /// All of it, to be shown.
    path: PathBuf,
    /// The mount point, and the way from there.
    mount: Option<(PathBuf, PathBuf)>,
    /// Where it is looked up that it is a mount point.
    host: Option<Host>,
}

impl Place {
    /// `path` of a service.
    pub fn new(service: &Service, path: &Path) -> Self {
        Self::below(&service.path, path)
    }

    /// `path`, of which the rest after `mount` may be anybody's.
    pub fn below(mount: &Path, path: &Path) -> Self {
        let below = path.strip_prefix(mount).ok();
        Self {
            path: path.into(),
            mount: below.map(|below| (mount.into(), below.into())),
            host: None,
        }
    }

    /// The same, but it is not there unless the filesystem is mounted.
    pub fn if_mounted(mut self, host: &Host) -> Self {
        self.host = Some(host.clone());
        self
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether owner and mode are ours to set: below the mount point, which is not ours.
    pub fn is_ours(&self) -> bool {
        matches!(&self.mount, Some((_, below)) if !below.as_os_str().is_empty())
    }

    /// Opens the directory.
    pub fn open(&self) -> io::Result<Dir> {
        match &self.mount {
            Some((mount, below)) => self.root(mount)?.sub(below),
            None => Dir::open_without_links(&self.path),
        }
    }

    /// Opens the directory, which is made if it is missing. Below the mount point it gets this
    /// owner and mode in any case; what was in its place is returned as well.
    pub fn make(&self, owner: (u32, u32), mode: u32) -> io::Result<(Dir, Option<&'static str>)> {
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match &self.mount {
            Some((mount, below)) => match split(below)? {
                Some((parent, name)) => self.root(mount)?.sub(parent)?.make(name, owner, mode),
                None => Ok((self.root(mount)?, None)),
            },
            None => match Dir::open_without_links(&self.path) {
                Err(error) if missing(&error) => match split(&self.path)? {
                    Some((parent, name)) => {
                        Dir::open_without_links(parent)?.make(name, owner, mode)
                    }
                    None => Err(error),
                },
                other => Ok((other?, None)),
            },
        }
    }

    fn root(&self, mount: &Path) -> io::Result<Dir> {
        let dir = Dir::open(mount)?;
        match &self.host {
            // By the mount, not by the path: that may lead elsewhere by now.
            Some(host) => match host.mount_at(mount).map_err(io::Error::other)? {
                Some(mounted) if mounted.id == mount_of(&dir)? => Ok(dir),
                _ => Err(io::Error::other(format!(
                    "nothing is mounted at {}",
                    mount.display()
                ))),
            },
            None => Ok(dir),
        }
    }
}

/// The last name of a path, and the way to it.
fn split(path: &Path) -> io::Result<Option<(&Path, &str)>> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => match name.to_str() {
            Some(name) => Ok(Some((parent, name))),
            None => Err(io::Error::other("its name is not in UTF-8")),
        },
        _ => Ok(None),
    }
}

/// The number of the mount that an open directory belongs to, as mountinfo has it.
fn mount_of(dir: &Dir) -> io::Result<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", dir.number()))?;
    info.lines()
        .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
        .ok_or_else(|| io::Error::other("/proc/self/fdinfo has no mnt_id"))
}
