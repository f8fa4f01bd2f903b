// SPDX-License-Identifier: GPL-2.0-only

//! The module's pure logic, compiled for the host so that `cargo test` can run its tests.

#![no_std]

#[path = "../../rust/policy/mod.rs"]
pub mod policy;
