// SPDX-License-Identifier: GPL-2.0-only

//! What went wrong, in words for an administrator.

use nix::libc::ETIMEDOUT;
use std::fmt;
use std::io;

/// A failure: a sentence that says what was wrong and, where it is known, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: String,
    errno: Option<i32>,
}

/// [`std::result::Result`] with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure that no system call is the reason of.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            errno: None,
        }
    }

    /// Something that has taken too long.
    pub fn timed_out(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            errno: Some(ETIMEDOUT),
        }
    }

    /// Whether it is that.
    pub fn is_timed_out(&self) -> bool {
        self.errno == Some(ETIMEDOUT)
    }

    /// The error number of the system call that failed.
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Says what was being done when a system call failed.
pub trait Context<T> {
    /// Puts `what` in front of the error.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error {
            message: format!("{}: {}", what(), text(&error)),
            errno: error.raw_os_error(),
        })
    }
}

impl<T> Context<T> for nix::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(io::Error::from).context(what)
    }
}

/// The error as `strerror` has it, without Rust's "(os error 28)".
pub fn text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_string(),
        None => error.to_string(),
    }
}
