// SPDX-License-Identifier: GPL-2.0-only

//! The command line, and with it the man pages.

mod text;

use crate::config::{
    parse_fsid,
    parse_ip, //
};
use crate::policy::fsid::Fsid;
use clap::{
    Args,
    Parser,
    Subcommand, //
};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use text::{
    ABOUT,
    AFTER,
    BOOT,
    CALLOUT,
    CONFIG,
    DOCTOR,
    NOTIFY,
    RECORDS,
    RELEASE,
    SETUP,
    STATUS,
    TAKEOVER, //
};

/// Move an NFS filesystem and its floating IP between servers with its locks
#[derive(Clone, Debug, Parser)]
#[command(name = "nfs-failoverctl", version, long_about = ABOUT, after_long_help = AFTER)]
pub struct Cli {
    /// Configuration file [default: /etc/nfs-failover.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON value on standard output; all else goes to standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but errors and results
    #[arg(long, global = true)]
    pub quiet: bool,
    /// The nfsd filesystem
    #[arg(
        long,
        global = true,
        hide = true,
        value_name = "DIR",
        default_value = crate::nfsd::DEFAULT_DIR
    )]
    pub nfsd: PathBuf,
    /// The list of mounts
    #[arg(
        long,
        global = true,
        hide = true,
        value_name = "FILE",
        default_value = "/proc/self/mountinfo"
    )]
    pub mountinfo: PathBuf,
    /// Where proc, sys, etc and run are
    #[arg(
        long,
        global = true,
        hide = true,
        value_name = "DIR",
        default_value = "/"
    )]
    pub root: PathBuf,
    /// Port of rpcbind on this machine
    #[arg(long, global = true, hide = true, value_name = "PORT", default_value_t = crate::nsm::RPCBIND_PORT)]
    pub local_rpcbind: u16,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The options that other processes of ours need.
    pub fn options(&self) -> Vec<String> {
        let config = self.config.iter().map(|path| ("--config", path));
        let paths = config.chain([
            ("--nfsd", &self.nfsd),
            ("--mountinfo", &self.mountinfo),
            ("--root", &self.root),
        ]);
        let port = ("--local-rpcbind", self.local_rpcbind.to_string());
        paths
            .map(|(option, path)| (option, path.display().to_string()))
            .chain([port])
            .flat_map(|(option, value)| [option.into(), value])
            .collect()
    }
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Release a filesystem: the part of a move on the node that it leaves
    #[command(long_about = RELEASE)]
    Release(ReleaseArgs),
    /// Take over a filesystem: the part of a move, or after a crash, on the node that it comes to
    #[command(long_about = TAKEOVER)]
    Takeover(TakeoverArgs),
    /// Tell the clients of a floating IP that their server has restarted
    #[command(long_about = NOTIFY)]
    Notify(NotifyArgs),
    /// Show what is released or recovering
    #[command(long_about = STATUS)]
    Status {
        /// Look again when something has changed, and every S seconds
        #[arg(long, value_name = "S", num_args = 0..=1, default_missing_value = "1", value_parser = clap::value_parser!(u32).range(1..=3600))]
        watch: Option<u32>,
        /// Print, or write to FILE, numbers in the text format of Prometheus
        #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with_all = ["watch", "json"])]
        prometheus: Option<Option<PathBuf>>,
    },
    /// Compare the records of clients with what the kernel knows, and put them right
    #[command(long_about = RECORDS)]
    Records(RecordsArgs),
    /// Remove floating IPs from rpc.statd's lists, before sm-notify runs
    #[command(long_about = BOOT)]
    Boot,
    /// Give this node what it needs in files of others, once
    #[command(long_about = SETUP)]
    Setup(SetupArgs),
    /// Look for everything that makes this node lose locks later
    #[command(long_about = DOCTOR)]
    Doctor(DoctorArgs),
    /// The configuration file
    #[command(long_about = CONFIG)]
    Config {
        /// What to do with it
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Called by rpc.statd
    #[command(long_about = CALLOUT)]
    Callout {
        /// What statd reports
        #[command(subcommand)]
        event: Event,
    },
    /// Called by the cluster manager, with its parameters in the environment
    #[command(hide = true)]
    Ocf {
        /// What it wants
        action: String,
        /// Tell the clients when the address is up, in the background
        #[arg(long, hide = true)]
        wait: bool,
    },
    /// Write standard input to a file
    #[command(hide = true)]
    Store {
        /// Where the filesystem is mounted
        mount: PathBuf,
        /// The file
        file: PathBuf,
    },
    /// Become another program that gets all signals
    #[command(hide = true)]
    Exec {
        /// The program, and its arguments
        words: Vec<OsString>,
    },
    /// Write man pages or shell completions
    #[command(hide = true)]
    Generate {
        /// What to write
        what: Generated,
        /// Where to
        dir: PathBuf,
    },
}

/// What to do with the configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong with it; exit status 1 if anything is
    Check,
}

/// What `generate` writes.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Generated {
    /// Man pages.
    Man,
    /// Shell completions.
    Completions,
}

/// What statd reports.
#[derive(Clone, Debug, Subcommand)]
pub enum Event {
    /// A client is monitored from now on
    AddClient(EventArgs),
    /// A client is not monitored any more
    DelClient(EventArgs),
    /// A client says that it has restarted: nothing to do
    SmNotify(EventArgs),
    /// Record a client, as long as it takes
    #[command(hide = true)]
    Record(EventArgs),
    /// Remove the record of a client
    #[command(hide = true)]
    Forget(EventArgs),
}

/// statd's arguments.
#[derive(Args, Clone, Debug)]
pub struct EventArgs {
    /// The client
    #[arg(allow_hyphen_values = true)]
    pub mon_name: String,
    /// How the client knows us
    #[arg(allow_hyphen_values = true)]
    pub my_name: String,
    /// The client's state number
    #[arg(allow_hyphen_values = true)]
    pub state: Option<String>,
}

/// What is released or taken over.
#[derive(Args, Clone, Debug)]
pub struct What {
    /// Name of the service in the configuration
    pub service: Option<String>,
    /// Where the filesystem is mounted
    #[arg(long, value_name = "P")]
    pub path: Option<PathBuf>,
    /// The filesystem as in exports(5), a number or a UUID
    #[arg(long, value_name = "F", value_parser = parse_fsid)]
    pub fsid: Option<Fsid>,
    /// The floating IP
    #[arg(long, value_parser = parse_ip)]
    pub ip: Option<IpAddr>,
    /// Where what moves along is kept [default: .nsm in path]
    #[arg(long, value_name = "D")]
    pub state_dir: Option<PathBuf>,
    /// The list of locks [default: manifest in the state directory]
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Say what would be done, do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Go on whatever the step preflight finds
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `release`.
#[derive(Args, Clone, Debug)]
pub struct ReleaseArgs {
    /// What
    #[command(flatten)]
    pub what: What,
    /// Services with other floating IPs of the same filesystem, or other filesystems of its floating IP
    #[arg(value_name = "SERVICE", requires = "service", conflicts_with_all = ["path", "fsid", "ip", "state_dir", "manifest"])]
    pub also: Vec<String>,
    /// For how many seconds clients wait here for the other node [default: 90]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub fence: Option<u32>,
    /// Take the floating IP down
    #[arg(long)]
    pub address: bool,
    /// Unexport the filesystem
    #[arg(long)]
    pub unexport: bool,
    /// Unmount the filesystem
    #[arg(long)]
    pub umount: bool,
    /// Have nfsd forget NFSv4 clients even if they have something on other filesystems, too
    #[arg(long)]
    pub expire_nfs4: bool,
}

/// Arguments of `takeover`.
#[derive(Args, Clone, Debug)]
pub struct TakeoverArgs {
    /// What
    #[command(flatten)]
    pub what: What,
    /// Services with other floating IPs of the same filesystem, or other filesystems of its floating IP
    #[arg(value_name = "SERVICE", requires = "service", conflicts_with_all = ["path", "fsid", "ip", "state_dir", "manifest"])]
    pub also: Vec<String>,
    /// For how many seconds clients may reclaim [default: the kernel's grace period]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub grace: Option<u32>,
    /// Mount the filesystem
    #[arg(long)]
    pub mount: bool,
    /// Export it
    #[arg(long)]
    pub export: bool,
    /// Take the floating IP up
    #[arg(long)]
    pub address: bool,
    /// Do not tell the clients
    #[arg(long)]
    pub no_notify: bool,
    /// Do not mind if nobody is on record, as when it is served for the first time
    #[arg(long)]
    pub expect_none: bool,
    /// How many seconds to wait for the floating IP to come up
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub wait_address: u32,
    /// How many seconds to go on telling clients that do not answer
    #[arg(long, value_name = "S", default_value_t = 900)]
    pub notify_timeout: u32,
    /// Ports
    #[command(flatten)]
    pub ports: Ports,
}

/// Arguments of `notify`.
#[derive(Args, Clone, Debug)]
pub struct NotifyArgs {
    /// The floating IP
    #[arg(long, value_parser = parse_ip)]
    pub ip: IpAddr,
    /// Where its records are, if it is not in the configuration
    #[arg(long, value_name = "D")]
    pub state_dir: Option<PathBuf>,
    /// How many seconds to go on telling clients that do not answer
    #[arg(long, value_name = "S", default_value_t = 900)]
    pub timeout: u32,
    /// Even if clients would lose their locks
    #[arg(long)]
    pub force: bool,
    /// Ports
    #[command(flatten)]
    pub ports: Ports,
}

/// Arguments of `records`.
#[derive(Args, Clone, Debug)]
pub struct RecordsArgs {
    /// Go on, looking every 2 seconds, until no floating IP is active on this node
    #[arg(long, conflicts_with_all = ["forget", "ip"])]
    pub watch: bool,
    /// Remove the record of a client that will never come back
    #[arg(long, value_name = "CLIENT", requires = "ip")]
    pub forget: Option<String>,
    /// Which floating IP it used
    #[arg(long, value_parser = parse_ip, requires = "forget")]
    pub ip: Option<IpAddr>,
}

/// Arguments of `setup`.
#[derive(Args, Clone, Debug)]
pub struct SetupArgs {
    /// The NFSv4 server scope, the same on all nodes [default: as nfs.conf has it]
    #[arg(long, value_name = "NAME")]
    pub scope: Option<String>,
    /// Port of lockd [default: as nfs.conf has it, or 4001]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub lockd_port: Option<u16>,
    /// Port of rpc.statd [default: as nfs.conf has it, or 4002]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub statd_port: Option<u16>,
    /// Port of rpc.mountd [default: as nfs.conf has it, or 4003]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub mountd_port: Option<u16>,
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Replace our files even if somebody has changed them
    #[arg(long)]
    pub replace: bool,
    /// Restart nfs-server even if clients are served, who may lose locks
    #[arg(long)]
    pub restart: bool,
}

/// Arguments of `doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Only these services, and those that share their filesystems [default: all]
    pub services: Vec<String>,
    /// Show what is right as well
    #[arg(long)]
    pub all: bool,
    /// Only what is needed at boot: load the module, see whether it works and rpc.statd calls us
    #[arg(long, conflicts_with_all = ["services", "compare"])]
    pub quick: bool,
    /// Compare with what "doctor --json" has said on another node
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
}

/// Ports of NSM.
#[derive(Args, Clone, Debug)]
pub struct Ports {
    /// Port to notify from [default: a free one below 1024]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Port of rpcbind on the clients
    #[arg(long, hide = true, default_value_t = crate::nsm::RPCBIND_PORT)]
    pub rpcbind_port: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            port: None,
            rpcbind_port: crate::nsm::RPCBIND_PORT,
        }
    }
}
