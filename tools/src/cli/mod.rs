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
use std::net::IpAddr;
use std::path::PathBuf;
use text::{
    ABOUT,
    AFTER,
    BOOT,
    CALLOUT,
    CONFIG,
    NOTIFY,
    RELEASE,
    STATUS,
    TAKEOVER, //
};

/// Move an NFS filesystem and its floating IP between servers with its locks
#[derive(Debug, Parser)]
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
        default_value = "/proc/fs/nfsd"
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
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
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
        /// Look again every S seconds
        #[arg(long, value_name = "S", num_args = 0..=1, default_missing_value = "1", value_parser = clap::value_parser!(u32).range(1..=3600))]
        watch: Option<u32>,
    },
    /// Remove floating IPs from rpc.statd's lists, before sm-notify runs
    #[command(long_about = BOOT)]
    Boot,
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
#[derive(Debug, Subcommand)]
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
#[derive(Debug, Subcommand)]
pub enum Event {
    /// A client is monitored from now on
    AddClient(EventArgs),
    /// A client is not monitored any more
    DelClient(EventArgs),
    /// A client says that it has restarted: nothing to do
    SmNotify(EventArgs),
    /// Try in the background
    #[command(hide = true)]
    Retry(EventArgs),
    /// Start something in the background
    #[command(hide = true)]
    Detach {
        /// The command line
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

/// statd's arguments.
#[derive(Args, Debug)]
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
}

/// Arguments of `release`.
#[derive(Args, Debug)]
pub struct ReleaseArgs {
    /// What
    #[command(flatten)]
    pub what: What,
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
}

/// Arguments of `takeover`.
#[derive(Args, Debug)]
pub struct TakeoverArgs {
    /// What
    #[command(flatten)]
    pub what: What,
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
#[derive(Args, Debug)]
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
