// SPDX-License-Identifier: GPL-2.0-only

//! The OCF resource agent `ocf:nfs-failover:nfslocks`: what it is told, what it sees, and what that
//! means. What it does about it is in [`crate::commands`].
//!
//! Nothing is remembered from one call to the next: all that it knows it has seen in this call.

pub mod facts;
pub mod held;
pub mod judge;
pub mod metadata;
pub mod notifier;
pub mod parameters;
pub mod services;

use std::fmt;

/// The exit status of an action, as the Open Cluster Framework numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Done, or running.
    Success = 0,
    /// Failed, or not to be seen.
    Generic = 1,
    /// Something of this node does not fit to what is asked for: not on this node.
    Arguments = 2,
    /// No such action.
    Unimplemented = 3,
    /// Something is not installed: not on this node.
    Installed = 5,
    /// What the whole cluster has of this resource is wrong: on no node.
    Configured = 6,
    /// It was seen not to run.
    NotRunning = 7,
    /// It runs, and something is to be mended.
    Degraded = 190,
}

/// What an action ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The exit status.
    pub code: Code,
    /// What the cluster manager shows to people; empty if there is nothing to say.
    pub reason: String,
}

impl Answer {
    /// With something to say.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }

    /// All is well.
    pub fn success() -> Self {
        Self::new(Code::Success, "")
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
