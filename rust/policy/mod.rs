// SPDX-License-Identifier: GPL-2.0-only

//! What the module decides, as pure functions of plain data.
//!
//! Nothing here allocates, sleeps or knows the kernel: the module, the tools and the host tests
//! compile the same files. Adapters turn C structures into these types and verdicts back.

pub mod address;
pub mod command;
pub mod fsid;
pub mod line;
pub mod manifest;
pub mod nlm;
pub mod pair;
pub mod verdict;
pub mod words;
