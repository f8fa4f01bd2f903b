// SPDX-License-Identifier: GPL-2.0-only

//! What is kept of one floating IP on the filesystem that moves with it.
//!
//! `<state_dir>/<ip>/clients/<name>` says that this client has to be notified: the name is the
//! record, the file is empty. `<state_dir>/<ip>/state` is the last NSM state number that was sent
//! from this address by any node.
//!
//! Only `clients` belongs to statd's user, who records. All else is root's, and what is not is not
//! believed. A client may be root there, too: nothing here relies on what it finds.

use crate::beneath::{
    noun,
    Dir, //
};
use crate::config::Service;
use crate::error::{
    text,
    Context,
    Error,
    Result, //
};
use crate::host::Host;
use crate::place::Place;
use nix::fcntl::{
    Flock,
    FlockArg, //
};
use nix::unistd::{
    getegid,
    geteuid, //
};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::{
    SystemTime,
    UNIX_EPOCH, //
};

/// As many clients are told. Whoever can write there can make any number of names.
pub const MAX_CLIENTS: usize = 65_536;

/// As many names that are no record are passed over.
const MAX_GARBAGE: usize = 65_536;

/// As many of these are named.
const SHOWN_GARBAGE: usize = 20;

/// A state number, and what an editor leaves.
const MAX_STATE: u64 = 64;

/// statd's user has to pass, and nobody else has to look.
const DIR_MODE: u32 = 0o711;
const CLIENTS_MODE: u32 = 0o700;

/// The state of one floating IP.
#[derive(Clone, Debug)]
pub struct StateDir {
    place: Place,
    path: PathBuf,
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
    /// The state of a service. Nothing is created.
    pub fn of(service: &Service) -> Self {
        let state_dir = service.state_dir();
        Self {
            path: state_dir.join(service.ip.to_string()),
            place: Place::new(service, &state_dir),
            ip: service.ip,
        }
    }

    /// The same, but it is not there unless the filesystem is mounted.
    pub fn if_mounted(self, host: &Host) -> Self {
        Self {
            place: self.place.if_mounted(host),
            ..self
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open(&self) -> io::Result<Dir> {
        self.place.open()?.sub(Path::new(&self.ip.to_string()))
    }

    fn open_clients(&self) -> io::Result<Dir> {
        self.open()?.sub(Path::new("clients"))
    }

    fn clients_shown(&self) -> String {
        self.path.join("clients").display().to_string()
    }

    /// Whether there is a directory of clients.
    pub fn exists(&self) -> bool {
        self.open_clients().is_ok()
    }

    /// What of the directories is not as [`create`](Self::create) makes them.
    pub fn problems(&self, statd: (u32, u32)) -> Vec<String> {
        let state_dir = self.place.path().to_owned();
        let mut dirs = vec![
            (self.path.clone(), self.open(), us(), DIR_MODE),
            (
                self.path.join("clients"),
                self.open_clients(),
                statd,
                CLIENTS_MODE,
            ),
        ];
        if self.place.is_ours() {
            dirs.insert(0, (state_dir, self.place.open(), us(), DIR_MODE));
        }
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        if let Some((path, ..)) = dirs
            .iter()
            .find(|(_, dir, ..)| matches!(dir, Err(error) if missing(error)))
        {
            return vec![format!("{} is missing", path.display())];
        }
        dirs.into_iter()
            .filter_map(|(path, dir, owner, mode)| {
                let why = match dir.and_then(|dir| dir.metadata()) {
                    Err(error) => text(&error),
                    Ok(found) if found.uid() != owner.0 => {
                        format!("it belongs to user {}, not {}", found.uid(), owner.0)
                    }
                    Ok(found) if found.mode() & 0o7777 != mode => {
                        format!("its mode is {:o}, not {mode:o}", found.mode() & 0o7777)
                    }
                    Ok(_) => return None,
                };
                Some(format!("{}: {why}", path.display()))
            })
            .collect()
    }

    /// Makes the directories as they have to be, durably. Returns what was in their place.
    pub fn create(&self, statd: (u32, u32)) -> Result<Vec<String>> {
        let mut replaced = Vec::new();
        let mut note = |path: &Path, was: Option<&str>| {
            replaced.extend(was.map(|was| format!("{} was {was}", path.display())));
        };
        let (dir, was) = self
            .place
            .make(us(), DIR_MODE)
            .context(|| format!("cannot create {}", self.place.path().display()))?;
        note(self.place.path(), was);
        let (dir, was) = dir
            .make(&self.ip.to_string(), us(), DIR_MODE)
            .context(|| format!("cannot create {}", self.path.display()))?;
        note(&self.path, was);
        let (_, was) = dir
            .make("clients", statd, CLIENTS_MODE)
            .context(|| format!("cannot create {}", self.clients_shown()))?;
        note(&self.path.join("clients"), was);
        Ok(replaced)
    }

    /// Records a client durably. Returns whether it is a new one.
    pub fn record(&self, name: &str) -> Result<bool> {
        good(name)?;
        let what = || format!("cannot record {name} in {}", self.clients_shown());
        let dir = self.open_clients().context(what)?;
        if let Some(file) = dir.create(name, 0o600).context(what)? {
            file.sync_all().and_then(|()| dir.sync()).context(what)?;
            return Ok(true);
        }
        let kind = dir.look(name).context(what)?.file_type();
        if kind.is_file() {
            // Whoever made it may have died before it was durable.
            dir.sync().context(what)?;
            return Ok(false);
        }
        // No record: they are files.
        dir.write(name, b"", 0o600, None).context(what)?;
        Ok(true)
    }

    /// Removes a client's record. Returns whether there was one.
    pub fn forget(&self, name: &str) -> Result<bool> {
        good(name)?;
        self.open_clients()
            .and_then(|dir| dir.remove(name))
            .context(|| format!("cannot remove {name} from {}", self.clients_shown()))
    }

    /// Lists the recorded clients. What does not look like a record is skipped.
    pub fn clients(&self) -> Result<Clients> {
        self.clients_up_to(MAX_CLIENTS)
    }

    /// As [`clients`](Self::clients), of at most so many.
    pub fn clients_up_to(&self, limit: usize) -> Result<Clients> {
        let (entries, all) = self
            .open_clients()
            .and_then(|dir| dir.list(limit + MAX_GARBAGE))
            .context(|| format!("cannot read {}", self.clients_shown()))?;
        let mut clients = Clients::default();
        for (name, kind) in entries {
            let bytes = name.as_encoded_bytes();
            if bytes.starts_with(b".") {
                // Half-written by somebody who died, or moved away.
                continue;
            }
            if let Some(why) = bad_name(bytes) {
                clients.garbage.push(format!("{name:?} {why}"));
            } else if !kind.is_file() {
                clients.garbage.push(format!("{name:?} is {}", noun(kind)));
            } else {
                clients.names.push(String::from_utf8_lossy(bytes).into());
            }
        }
        clients.names.sort();
        clients.garbage.sort();
        let more = clients.garbage.len().saturating_sub(SHOWN_GARBAGE);
        if more > 0 {
            clients.garbage.truncate(SHOWN_GARBAGE);
            clients
                .garbage
                .push(format!("{more} more that are no records"));
        }
        if !all || clients.names.len() > limit {
            clients.names.truncate(limit);
            clients.garbage.push(format!(
                "all but {} clients: there are more names than a server can have clients",
                clients.names.len()
            ));
        }
        Ok(clients)
    }

    /// Makes and keeps a state number that no node has sent from this address before.
    pub fn next_state(&self) -> Result<NextState> {
        let shown = self.path.join("state");
        let shown = shown.display();
        let context = || format!("cannot open the directory of the state number {shown}");
        let dir = self.open().context(context)?;
        let unknown = |why: String| NextState {
            number: odd(now()),
            warning: Some(why),
        };
        let next = match dir.read("state", MAX_STATE) {
            Ok(content) if content.metadata.uid() != us().0 => unknown(format!(
                "it belongs to user {}, so it is not believed",
                content.metadata.uid()
            )),
            Ok(content) => after(&content.bytes, now()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => NextState {
                number: odd(now()),
                warning: None,
            },
            Err(error) => unknown(format!("cannot read it: {}", text(&error))),
        };
        // A full or broken disk must not keep clients from being told. The clock makes the next
        // number another one.
        let lost = keep(&dir, next.number).err();
        let lost = lost.map(|error| format!("cannot keep it: {}", text(&error)));
        Ok(NextState {
            warning: next
                .warning
                .or(lost)
                .map(|why| format!("{shown}: {why}; {} is sent", next.number)),
            ..next
        })
    }

    /// Keeps a state number that another filesystem of the address has given. Returns what there is to
    /// say.
    pub fn keep_state(&self, number: i32) -> Option<String> {
        let kept = self.open().and_then(|dir| keep(&dir, number));
        kept.err().map(|error| {
            format!(
                "{}: cannot keep it: {}; {number} is sent",
                self.path.join("state").display(),
                text(&error)
            )
        })
    }

    /// Keeps others from notifying the clients of this address, as long as the result lives. [`None`] if
    /// somebody else does so.
    pub fn lock(&self) -> Result<Option<Flock<File>>> {
        let shown = self.path.display();
        let dir = self
            .open()
            .and_then(|dir| dir.file())
            .context(|| format!("cannot open {shown}"))?;
        match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(Error::new(format!("cannot lock {shown}: {}", error.desc()))),
        }
    }
}

fn keep(dir: &Dir, number: i32) -> io::Result<()> {
    dir.write("state", format!("{number}\n").as_bytes(), 0o600, None)
}

/// Whoever runs this, who is root but in tests.
fn us() -> (u32, u32) {
    (geteuid().as_raw(), getegid().as_raw())
}

fn good(name: &str) -> Result<()> {
    match bad_name(name.as_bytes()) {
        Some(why) => Err(Error::new(format!(
            "client name {name:?} {why}, it is not recorded"
        ))),
        None => Ok(()),
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
            // A client may have put an older number there, which clients would take for known: what
            // is there can only make the next one larger.
            Some(number) => NextState {
                number: number.max(odd(now)),
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
