// SPDX-License-Identifier: GPL-2.0-only

//! What is kept of one floating IP on the filesystem that moves with it.
//!
//! `<state_dir>/<ip>/clients/<name>` says that this client has to be notified: the name is the
//! record, so that nothing half-written can be one. `<state_dir>/<ip>/state` is the last NSM state
//! number that was sent from this address by any node.

use crate::durable;
use crate::error::{
    text,
    Context,
    Error,
    Result, //
};
use nix::fcntl::{
    Flock,
    FlockArg, //
};
use std::fs::{
    self,
    DirBuilder,
    File, //
};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{
    chown,
    DirBuilderExt, //
};
use std::path::{
    Path,
    PathBuf, //
};
use std::time::{
    SystemTime,
    UNIX_EPOCH, //
};

/// The state of one floating IP.
#[derive(Clone, Debug)]
pub struct StateDir {
    dir: PathBuf,
    ip: IpAddr,
}

/// What the client directory has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// The recorded clients, in order.
    pub names: Vec<String>,
    /// What cannot be a record, and why not.
    pub garbage: Vec<String>,
}

/// A state number that was not sent before, and where it comes from.
#[derive(Debug, PartialEq, Eq)]
pub struct NextState {
    /// The number.
    pub number: i32,
    /// Why it is not simply the next one.
    pub warning: Option<String>,
}

impl StateDir {
    /// The state of `ip` below a service's `state_dir`. Nothing is created.
    pub fn new(state_dir: &Path, ip: IpAddr) -> Self {
        Self {
            dir: state_dir.join(ip.to_string()),
            ip,
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    fn clients_dir(&self) -> PathBuf {
        self.dir.join("clients")
    }

    /// Whether [`create`](Self::create) has nothing to do.
    pub fn exists(&self) -> bool {
        self.clients_dir().is_dir()
    }

    /// Creates what is missing, durably, for statd's user.
    pub fn create(&self, owner: (u32, u32)) -> Result<()> {
        let state_dir = self.dir.parent().unwrap_or(&self.dir);
        for dir in [state_dir, &self.dir, &self.clients_dir()] {
            make_dir(dir, owner).context(|| format!("cannot create {}", dir.display()))?;
        }
        Ok(())
    }

    /// Records a client durably. Returns whether it is a new one.
    pub fn record(&self, name: &str) -> Result<bool> {
        let path = self.client(name)?;
        let what = || format!("cannot record {name} in {}", self.clients_dir().display());
        if path.is_file() {
            // Whoever made it may have died before it was durable.
            durable::sync_dir(&self.clients_dir()).context(what)?;
            return Ok(false);
        }
        let line = format!("{name} uses {}\n", self.ip);
        let written = durable::write(&path, line.as_bytes(), 0o600);
        if written.is_err() {
            // The next try must not take it for durable.
            let _ = fs::remove_file(&path);
        }
        written.context(what)?;
        Ok(true)
    }

    /// Removes a client's record. Returns whether there was one.
    pub fn forget(&self, name: &str) -> Result<bool> {
        let path = self.client(name)?;
        durable::remove(&path).context(|| format!("cannot remove {}", path.display()))
    }

    fn client(&self, name: &str) -> Result<PathBuf> {
        match bad_name(name.as_bytes()) {
            Some(why) => Err(Error::new(format!(
                "client name {name:?} {why}, it is not recorded"
            ))),
            None => Ok(self.clients_dir().join(name)),
        }
    }

    /// Lists the recorded clients. What does not look like a record is skipped.
    pub fn clients(&self) -> Result<Clients> {
        let dir = self.clients_dir();
        let mut clients = Clients::default();
        for entry in fs::read_dir(&dir).context(|| format!("cannot read {}", dir.display()))? {
            let entry = entry.context(|| format!("cannot read {}", dir.display()))?;
            let name = entry.file_name();
            let bytes = name.as_encoded_bytes();
            if bytes.starts_with(b".") {
                // Half-written by somebody who died.
                continue;
            }
            if let Some(why) = bad_name(bytes) {
                clients.garbage.push(format!("{name:?} {why}"));
            } else if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                clients.garbage.push(format!("{name:?} is not a file"));
            } else {
                clients.names.push(String::from_utf8_lossy(bytes).into());
            }
        }
        clients.names.sort();
        clients.garbage.sort();
        Ok(clients)
    }

    /// Makes and keeps a state number that no node has sent from this address before.
    pub fn next_state(&self) -> Result<NextState> {
        let path = self.dir.join("state");
        let next = match fs::read(&path) {
            Ok(content) => after(&content, now()),
            Err(error) => NextState {
                number: odd(now()),
                warning: (error.kind() != io::ErrorKind::NotFound)
                    .then(|| format!("cannot read it: {}", text(&error))),
            },
        };
        durable::write(&path, format!("{}\n", next.number).as_bytes(), 0o600)
            .context(|| format!("cannot keep the state number in {}", path.display()))?;
        Ok(NextState {
            warning: next
                .warning
                .map(|why| format!("{}: {why}; {} is sent", path.display(), next.number)),
            ..next
        })
    }

    /// Keeps others from notifying the clients of this address, as long as the result lives.
    pub fn lock(&self) -> Result<Flock<File>> {
        let dir =
            File::open(&self.dir).context(|| format!("cannot open {}", self.dir.display()))?;
        Flock::lock(dir, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
            nix::errno::Errno::EWOULDBLOCK => Error::new(format!(
                "clients of {} are being notified already, by another process that has {} locked",
                self.ip,
                self.dir.display()
            )),
            error => Error::new(format!(
                "cannot lock {}: {}",
                self.dir.display(),
                error.desc()
            )),
        })
    }
}

/// Why a client cannot be recorded under this name.
pub fn bad_name(name: &[u8]) -> Option<&'static str> {
    match name {
        [] => Some("is empty"),
        [b'.', ..] => Some("begins with a dot"),
        _ if name.len() > 255 => Some("is longer than 255 bytes"),
        _ if name.contains(&b'/') => Some("has a slash"),
        _ if !name.iter().all(u8::is_ascii_graphic) => Some("has blanks or unprintable bytes"),
        _ => None,
    }
}

/// The state number to send after the one that a state file has.
pub fn after(content: &[u8], now: i32) -> NextState {
    let content = String::from_utf8_lossy(content);
    let known = content
        .strip_suffix('\n')
        .and_then(|number| number.parse::<i32>().ok())
        .filter(|number| *number > 0 && number % 2 == 1);
    if let Some(known) = known {
        return match known.checked_add(2) {
            Some(number) => NextState {
                number,
                warning: None,
            },
            None => NextState {
                number: 1,
                warning: Some("the largest state number was sent last".into()),
            },
        };
    }
    // Any number in it may have been sent.
    let readable = content
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse::<i32>().ok())
        .max()
        .unwrap_or(0);
    NextState {
        number: odd(readable.saturating_add(2)).max(odd(now)),
        warning: Some(format!("\"{}\" is no state number", content.escape_debug())),
    }
}

fn odd(number: i32) -> i32 {
    number | 1
}

fn now() -> i32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| (now.as_secs() & 0x7fff_ffff) as i32)
}

fn make_dir(dir: &Path, owner: (u32, u32)) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        other => other?,
    }
    chown(dir, Some(owner.0), Some(owner.1))?;
    durable::sync_dir(dir)?;
    dir.parent().map_or(Ok(()), durable::sync_dir)
}
