// SPDX-License-Identifier: GPL-2.0-only

//! statd does not call out again for a client it knows, so what could not be recorded at once is
//! tried again in the background.

use super::{
    service_of,
    Pair, //
};
use crate::config::Config;
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::Host;
use crate::nfsd::Nfsd;
use crate::syslog::{
    say,
    Level, //
};
use nix::fcntl::{
    Flock,
    FlockArg, //
};
use nix::unistd;
use std::fs::{
    self,
    OpenOptions, //
};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{
    Command,
    Stdio, //
};
use std::thread::sleep;
use std::time::Duration;

const TRIES: u32 = 3600;
const PAUSE: Duration = Duration::from_secs(1);

/// Starts this program with `arguments` as nobody's child.
///
/// It is a new program, not a fork: that needs no unsafe code. Two generations, so that statd never
/// gets a child that it does not know.
pub fn detach(arguments: &[String]) -> Result<()> {
    let status = Command::new("/proc/self/exe")
        .args(["callout", "detach", "--"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context(|| "cannot start another process".into())?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::new("cannot start another process")),
    }
}

/// The middle generation.
pub fn detached(arguments: &[String]) -> Result<()> {
    // statd's sockets must not stay open when statd is restarted.
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")
        .context(|| "cannot read /proc/self/fd".into())?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        let _ = unistd::close(fd);
    }
    let _ = unistd::setsid();
    Command::new("/proc/self/exe")
        .args(arguments)
        .current_dir("/")
        .spawn()
        .map(drop)
        .context(|| "cannot start another process".into())
}

/// Tries until the client is recorded, somebody else is at it, or the address has left.
pub fn retry(config: &Config, host: &Host, client: &str, my_name: &str) -> Result<()> {
    let Some(service) = service_of(config, my_name) else {
        return Ok(());
    };
    let ip = service.ip;
    // A name that statd skips, in a place where its user can write. A bad client name is not tried.
    if let Some(why) = crate::statedir::bad_name(client.as_bytes()) {
        return Err(Error::new(format!("client name {why}")));
    }
    let mut name = format!(".nfs-failover-{ip}-{client}");
    name.truncate(255);
    let path = config.statd_dir.join("sm").join(name);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .context(|| format!("cannot open {}", path.display()))?;
    let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
        return Ok(());
    };
    let pair = Pair {
        client,
        service,
        policy: config.on_record_failure,
        host,
    };
    let mut last = Ok(());
    for at in 1..=TRIES {
        sleep(PAUSE);
        if !path.exists() {
            // The way to stop this by hand.
            return last;
        }
        last = pair.record_and_confirm();
        if last.is_ok() {
            say(
                Level::Notice,
                &format!("client {client} of floating IP {ip} is recorded now, after {at} s"),
            );
            break;
        }
        if Nfsd::new(&host.nfsd).is_floating(ip) == Ok(false) {
            say(Level::Notice, &format!("client {client} of floating IP {ip} is not tried any more: the address is not served here"));
            break;
        }
    }
    if let Err(error) = &last {
        say(
            Level::Critical,
            &format!("client {client} of floating IP {ip} is still NOT RECORDED: {error}"),
        );
    }
    let _ = fs::remove_file(&path);
    last
}
