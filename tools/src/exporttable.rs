// SPDX-License-Identifier: GPL-2.0-only

//! What is exported on this node, by whomever: nfs-utils' table, and what the kernel has of it.

use crate::config::Config;
use crate::error::{
    Context,
    Result, //
};
use crate::host::Host;
use crate::mounts::{
    self,
    Mount, //
};
use crate::octal::unescape;
use crate::policy::fsid::{
    Dev,
    Fsid,
    HandleFsid, //
};
use std::fs;
use std::io;
use std::path::{
    Path,
    PathBuf, //
};

/// A directory that is exported to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The directory.
    pub path: PathBuf,
    /// To whom.
    pub client: String,
    /// With what.
    pub options: String,
    /// By what its file handles name the filesystem; not known if it has no `fsid=` and was not
    /// used yet.
    pub fsid: Option<Fsid>,
    /// Whether nfs-utils has it in its table; the kernel alone may have it for some time.
    pub listed: bool,
}

/// What a client was told of a directory: a file handle begins with that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// The directory.
    pub path: PathBuf,
    /// By what the handle names the filesystem.
    pub fsid: Option<HandleFsid>,
}

/// The exports of a machine.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// By nfs-utils' table, and by the kernel's where that has others.
    pub exports: Vec<Export>,
    /// Those that clients use.
    handles: Vec<Handle>,
    mounts: Vec<Mount>,
}

impl Table {
    /// Reads it.
    pub fn read(host: &Host, config: &Config) -> Result<Self> {
        let rpc = host.proc().join("net/rpc");
        let mut exports = parse_exports(&read(&config.statd_dir.join("etab"))?);
        // exportfs keeps its table there although statd's directory may be elsewhere.
        let usual = host.root.join("var/lib/nfs/etab");
        for export in parse_exports(&read(&usual)?) {
            if !exports.contains(&export) {
                exports.push(export);
            }
        }
        for used in parse_exports(&read(&rpc.join("nfsd.export/content"))?) {
            let same = |known: &&mut Export| known.path == used.path && known.client == used.client;
            match exports.iter_mut().find(same) {
                Some(known) if known.fsid == used.fsid => {}
                // That of the filesystem.
                Some(known) if known.fsid.is_none() && matches!(used.fsid, Some(Fsid::Uuid(_))) => {
                    known.fsid = used.fsid;
                }
                // Both count: the kernel may not have heard yet. And it joins the clients that an
                // address belongs to.
                _ => exports.push(Export {
                    listed: false,
                    ..used
                }),
            }
        }
        Ok(Self {
            exports,
            handles: parse_handles(&read(&rpc.join("nfsd.fh/content"))?),
            mounts: mounts::read(&host.mountinfo)?,
        })
    }

    fn is_on(&self, path: &Path, device: Option<Dev>, below: &Path) -> bool {
        match device {
            Some(device) => {
                mounts::containing(&self.mounts, path).is_some_and(|on| on.device == device)
            }
            None => path.starts_with(below),
        }
    }

    /// The exports of what is mounted at `path`, or will be: of its filesystem, wherever that is
    /// mounted.
    pub fn of(&self, path: &Path) -> Vec<&Export> {
        let device = mounts::at(&self.mounts, path).map(|mount| mount.device);
        self.exports
            .iter()
            .filter(|export| self.is_on(&export.path, device, path))
            .collect()
    }

    /// The mount point of what is exported with that fsid, if nothing at `path` is.
    pub fn elsewhere(&self, path: &Path, fsid: Option<Fsid>) -> Option<PathBuf> {
        let of_it = |export: &&Export| fsid.is_some() && export.fsid == fsid;
        let beside = self.exports.iter().filter(of_it);
        if self.of(path).iter().any(of_it) {
            return None;
        }
        let mut mounts = beside.filter_map(|export| mounts::containing(&self.mounts, &export.path));
        mounts.next().map(|mount| mount.point.clone())
    }

    /// What of the exports of a filesystem does not fit to its fsid: its locks would not be those
    /// of `fsid`, or `fsid` would have locks of others.
    pub fn misfits(&self, path: &Path, fsid: Fsid) -> Vec<String> {
        let device = mounts::at(&self.mounts, path).map(|mount| mount.device);
        let mut found = Vec::new();
        for export in &self.exports {
            let (at, client) = (export.path.display(), &export.client);
            if self.is_on(&export.path, device, path) {
                match export.fsid {
                    Some(other) if other == fsid => {}
                    Some(other) => found.push(format!(
                        "{at} is exported to {client} with fsid {other}, but the service has fsid {fsid}: give all exports of the filesystem that one, or withdraw it with \"exportfs -u {}\"",
                        argument(client, &export.path)
                    )),
                    // Then it is the UUID of the filesystem, which may be what is meant.
                    None if matches!(fsid, Fsid::Uuid(_)) => {}
                    None => found.push(format!(
                        "{at} is exported to {client} without fsid=, but the service has fsid {fsid}: export it with fsid={fsid}, and have clients mount it again"
                    )),
                }
            } else if export.fsid == Some(fsid) {
                found.push(format!(
                    "{at}, which is another filesystem than {}, is exported to {client} with fsid {fsid}, too: give it one of its own",
                    path.display()
                ));
            }
        }
        for handle in &self.handles {
            let Some(known) = handle.fsid else { continue };
            let here = self.is_on(&handle.path, device, path);
            if here && device.is_some() && !known.is(&fsid) {
                found.push(format!(
                    "clients use file handles of {} with {known} instead of fsid={fsid}, as they mounted it when it was exported otherwise: have them mount it again, then \"exportfs -f\"",
                    handle.path.display()
                ));
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// What `exportfs` takes.
pub fn argument(client: &str, path: &Path) -> String {
    if client.contains(':') && !client.starts_with('[') {
        format!("[{client}]:{}", path.display())
    } else {
        format!("{client}:{}", path.display())
    }
}

/// Without NFS there is none of these files.
fn read(path: &Path) -> Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.context(|| format!("cannot read {}", path.display())),
    }
}

/// Reads `etab`, or the kernel's `nfsd.export/content`: `PATH <tab> CLIENT(OPTIONS)`.
pub fn parse_exports(text: &[u8]) -> Vec<Export> {
    let text = text.split(|byte| *byte == b'\n');
    text.filter(|line| !line.starts_with(b"#"))
        .filter_map(|line| {
            let tab = line.iter().position(|byte| *byte == b'\t')?;
            let rest = String::from_utf8_lossy(&line[tab + 1..]);
            let (client, options) = rest.trim().strip_suffix(')')?.split_once('(')?;
            Some(Export {
                path: unescape(&line[..tab]),
                client: client.into(),
                options: options.into(),
                fsid: fsid(options),
                listed: true,
            })
        })
        .collect()
}

fn fsid(options: &str) -> Option<Fsid> {
    let value = |key: &str| {
        options
            .split(',')
            .find_map(|option| option.strip_prefix(key))
    };
    let word = value("fsid=").or_else(|| value("uuid="))?;
    match word.parse::<i32>() {
        // Both print it with a sign.
        Ok(number) if number < 0 => Some(Fsid::Number(number as u32)),
        _ if word == "root" => Some(Fsid::Number(0)),
        _ => Fsid::parse(word.as_bytes()),
    }
}

/// Reads `nfsd.fh/content`: `DOMAIN TYPE 0xHEX [PATH]`.
pub fn parse_handles(text: &[u8]) -> Vec<Handle> {
    let text = text.split(|byte| *byte == b'\n');
    text.filter(|line| !line.starts_with(b"#"))
        .filter_map(|line| {
            let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
            // What is not exported has no path.
            let [_, kind, hex, path] = words[..] else {
                return None;
            };
            let kind: u8 = std::str::from_utf8(kind).ok()?.parse().ok()?;
            let hex = std::str::from_utf8(hex).ok()?.strip_prefix("0x")?;
            let mut handle = vec![1, 0, kind, 0];
            for at in (0..hex.len()).step_by(8) {
                let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
                handle.extend(word.to_ne_bytes());
            }
            Some(Handle {
                path: unescape(path),
                fsid: HandleFsid::decode(&handle),
            })
        })
        .collect()
}
