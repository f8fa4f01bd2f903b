// SPDX-License-Identifier: GPL-2.0-only

//! What is mounted, as `/proc/PID/mountinfo` has it (proc(5)).

use crate::error::{
    Context,
    Result, //
};
use crate::octal::unescape;
use crate::policy::fsid::Dev;
use std::fs;
use std::path::{
    Path,
    PathBuf, //
};

/// A line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Number of the mount; no two of the machine have the same.
    pub id: u32,
    /// That of the mount which it is on.
    pub parent: u32,
    /// The filesystem.
    pub device: Dev,
    /// Where it is.
    pub point: PathBuf,
    /// The group whose mounts and umounts it shares.
    pub shared: Option<u32>,
    /// The group whose mounts and umounts it follows.
    pub master: Option<u32>,
    /// Its type, such as `ext4`.
    pub kind: String,
    /// The block device, or what the type has instead.
    pub source: PathBuf,
}

/// Reads a mountinfo file.
pub fn read(path: &Path) -> Result<Vec<Mount>> {
    let text = fs::read(path).context(|| format!("cannot read {}", path.display()))?;
    Ok(parse(&text))
}

/// Reads the text of a mountinfo file.
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let mut word = || words.next();
    let id = number(word()?)?;
    let parent = number(word()?)?;
    let mut device = word()?.split(|byte| *byte == b':');
    let device = Dev {
        major: number(device.next()?)?,
        minor: number(device.next()?)?,
    };
    word()?;
    let point = unescape(word()?);
    word()?;
    let (mut shared, mut master) = (None, None);
    loop {
        let word = word()?;
        if word == b"-" {
            break;
        }
        let group = |name: &[u8]| word.strip_prefix(name).and_then(number);
        shared = shared.or(group(b"shared:"));
        master = master.or(group(b"master:"));
    }
    Some(Mount {
        id,
        parent,
        device,
        point,
        shared,
        master,
        kind: String::from_utf8_lossy(word()?).into(),
        source: unescape(word()?),
    })
}

fn number(word: &[u8]) -> Option<u32> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// What is mounted exactly there; the uppermost if that is more than one.
pub fn at<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts.iter().rev().find(|mount| mount.point == path)
}

/// The mount that a path is on.
pub fn containing<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.point))
        // The last one of the longest.
        .max_by_key(|mount| mount.point.as_os_str().len())
}

/// The block device that a configuration means, which mount(8) takes by name as well.
pub fn disk(device: &Path) -> Option<PathBuf> {
    let word = device.to_str()?;
    let by = [
        ("UUID=", "uuid"),
        ("LABEL=", "label"),
        ("PARTUUID=", "partuuid"),
        ("PARTLABEL=", "partlabel"),
    ];
    for (name, dir) in by {
        if let Some(value) = word.strip_prefix(name) {
            return Some(Path::new("/dev/disk").join(format!("by-{dir}")).join(value));
        }
    }
    device.has_root().then(|| device.into())
}
