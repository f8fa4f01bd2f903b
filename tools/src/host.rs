// SPDX-License-Identifier: GPL-2.0-only

//! The machine: its mounts, addresses and commands.

use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::mounts::{
    self,
    Mount, //
};
use std::fs;
use std::net::{
    IpAddr,
    UdpSocket, //
};
use std::os::unix::fs::MetadataExt;
use std::path::{
    Path,
    PathBuf, //
};

/// Where things of this machine are; tests have others.
#[derive(Clone, Debug)]
pub struct Host {
    /// The nfsd filesystem.
    pub nfsd: PathBuf,
    /// `/proc/self/mountinfo`.
    pub mountinfo: PathBuf,
    /// `/`: where `proc`, `sys`, `etc` and `run` are.
    pub root: PathBuf,
    /// The port of its rpcbind.
    pub rpcbind_port: u16,
}

impl Host {
    /// Whether something is mounted at `path`.
    pub fn is_mounted(&self, path: &Path) -> Result<bool> {
        Ok(self.mount_at(path)?.is_some())
    }

    /// What is mounted at `path`.
    pub fn mount_at(&self, path: &Path) -> Result<Option<Mount>> {
        let mounts = mounts::read(&self.mountinfo)?;
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        Ok(mounts::at(&mounts, &path).cloned())
    }

    /// `/proc`.
    pub fn proc(&self) -> PathBuf {
        self.root.join("proc")
    }

    /// `/sys`.
    pub fn sys(&self) -> PathBuf {
        self.root.join("sys")
    }
}

/// Whether packets can be sent from `ip` and come back to us.
///
/// A socket could be bound to any address with `net.ipv4.ip_nonlocal_bind`, which clusters like to
/// set, so interfaces are asked as well.
pub fn is_local(ip: IpAddr) -> Result<bool> {
    let there = nix::ifaddrs::getifaddrs()
        .context(|| "cannot list the addresses of this machine".into())?
        .filter_map(|interface| interface.address)
        .any(|address| {
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            let v6 = address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
            v4.or(v6) == Some(ip)
        });
    Ok(there && UdpSocket::bind((ip, 0)).is_ok())
}

/// Who owns a file.
pub fn owner(path: &Path) -> Result<(u32, u32)> {
    let metadata = fs::metadata(path).context(|| format!("cannot look at {}", path.display()))?;
    Ok((metadata.uid(), metadata.gid()))
}

/// The user that statd runs as: it takes on the owner of its list of clients.
pub fn statd_user(statd_dir: &Path) -> Result<(u32, u32)> {
    owner(&statd_dir.join("sm")).map_err(|error| {
        Error::new(format!(
            "{error}; rpc.statd's directory is needed to know its user, see statd_dir in nfs-failover.toml"
        ))
    })
}
