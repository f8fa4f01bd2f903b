// SPDX-License-Identifier: GPL-2.0-only

//! The module's pure logic, and its lists, compiled for the host so that `cargo test` can run their
//! tests.

#![no_std]

#[path = "../../rust/policy/mod.rs"]
pub mod policy;

// Lists write into memory that they have room for; what uses the rest of them is in the kernel.
#[allow(dead_code, unsafe_code)]
#[path = "../../rust/ledger/mod.rs"]
mod ledger;
