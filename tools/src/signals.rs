// SPDX-License-Identifier: GPL-2.0-only

//! Signals in the middle of a move. A cluster manager that has lost its patience, a terminal that is
//! closed, Control-C, Control-\ or Control-Z would leave half of it done: they are held back until
//! the last line, which says that they came.
//!
//! They are blocked, not caught: nothing that the kernel does for us is interrupted. Threads inherit
//! that, and so do programs, which [`let_through`] puts right. SIGPIPE is ignored by Rust's runtime,
//! and nobody's reading is no reason to stop.

use crate::error::{
    Context,
    Result, //
};
use nix::sys::signal::{
    SigSet,
    Signal, //
};
use nix::sys::signalfd::{
    SfdFlags,
    SignalFd, //
};
use std::fs;
use std::sync::{
    Mutex,
    MutexGuard,
    PoisonError, //
};

const ALL: [Signal; 5] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGTSTP,
];

/// What is held back.
struct Held {
    waiting: SignalFd,
    came: Vec<Signal>,
}

static HELD: Mutex<Option<Held>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds signals back from now on. There may be one thread only.
pub fn hold() -> Result<()> {
    let context = || "cannot hold signals back, so nothing was done".into();
    let mut held = held();
    if held.is_some() {
        return Ok(());
    }
    // What nohup has us ignore stays ignored.
    let ignored = ignored();
    let signals = ALL
        .into_iter()
        .filter(|signal| ignored & (1 << (*signal as u32 - 1)) == 0);
    let set = SigSet::from_iter(signals);
    set.thread_block().context(context)?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    let waiting = SignalFd::with_flags(&set, flags).context(context)?;
    *held = Some(Held {
        waiting,
        came: Vec::new(),
    });
    Ok(())
}

/// Whether signals are held back.
pub fn are_held() -> bool {
    held().is_some()
}

/// The signals that came and were held back.
pub fn came() -> Vec<&'static str> {
    let mut held = held();
    let Some(held) = held.as_mut() else {
        return Vec::new();
    };
    while let Ok(Some(signal)) = held.waiting.read_signal() {
        let signal = Signal::try_from(signal.ssi_signo as i32);
        held.came
            .extend(signal.ok().filter(|signal| !held.came.contains(signal)));
    }
    held.came.iter().map(|signal| signal.as_str()).collect()
}

/// For programs that a process has started which holds signals back: none is.
pub fn let_through() -> Result<()> {
    SigSet::from_iter(ALL)
        .thread_unblock()
        .context(|| "cannot let signals through".into())
}

fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
