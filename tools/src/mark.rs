// SPDX-License-Identifier: GPL-2.0-only

//! The mark that a filesystem was taken over here. Of one with an address for itself, the address in
//! `floating_ips` says it; where several are behind one, that may be there for the others only, as this
//! one was written into the configuration file since.
//!
//! It is left when the recovery has begun, and removed with the locks. No mark outlives a boot.

use crate::error::{
    Context,
    Result, //
};
use crate::host::Host;
use crate::policy::fsid::Fsid;
use crate::turn;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{
    SystemTime,
    UNIX_EPOCH, //
};

fn place(host: &Host, fsid: Fsid) -> PathBuf {
    turn::place(host, &format!("taken-over-{fsid}"))
}

/// Which boot this is.
fn boot(host: &Host) -> String {
    let id = fs::read_to_string(host.proc().join("sys/kernel/random/boot_id"));
    id.unwrap_or_default().trim().into()
}

/// Which command this is: what one takes over recovers together.
fn command() -> &'static str {
    static COMMAND: OnceLock<String> = OnceLock::new();
    COMMAND.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        format!("{now}-{}", std::process::id())
    })
}

/// Leaves the mark of this command.
pub fn leave(host: &Host, fsid: Fsid) -> Result<()> {
    let path = place(host, fsid);
    let text = format!("{}\n{}\n", boot(host), command());
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&path, text))
        .context(|| format!("cannot write {}", path.display()))
}

/// Which command has taken it over, if one has since this machine was booted. What cannot be read is no
/// mark: then no list says what clients have, and they get the time to reclaim.
pub fn read(host: &Host, fsid: Fsid) -> Option<String> {
    let text = fs::read_to_string(place(host, fsid)).ok()?;
    let (of, command) = text.strip_suffix('\n')?.split_once('\n')?;
    (of == boot(host) && !command.is_empty()).then(|| command.into())
}

/// Removes it.
pub fn remove(host: &Host, fsid: Fsid) -> Result<()> {
    let path = place(host, fsid);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
