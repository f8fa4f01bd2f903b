// SPDX-License-Identifier: GPL-2.0-only

//! `nfs-failoverctl`: moves an NFS filesystem and its floating IP between servers with its locks.
//!
//! The kernel side is nfs_failover.ko, whose pure logic this shares.

#[path = "../../rust/policy/mod.rs"]
pub mod policy;

pub mod announce;
pub mod apart;
pub mod awaited;
pub mod beneath;
pub mod boot;
pub mod callout;
pub mod check;
pub mod checksum;
pub mod cli;
pub mod commands;
pub mod config;
pub mod connections;
pub mod doctor;
pub mod durable;
pub mod edited;
pub mod error;
pub mod export;
pub mod exportcache;
pub mod exporttable;
pub mod generate;
pub mod grace;
pub mod group;
pub mod held;
pub mod host;
pub mod interface;
pub mod inuse;
pub mod journal;
pub mod key;
pub mod manifest;
pub mod mark;
pub mod mounts;
pub mod names;
pub mod nfsd;
pub mod notify;
pub mod now;
pub mod nsm;
pub mod ocf;
pub mod octal;
pub mod place;
pub mod ports;
pub mod program;
pub mod records;
pub mod release;
pub mod rpc;
pub mod scope;
pub mod services;
pub mod setup;
pub mod signals;
pub mod statd;
pub mod statedir;
pub mod status;
pub mod steps;
pub mod syslog;
pub mod takeover;
pub mod together;
pub mod turn;
pub mod udp;
