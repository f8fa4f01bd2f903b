// SPDX-License-Identifier: GPL-2.0-only

//! The active units: who is released or recovering, in which network namespace, until when.
//!
//! Hooks look at a snapshot under RCU; everything that changes it (control files, the expiry
//! timer, the end of a namespace) holds `REGISTRY` and may sleep. Lock order: `RELEASING`,
//! `REGISTRY`, then whatever the kernel takes below `locks_start_grace()`. `REGISTRY` is never
//! taken by a hook and never held while lockd's locks are released.
//!
//! The files are a ladder, and each uses only what stands below it: [`completion`],
//! [`handover`] and [`expiry`], [`release`], [`sweep`], [`registry`], [`pending`], [`gone`],
//! [`table`], [`held`], [`unit`], [`manifest`], [`span`],
//! [`counters`] and [`awaited`].

pub(crate) mod awaited;
mod capture;
mod census;
pub(crate) mod completion;
mod counters;
pub(crate) mod device;
pub(crate) mod expiry;
pub(crate) mod gone;
pub(crate) mod handover;
mod held;
mod history;
mod hosts;
pub(crate) mod manifest;
mod pending;
pub(crate) mod reader;
pub(crate) mod registry;
pub(crate) mod release;
mod span;
mod stages;
mod sweep;
pub(crate) mod table;
#[expect(clippy::module_inception)]
pub(crate) mod unit;
mod unlocks;
