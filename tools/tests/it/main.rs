// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the command, from the outside where that is possible.

mod callout;
mod common;
mod completions;
mod config;
mod lists;
mod network;
mod peer;
mod rpc;
mod statedir;
mod status;
mod steps;
