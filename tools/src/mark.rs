// SPDX-License-Identifier: GPL-2.0-only

//! The mark that a filesystem was taken over here. Of one with an address for itself, the address in
//! `floating_ips` says it; where several are behind one, that may be there for the others only, as this
//! one was written into the configuration file since.
//!
//! It is left when the recovery has begun, and removed with the locks. No mark outlives a boot. It also says
//! whether the kernel knows who has to come: only then nobody has lost anything if the recovery is over.

use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::Host;
use crate::policy::fsid::Fsid;
use crate::turn;
use std::fs::{
    self,
    Permissions, //
};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::sync::OnceLock;
use std::time::{
    SystemTime,
    UNIX_EPOCH, //
};

/// What the name of a mark begins with.
const NAME: &str = "taken-over-";

/// The word for a list of NFSv4 clients.
const LISTED: &str = "nfs4-clients";

/// What the word for an address begins with.
const IP: &str = "ip=";

/// What a takeover leaves of a filesystem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The command that has begun its recovery.
    pub command: String,
    /// The kernel has taken a list of NFSv4 clients. Nobody else had anything, and the recovery is over when
    /// they are through.
    pub is_listed: bool,
    /// The addresses by which it was taken over.
    pub ips: Vec<IpAddr>,
}

fn place(host: &Host, fsid: Fsid) -> PathBuf {
    turn::place(host, &format!("{NAME}{fsid}"))
}

/// Which boot this is. Without knowing that, every mark would be one of another.
fn boot(host: &Host) -> Result<String> {
    let path = host.proc().join("sys/kernel/random/boot_id");
    let id = fs::read_to_string(&path);
    let id = id.context(|| format!("cannot read {}", path.display()))?;
    match id.trim() {
        "" => Err(Error::new(format!(
            "{} does not say which boot of this machine this is",
            path.display()
        ))),
        id => Ok(id.into()),
    }
}

/// Whether it looks like the name of a boot.
fn is_boot(word: &str) -> bool {
    let is_of_uuid = |byte: u8| byte == b'-' || byte.is_ascii_hexdigit();
    word.len() == 36 && word.bytes().all(is_of_uuid)
}

/// Which command this is: what one takes over begins to recover together.
fn command() -> &'static str {
    static COMMAND: OnceLock<String> = OnceLock::new();
    COMMAND.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        format!("{now}-{}", std::process::id())
    })
}

impl Mark {
    /// What this command leaves.
    pub fn of_this_command() -> Self {
        Self {
            command: command().into(),
            is_listed: false,
            ips: Vec::new(),
        }
    }

    /// Leaves it.
    pub fn leave(&self, host: &Host, fsid: Fsid) -> Result<()> {
        let path = place(host, fsid);
        // If that is not known now, nobody may take it for one of another boot later.
        let boot = boot(host).unwrap_or_default();
        let mut text = format!("{boot}\n{}\n", self.command);
        if self.is_listed {
            text += &format!("{LISTED}\n");
        }
        for ip in &self.ips {
            text += &format!("{IP}{ip}\n");
        }
        // statd's user looks, too.
        write(&path, &text, 0o644).context(|| format!("cannot write {}", path.display()))
    }

    /// [`None`] if it is of another boot. Anything else that is not whole is an error.
    fn parse(text: &str, boot: &str) -> Result<Option<Self>> {
        let (of, rest) = text.split_once('\n').unwrap_or_default();
        if of != boot && is_boot(of) {
            return Ok(None);
        }
        let mut lines = rest.strip_suffix('\n').unwrap_or_default().split('\n');
        let command = lines.next().unwrap_or_default();
        if of != boot || boot.is_empty() || command.is_empty() {
            return Err(Error::new("it is cut off, or damaged"));
        }
        let mut mark = Self {
            command: command.into(),
            is_listed: false,
            ips: Vec::new(),
        };
        for line in lines {
            mark.is_listed |= line == LISTED;
            if let Some(ip) = line.strip_prefix(IP) {
                let ip = ip.parse::<IpAddr>();
                mark.ips
                    .push(ip.map_err(|_| Error::new(format!("\"{line}\" names no address")))?);
            }
        }
        Ok(Some(mark))
    }
}

/// What a takeover has left, if there was one since this machine was booted. What cannot be read is no
/// mark: then no list says what clients have, and they get the time to reclaim.
pub fn read(host: &Host, fsid: Fsid) -> Option<Mark> {
    let text = fs::read_to_string(place(host, fsid)).ok()?;
    Mark::parse(&text, &boot(host).ok()?).ok()?
}

/// Whether a takeover may have left one since this machine was booted: also one that cannot be read.
pub fn may_be_left(host: &Host, fsid: Fsid) -> bool {
    match fs::read_to_string(place(host, fsid)) {
        Ok(text) => boot(host).map_or(true, |boot| !matches!(Mark::parse(&text, &boot), Ok(None))),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// One that was found by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Where it is.
    pub file: PathBuf,
    /// Of which filesystem it is.
    pub fsid: Fsid,
    /// What it says, as far as that is known.
    pub mark: Mark,
    /// What is wrong with it, if it may be of anything.
    pub damaged: Option<String>,
}

/// All that takeovers have left since this machine was booted, in the order of their names, those that are
/// damaged among them. Of which filesystem one is, its name says.
pub fn all(host: &Host) -> Result<Vec<Left>> {
    let dir = turn::place(host, "");
    let unread = |path: &Path| format!("what was taken over here is not known: {}", path.display());
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(|| unread(&dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let file = entry.context(|| unread(&dir))?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        let fsid = name.and_then(|name| Fsid::parse(name.strip_prefix(NAME)?.as_bytes()));
        let Some(fsid) = fsid else {
            continue;
        };
        let read = match fs::read_to_string(&file) {
            // It has just been removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.context(|| "it cannot be read".to_string()),
        };
        let read = read.and_then(|text| Mark::parse(&text, &boot(host)?));
        let (mark, damaged) = match read {
            Ok(Some(mark)) => (mark, None),
            Ok(None) => continue,
            Err(why) => (Mark::default(), Some(why.to_string())),
        };
        found.push(Left {
            file,
            fsid,
            mark,
            damaged,
        });
    }
    found.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(found)
}

/// Removes it.
pub fn remove(host: &Host, fsid: Fsid) -> Result<()> {
    let path = place(host, fsid);
    remove_file(&path).context(|| format!("cannot remove {}", path.display()))
}

/// What it says where clients could not come. Anything else, as of one that was not written to its end, does
/// not say so.
const UNREACHED: &str = "no address was up\n";

/// What a release leaves of a filesystem that was not taken over here. What is released has a unit, and
/// else only what was taken over has one: without this, a release that is repeated would take the unit of
/// the first time for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Clients could not come: a list of the node before is what they have.
    Unreached,
    /// They could, and no list says what they have.
    Reached,
}

fn place_of_foreign(host: &Host, fsid: Fsid) -> PathBuf {
    turn::place(host, &format!("foreign-{fsid}"))
}

impl Foreign {
    /// That of an earlier release, if there is one. It tells nothing but what a released unit is of. What
    /// cannot be read lets nobody believe a list.
    pub fn read(host: &Host, fsid: Fsid) -> Option<Self> {
        match fs::read_to_string(place_of_foreign(host, fsid)) {
            Ok(text) if text == UNREACHED => Some(Self::Unreached),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            _ => Some(Self::Reached),
        }
    }

    /// Leaves it, or removes that of an earlier release, before there is a unit.
    pub fn leave(foreign: Option<Self>, host: &Host, fsid: Fsid) -> Result<()> {
        let path = place_of_foreign(host, fsid);
        let done = match foreign {
            None => remove_file(&path),
            Some(Self::Unreached) => write(&path, UNREACHED, 0o600),
            Some(Self::Reached) => write(&path, "", 0o600),
        };
        done.context(|| {
            format!(
                "whether this filesystem was taken over here cannot be noted in {}",
                path.display()
            )
        })
    }
}

/// Writes it as a whole: whoever reads it, or is killed, finds the one of before or this one.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    turn::make(dir)?;
    // It is about this boot only, so it need not be durable.
    let beside = dir.join(format!("new-{}", name.to_string_lossy()));
    fs::write(&beside, text)?;
    fs::set_permissions(&beside, Permissions::from_mode(mode))?;
    fs::rename(beside, path)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
