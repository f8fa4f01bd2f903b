// SPDX-License-Identifier: GPL-2.0-only

//! What a service has in the configuration for `--export` and `--address`, and the file by which
//! its exports outlive an `exportfs -r`.

use crate::config::Service;
use crate::doctor::finding::Sight;
use crate::doctor::sight;
use crate::durable;
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::exporttable::Export;
use crate::host::Host;
use crate::octal::{
    escape,
    unescape, //
};
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{
    Path,
    PathBuf, //
};

/// Where a floating IP goes.
pub fn interface(service: &Service) -> Result<(&str, u8)> {
    match (&service.interface, service.prefix) {
        (Some(interface), Some(prefix)) => Ok((interface, prefix)),
        _ => Err(Error::new(
            "--address needs interface and prefix of the service in the configuration",
        )),
    }
}

/// The exports of a service, with its fsid.
pub fn exports(service: &Service) -> Result<Vec<Export>> {
    if service.exports.is_empty() {
        return Err(Error::new(
            "--export needs exports of the service in the configuration",
        ));
    }
    let all = service.exports.iter().map(|export| {
        let (client, options) = split_export(export)
            .ok_or_else(|| Error::new(format!("export \"{export}\" is not CLIENT:OPTIONS")))?;
        let fsid = service.fsid.map(|fsid| format!("fsid={fsid}"));
        let options: Vec<_> = [Some(options), fsid.as_deref()]
            .into_iter()
            .flatten()
            .filter(|word| !word.is_empty())
            .collect();
        Ok(Export {
            path: service.path.clone(),
            client: client.into(),
            options: if_mounted(&options.join(","), &service.path, &service.path),
            fsid: service.fsid,
            listed: false,
        })
    });
    all.collect()
}

/// The options with which a directory is exported only while something is mounted at `mount`.
///
/// mountd reads its table, which a crash leaves as it was, and whoever unmounts by hand may
/// forget the export: what is below the mount point is of another filesystem, with this fsid.
fn if_mounted(options: &str, path: &Path, mount: &Path) -> String {
    let says = |option: &str| {
        let word = option.split('=').next();
        matches!(word, Some("mountpoint" | "mp"))
    };
    let and = if options.is_empty() { "" } else { "," };
    // A link is no mount point.
    let mount = fs::canonicalize(mount).unwrap_or_else(|_| mount.into());
    match mount.to_str() {
        _ if options.split(',').any(says) => options.into(),
        _ if path == mount => format!("{options}{and}mountpoint"),
        // exports(5) has no way to write others there.
        Some(shown) if !shown.contains([' ', ',', '(', ')', '"', '\\', '#']) => {
            format!("{options}{and}mountpoint={shown}")
        }
        _ => options.into(),
    }
}

/// Splits `CLIENT:OPTIONS`. The colons of an IPv6 address are in brackets.
pub fn split_export(export: &str) -> Option<(&str, &str)> {
    let search_from = if export.starts_with('[') {
        export.find(']')?
    } else {
        0
    };
    let colon = search_from + export[search_from..].find(':')?;
    let (client, options) = (&export[..colon], &export[colon + 1..]);
    let odd = |letter: char| letter.is_whitespace();
    (!client.is_empty() && !export.contains(odd)).then_some((client, options))
}

/// The exports of a filesystem where `exportfs -r` finds them, which withdraws all others.
///
/// What is in `/etc/exports.d` is a link to a file in `/run`: when this node has crashed and comes
/// back, the filesystem is not mounted, and the directory below must not be exported.
#[derive(Clone, Debug)]
pub struct File {
    file: PathBuf,
    link: PathBuf,
    mount: PathBuf,
}

impl File {
    /// That of the filesystem at `path`.
    pub fn new(host: &Host, path: &Path) -> Self {
        let name = format!("{PREFIX}{}{SUFFIX}", file_name(path));
        Self {
            file: host.root.join("run/nfs-failover").join(&name),
            link: host.root.join("etc/exports.d").join(name),
            mount: path.into(),
        }
    }

    /// Writes it. The exports may be of directories below, too.
    pub fn write(&self, exports: &[Export]) -> Result<()> {
        let mut text = String::from("# Written by nfs-failoverctl takeover, removed by release.\n");
        for export in exports {
            // Brackets are for command lines.
            let client = export.client.replace(['[', ']'], "");
            let client = if client.contains(':') {
                client
            } else {
                export.client.clone()
            };
            let _ = writeln!(
                text,
                "{} {client}({})",
                escape(&export.path),
                if_mounted(&export.options, &export.path, &self.mount)
            );
        }
        for path in [&self.file, &self.link] {
            let dir = path.parent().unwrap_or(path);
            fs::create_dir_all(dir).context(|| format!("cannot create {}", dir.display()))?;
        }
        durable::write_for(&self.file, text.as_bytes(), 0o644, None)
            .context(|| format!("cannot write {}", self.file.display()))?;
        if fs::read_link(&self.link).is_ok_and(|target| target == self.file) {
            return Ok(());
        }
        let context = || format!("cannot link {}", self.link.display());
        durable::remove(&self.link).context(context)?;
        symlink(&self.file, &self.link).context(context)
    }

    /// Removes it. Returns whether it was there.
    pub fn remove(&self) -> Result<bool> {
        let mut was = false;
        for path in [&self.link, &self.file] {
            match fs::remove_file(path) {
                Ok(()) => was = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.context(|| format!("cannot remove {}", path.display()))?,
            }
        }
        Ok(was)
    }
}

/// The file in which others have exported `path`: it would be exported at boot, before it is
/// mounted.
pub fn at_boot(host: &Host, path: &Path) -> Sight<Option<PathBuf>> {
    let ours = File::new(host, path).link;
    let mut files = sight::dir(&host.root.join("etc/exports.d"))?;
    // exportfs reads no others there.
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(SUFFIX) && !name.starts_with('.') && *file != ours
    });
    files.sort();
    files.insert(0, host.root.join("etc/exports"));
    let mut unseen = None;
    for file in files {
        let text = match sight::file(&file) {
            Ok(text) => text.unwrap_or_default(),
            Err(why) => {
                unseen = Some(why);
                continue;
            }
        };
        let has = text.lines().any(|line| {
            let word = line.split_whitespace().next().unwrap_or("");
            unescape(word.trim_matches('"').as_bytes()) == path
        });
        if has {
            return Ok(Some(file));
        }
    }
    unseen.map_or(Ok(None), Err)
}

/// Removes links to files that a crash of this node has taken away. Returns what to say.
pub fn remove_left_over(host: &Host) -> Result<Vec<String>> {
    let mut said = Vec::new();
    let entries = fs::read_dir(host.root.join("etc/exports.d"));
    for path in entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("");
        let ours = name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        if ours && path.is_symlink() && !path.exists() {
            fs::remove_file(&path).context(|| format!("cannot remove {}", path.display()))?;
            said.push(format!(
                "{}: removed, this node has restarted",
                path.display()
            ));
        }
    }
    Ok(said)
}

const PREFIX: &str = "nfs-failover";
const SUFFIX: &str = ".exports";

/// `/srv/s1` is `-srv-s1`.
fn file_name(path: &Path) -> String {
    let mut name = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' => name.push('-'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' => name.push(char::from(*byte)),
            _ => drop(write!(name, "%{byte:02x}")),
        }
    }
    name
}
