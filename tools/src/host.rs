// SPDX-License-Identifier: GPL-2.0-only

//! The machine: its mounts, addresses and commands.

use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::policy::words::Words;
use std::fs;
use std::net::{
    IpAddr,
    UdpSocket, //
};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::Command;

/// Where things of this machine are; tests have others.
#[derive(Clone, Debug)]
pub struct Host {
    /// The nfsd filesystem.
    pub nfsd: PathBuf,
    /// `/proc/self/mountinfo`.
    pub mountinfo: PathBuf,
}

impl Host {
    /// Whether something is mounted at `path`.
    pub fn is_mounted(&self, path: &Path) -> Result<bool> {
        let text = fs::read(&self.mountinfo)
            .context(|| format!("cannot read {}", self.mountinfo.display()))?;
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        Ok(text
            .split(|byte| *byte == b'\n')
            .any(|line| mount_point(line).as_deref() == Some(path.as_os_str().as_bytes())))
    }
}

/// The fifth word of a line of mountinfo, without its escapes.
fn mount_point(line: &[u8]) -> Option<Vec<u8>> {
    let mut words = Words::new(line).ok()?;
    for _ in 0..4 {
        words.next_raw()?;
    }
    let mut buffer = [0; 4096];
    words.next_into(&mut buffer).ok().map(<[u8]>::to_vec)
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

/// Runs a command of the system. What it says is in the error.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let line = format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .context(|| format!("cannot run \"{line}\""))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().replace('\n', "; ");
    Err(Error::new(format!(
        "\"{line}\" failed ({}): {said}",
        output.status
    )))
}
