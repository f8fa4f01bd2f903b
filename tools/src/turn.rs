// SPDX-License-Identifier: GPL-2.0-only

//! One move at a time on a node: two at once would undo each other's steps.

use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::Host;
use nix::errno::Errno;
use nix::fcntl::{
    Flock,
    FlockArg, //
};
use std::fs::{
    self,
    File,
    OpenOptions,
    Permissions, //
};
use std::io;
use std::os::unix::fs::{
    OpenOptionsExt,
    PermissionsExt, //
};
use std::path::{
    Path,
    PathBuf, //
};
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

/// How long a cluster manager gives a move (Documentation/operations.rst).
pub const LIMIT: Duration = Duration::from_secs(600);

/// How much of that it needs for itself.
pub const MOVE: Duration = Duration::from_secs(120);

const PAUSE: Duration = Duration::from_millis(100);

/// Where a file is that only we can open: who could open it might lock it, and keep us waiting.
pub fn place(host: &Host, name: &str) -> PathBuf {
    host.root.join("run/nfs-failover").join(name)
}

/// Makes the directory of these files. Others have to see what takeovers have left there, whatever our umask
/// is, or that of whoever made it.
pub fn make(dir: &Path) -> io::Result<()> {
    const MODE: u32 = 0o755;
    fs::create_dir_all(dir)?;
    match fs::metadata(dir)?.permissions().mode() & 0o7777 {
        MODE => Ok(()),
        _ => fs::set_permissions(dir, Permissions::from_mode(MODE)),
    }
}

fn open(path: &PathBuf) -> Result<File> {
    let open = || -> io::Result<File> {
        if let Some(dir) = path.parent() {
            make(dir)?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        // An earlier version let others read it.
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(file)
    };
    open().context(|| format!("cannot open {}", path.display()))
}

/// Takes the turn of doing something that one process does, unless somebody has it.
pub fn only_one(host: &Host, name: &str) -> Result<Option<Flock<File>>> {
    let path = place(host, name);
    match Flock::lock(open(&path)?, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(Error::new(format!(
            "cannot lock {}: {}",
            path.display(),
            error.desc()
        ))),
    }
}

/// Waits until no other release or takeover is at work; they wait as long as the result lives.
pub fn take(host: &Host) -> Result<Flock<File>> {
    take_within(host, LIMIT - MOVE)
}

/// The same for so long.
pub fn take_within(host: &Host, patience: Duration) -> Result<Flock<File>> {
    let path = place(host, "moves.lock");
    let mut file = open(&path)?;
    let deadline = Instant::now() + patience;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, Errno::EWOULDBLOCK)) if Instant::now() < deadline => file = back,
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(Error::new(format!(
                    "another release or takeover is still at work after {} s (fuser {}): nothing has changed",
                    patience.as_secs(),
                    path.display()
                )));
            }
            Err((_, error)) => {
                let (path, why) = (path.display(), error.desc());
                return Err(Error::new(format!("cannot lock {path}: {why}")));
            }
        }
        sleep(PAUSE);
    }
}
