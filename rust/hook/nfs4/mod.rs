// SPDX-License-Identifier: GPL-2.0-only

//! Hooks of nfsd's NFSv4 server.
//!
//! Whether a request falls into a grace period, the hook of `opens_in_grace()` and `locks_in_grace()`
//! says, as for NLM. Here is what an answer of these two cannot do.

pub(super) mod client;
pub(super) mod complete;
pub(super) mod delegation;
pub(super) mod directory;
pub(super) mod opening;
pub(super) mod outcome;
pub(super) mod reclaim;
pub(super) mod revoke;
pub(super) mod shutdown;
pub(super) mod unnaming;
