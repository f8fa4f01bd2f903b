// SPDX-License-Identifier: GPL-2.0-only

//! `nfs-failoverctl`: moves an NFS filesystem and its floating IP between servers with its locks.
//!
//! The kernel side is nfs_failover.ko, whose pure logic this shares.

#[path = "../../rust/policy/mod.rs"]
pub mod policy;

pub mod boot;
pub mod callout;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod durable;
pub mod error;
pub mod export;
pub mod generate;
pub mod host;
pub mod nfsd;
pub mod notify;
pub mod nsm;
pub mod release;
pub mod rpc;
pub mod statd;
pub mod statedir;
pub mod status;
pub mod steps;
pub mod syslog;
pub mod takeover;
pub mod udp;
