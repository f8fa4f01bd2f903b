// SPDX-License-Identifier: GPL-2.0-only

//! What the module decides, as pure functions of plain data.
//!
//! Nothing here allocates, sleeps or knows the kernel: the module, the tools and the host tests
//! compile the same files. Adapters turn C structures into these types and verdicts back.

pub mod address;
pub mod beside;
pub mod claim;
pub mod command;
pub mod fsid;
pub mod line;
pub mod lookup;
pub mod manifest;
pub mod nfs4;
pub mod nlm;
pub mod outcome;
pub mod pair;
pub mod phase;
pub mod prolong;
pub mod state;
pub mod time;
pub mod verdict;
pub mod words;
