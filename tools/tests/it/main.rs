// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the command, from the outside where that is possible.

mod addresses;
mod announce;
mod awaited;
mod behind;
mod byhand;
mod calledoff;
mod callout;
mod common;
mod completions;
mod config;
mod connections;
mod doctor;
mod full;
mod group;
mod held;
mod hostile;
mod lists;
mod lists_beside;
mod marks;
mod names;
mod network;
mod nfs4lists;
mod observed;
mod ocf;
mod peer;
mod ports;
mod preflight;
mod programs;
mod records;
mod release;
mod rpc;
mod services;
mod setup;
mod sharing;
mod signals;
mod silence;
mod statedir;
mod status;
mod takeover;
mod tickle;
mod together;
mod watch;
