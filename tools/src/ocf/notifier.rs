// SPDX-License-Identifier: GPL-2.0-only

//! The process that tells clients when the address is up, while the cluster manager goes on.
//!
//! It has a lock as long as it lives. Its number is beside it only to end it by.

use crate::config::Service;
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::Host;
use crate::notify;
use crate::turn;
use nix::fcntl::Flock;
use nix::sys::signal::{
    kill,
    Signal, //
};
use nix::unistd::Pid;
use std::fs::{
    self,
    File, //
};
use std::io::{
    self,
    Write, //
};
use std::process::{
    Command,
    Stdio, //
};
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

/// How long one may take to begin, or to end.
const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(50);

fn name(service: &Service) -> String {
    format!("notify-{}.lock", service.ip)
}

/// Starts one for a service, with these options and the environment that we have.
pub fn start(host: &Host, service: &Service, options: &[String]) -> Result<()> {
    let failed = |why: &str| {
        Error::new(format!(
            "nobody tells the clients of {} when it is up: {why}",
            service.ip
        ))
    };
    match fs::remove_file(notify::told(host, service.ip)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&error.to_string()));
        }
        _ => {}
    }
    let mut child = Command::new("/proc/self/exe")
        .args(options)
        .args(["--quiet", "ocf", "notify", "--wait"])
        .env(ONLY, &service.name)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context(|| "cannot start another process".into())?;
    let deadline = Instant::now() + PATIENCE;
    // That it was started does not mean that it does.
    while turn::only_one(host, &name(service))?.is_some() {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(failed(&format!("the process ended ({status})")));
        }
        if Instant::now() >= deadline {
            return Err(failed("the process does not begin"));
        }
        sleep(PAUSE);
    }
    Ok(())
}

/// Which service of the resource a process is to tell the clients of.
pub const ONLY: &str = "NFS_FAILOVER_NOTIFY";

/// The process begins. Who looks whether there is one has the lock for a moment, too.
pub fn begin(host: &Host, service: &Service) -> Result<Flock<File>> {
    let deadline = Instant::now() + PATIENCE / 2;
    loop {
        if let Some(mut lock) = turn::only_one(host, &name(service))? {
            lock.set_len(0)
                .and_then(|()| write!(lock, "{}", std::process::id()))
                .context(|| format!("cannot write {}", name(service)))?;
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            return Err(Error::new("the clients are being told already"));
        }
        sleep(PAUSE);
    }
}

/// Whether the clients of a service are being told, or have been.
pub fn has_told(host: &Host, service: &Service) -> Result<bool> {
    // It notes that it has told them before it ends.
    Ok(turn::only_one(host, &name(service))?.is_none() || notify::told(host, service.ip).exists())
}

/// Whether a process is one of these.
fn tells(number: i32) -> bool {
    let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
    number > 1 && line.ends_with(b"\0ocf\0notify\0--wait\0")
}

/// Ends the one of a service, and waits for that.
pub fn end(host: &Host, service: &Service) -> Result<()> {
    let begun = Instant::now();
    loop {
        if turn::only_one(host, &name(service))?.is_some() {
            return Ok(());
        }
        let number = fs::read_to_string(turn::place(host, &name(service))).unwrap_or_default();
        if begun.elapsed() >= PATIENCE {
            return Err(Error::new(format!(
                "process {number}, which tells the clients of {}, cannot be ended",
                service.ip
            )));
        }
        // Who only looks whether there is one has the lock, too, and has written nothing.
        if let Some(number) = number.trim().parse().ok().filter(|number| tells(*number)) {
            let signal = match begun.elapsed() >= PATIENCE / 2 {
                true => Signal::SIGKILL,
                false => Signal::SIGTERM,
            };
            let _ = kill(Pid::from_raw(number), signal);
        }
        sleep(PAUSE);
    }
}
