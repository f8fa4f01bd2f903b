// SPDX-License-Identifier: GPL-2.0-only

//! Whose turn it is to write records of a floating IP.
//!
//! While a filesystem is frozen, or its disk does not answer, who writes to it sleeps and cannot
//! even be killed. One process at a time writes, and has this lock, which is not on that filesystem.
//! How long it has had it tells others that waiting is useless.

use crate::config::Config;
use crate::error::{
    Context,
    Result, //
};
use nix::fcntl::{
    Flock,
    FlockArg, //
};
use std::fs::{
    File,
    OpenOptions, //
};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{
    Duration,
    SystemTime, //
};

/// How long statd, and with it lockd and all its clients, may wait for a record.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// The turn, as long as it lives.
pub struct Turn(Flock<File>);

/// A file of ours where statd's user can write. statd skips such names.
pub fn file(config: &Config, name: &str) -> PathBuf {
    let mut name = format!(".nfs-failover-{name}");
    name.truncate(255);
    config.statd_dir.join("sm").join(name)
}

/// Opens such a file, or makes it.
pub fn open(path: &PathBuf) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .context(|| format!("cannot open {}", path.display()))
}

impl Turn {
    /// Waits for it.
    pub fn wait(config: &Config, ip: IpAddr) -> Result<Self> {
        let path = file(config, &ip.to_string());
        let lock = Flock::lock(open(&path)?, FlockArg::LockExclusive)
            .map_err(|(_, error)| error)
            .context(|| format!("cannot lock {}", path.display()))?;
        Self(lock).begin()
    }

    /// Takes it, unless somebody has it.
    pub fn take(config: &Config, ip: IpAddr) -> Result<Option<Self>> {
        let file = open(&file(config, &ip.to_string()))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok();
        lock.map(|lock| Self(lock).begin()).transpose()
    }

    fn begin(self) -> Result<Self> {
        self.0
            .set_modified(SystemTime::now())
            .context(|| "cannot note the time".into())?;
        Ok(self)
    }

    /// Hands it to a child, as its standard input: it ends with that.
    pub fn hand_on(self) -> Result<Stdio> {
        let file = self.0.try_clone();
        // Unlocking it would take it from the child, too.
        std::mem::forget(self.0);
        file.map(Stdio::from)
            .context(|| "cannot hand a lock on".into())
    }
}

/// Whether somebody has been writing for too long.
pub fn hangs(config: &Config, ip: IpAddr) -> bool {
    let since = || {
        let file = open(&file(config, &ip.to_string())).ok()?;
        let (file, _) = Flock::lock(file, FlockArg::LockExclusiveNonblock).err()?;
        file.metadata().ok()?.modified().ok()?.elapsed().ok()
    };
    since().is_some_and(|since| since >= PATIENCE)
}
