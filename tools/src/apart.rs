// SPDX-License-Identifier: GPL-2.0-only

//! What may never end is done by a process of its own.
//!
//! Who writes to a frozen filesystem, or reads from a disk that has gone, sleeps in the kernel and
//! cannot be killed. So another process does it, and is left behind if it takes too long.

use crate::beneath::Dir;
use crate::config::Service;
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::place::Place;
use crate::program;
use crate::syslog;
use nix::libc::O_TMPFILE;
use std::fs::OpenOptions;
use std::io::{
    self,
    Read,
    Write, //
};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{
    Command,
    Stdio, //
};
use std::time::Duration;

/// A disk that works has written by then.
const PATIENCE: Duration = Duration::from_secs(15);

/// Writes a file of a service, or, without a text, tries whether one can be written where it is.
pub fn write(service: &Service, file: &Path, text: &[u8]) -> Result<()> {
    write_within(service, file, text, PATIENCE)
}

/// The same for who has more time than a disk that works needs, and less than one under load may.
pub fn write_within(service: &Service, file: &Path, text: &[u8], patience: Duration) -> Result<()> {
    let patience = patience.max(PATIENCE);
    let context = || "cannot start another process".into();
    let mut child = Command::new("/proc/self/exe")
        .arg("store")
        .args([&service.path, file])
        .current_dir("/")
        // What a terminal sends to us is not meant for it.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context(context)?;
    // It reads all before it does anything. If it has died, it does not answer either.
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(text);
    }
    let Some(mut output) = child.stdout.take() else {
        return Err(Error::new(context()));
    };
    if !program::wait_readable(output.as_fd(), patience).context(context)? {
        // If it wakes up, it is too late.
        let _ = child.kill();
        return Err(Error::new(format!(
            "{} does not answer within {} s: it is frozen, or its disk has gone",
            service.path.display(),
            patience.as_secs()
        )));
    }
    let mut said = String::new();
    let _ = output.read_to_string(&mut said);
    let _ = child.wait();
    match said.trim_end() {
        "done" => Ok(()),
        "" => Err(Error::new("the process that should do it has died")),
        why => Err(Error::new(why)),
    }
}

/// That process.
pub fn store(mount: &Path, file: &Path) -> u8 {
    let mut text = Vec::new();
    let result = io::stdin()
        .read_to_end(&mut text)
        .context(|| "cannot read".into())
        .and_then(|_| write_here(mount, file, &text));
    syslog::print(&match &result {
        Ok(()) => "done".into(),
        Err(error) => error.to_string(),
    });
    result.is_err().into()
}

/// As [`write`], for as long as it takes.
pub fn write_here(mount: &Path, file: &Path, text: &[u8]) -> Result<()> {
    let (Some(dir), Some(name)) = (
        file.parent(),
        file.file_name().and_then(|name| name.to_str()),
    ) else {
        return Err(Error::new(format!("{} is no file", file.display())));
    };
    let dir = Place::below(mount, dir).open();
    if !text.is_empty() {
        return dir
            .and_then(|dir| write_into(&dir, name, text))
            .context(|| format!("cannot write {}", file.display()));
    }
    // Whether it works does not matter, but that it ends. The file has no name: an NFSv4 client that has
    // a delegation of the directory would be asked to give it back, and cannot be when its address is
    // down.
    let _ = OpenOptions::new()
        .write(true)
        .mode(0o600)
        .custom_flags(O_TMPFILE)
        .open(mount)
        .and_then(|mut file| {
            file.write_all(b"x")?;
            file.sync_all()
        });
    Ok(())
}

/// Room that is kept for a file, beside it.
pub const RESERVE: &str = "reserve";

/// Writes a file into the room that is kept for it, if that is enough.
fn write_into(dir: &Dir, name: &str, text: &[u8]) -> io::Result<()> {
    match dir.fill(RESERVE, name, text) {
        Ok(()) => Ok(()),
        Err(_) => {
            let written = dir.write(name, text, 0o600, None);
            if written.is_err() && dir.remove(RESERVE).unwrap_or(false) {
                return dir.write(name, text, 0o600, None);
            }
            written
        }
    }
}
