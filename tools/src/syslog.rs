// SPDX-License-Identifier: GPL-2.0-only

//! Messages for whoever looks after the node: the system log, standard output and standard error.
//!
//! Nobody may be listening any more. That is no reason to stop in the middle, so it is not noticed,
//! where `println!` would panic.

use std::io::{
    self,
    Write, //
};
use std::os::unix::net::UnixDatagram;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Locks may be lost.
    Critical,
    /// To be known.
    Notice,
}

const LOG_DAEMON: u32 = 3 << 3;

/// Says it. Nothing can be done if nobody listens.
pub fn say(level: Level, text: &str) {
    log(level, text);
    error(&format!("nfs-failoverctl: {text}"));
}

/// Says it in the system log only.
pub fn note(text: &str) {
    log(Level::Notice, text);
}

fn log(level: Level, text: &str) {
    let priority = LOG_DAEMON
        | match level {
            Level::Critical => 2,
            Level::Notice => 5,
        };
    let line = format!(
        "<{priority}>nfs-failoverctl[{}]: {text}",
        std::process::id()
    );
    if let Ok(socket) = UnixDatagram::unbound() {
        // rpc.statd waits for us, we wait for nobody.
        let _ = socket.set_nonblocking(true);
        let _ = socket.send_to(line.as_bytes(), "/dev/log");
    }
}

/// Prints a line to standard error.
pub fn error(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a line to standard output.
pub fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
