// SPDX-License-Identifier: GPL-2.0-only

//! The command line, and with it the man pages.

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

const ABOUT: &str = "\
Move an NFS filesystem and its floating IP between servers with its locks.

Works with the kernel module nfs_failover. The filesystem, its floating IP and what is known of its
NFSv3 clients form a service; services are named in /etc/nfs-failover.toml, or given by --path, --fsid
and --ip.

A planned move is \"release\" on the node that is left and \"takeover\" on the one that it comes to.
After a crash it is \"takeover\" alone. Mount, export and floating IP are left to the cluster manager
unless told otherwise. Both can be repeated after an interruption at any point.";

const AFTER: &str = "\
Exit status:
  0  done
  1  failed; what was done and what was not is said
  2  the command line is wrong
  3  done as far as possible: a client has not answered, the floating IP is not up
     yet, or a step was not complete

Files:
  /etc/nfs-failover.toml       the configuration, see nfs-failoverctl-config(1)
  <state_dir>/<ip>/clients/    one file per recorded client, its name is the record
  <state_dir>/<ip>/state       the last NSM state number that any node sent for this IP
  <state_dir>/manifest         the locks of a released filesystem, until it is taken over
  /var/lib/nfs/sm, sm.bak      rpc.statd's own lists
  /proc/fs/nfsd/               the control files of nfs_failover";

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

const RELEASE: &str = "\
Release a filesystem: the part of a move on the node that it leaves. The steps are

  fence         locks are dropped, and clients that want new ones wait
  floating_ips  the kernel forgets the floating IP
  address       the floating IP goes down (--address)
  manifest      the list of the locks is put where takeover finds it
  statd         rpc.statd forgets the clients of the floating IP
  unexport      (--unexport)
  umount        (--umount)

Without --address, the floating IP should be down before this command, or go down right after it.
All of it can be repeated: the first manifest is kept, and the fence starts again.

A filesystem with several floating IPs is released once for each of them; --unexport and --umount
belong to the last.

Exit status 3: rpc.statd did not forget all clients.

Example: nfs-failoverctl release s1 --address --unexport --umount";

const TAKEOVER: &str = "\
Take over a filesystem: the part of a move, or after a crash, on the node that it comes to. The
steps are

  mount         (--mount), it has to be mounted from here on
  state_dir     the directory for the records of clients is created
  statd         rpc.statd forgets what it knows of the floating IP from earlier
  floating_ips  clients of the floating IP are recorded from now on
  manifest      the kernel gets the list of locks that \"release\" left, if there is one
  grace         clients may reclaim their locks
  export        (--export)
  address       the floating IP comes up (--address)
  notify        the recorded clients are told, from the floating IP

The order matters: a client that reclaims before the grace period, or finds the filesystem not
exported, loses its locks for good. A manifest can be used once, so it is removed before use; if the
kernel refuses it, all clients get the time to reclaim.

Without --address the clients are told only if the floating IP is up by then (--wait-address).

Exit status 3: the floating IP is not up yet, then \"nfs-failoverctl notify\" is left to do; or not
all clients have answered; or they are told, but new ones cannot be recorded.

Examples:
  nfs-failoverctl takeover s1 --mount --export --address
  nfs-failoverctl takeover --path /srv/s1 --fsid 1234 --ip 10.77.0.101 --no-notify";

const NOTIFY: &str = "\
Tell the recorded clients of a floating IP, and nobody else, that their server has restarted, so that
they reclaim their locks (SM_NOTIFY of the NSM protocol, from the floating IP).

The state number is greater than any sent for this IP by any node; it is kept on the filesystem
before the first packet leaves. Each client is told under the IP and under the name that the IP
has in the DNS, if it has one. Clients that do not answer are asked again after 0.25 s, 0.5 s, 1 s and
so on up to every 30 s.

Refuses if the filesystem does not recover on this node, as clients would lose their locks, and
stops when the recovery is over. Neither a grace period nor rpc.statd's own lists are touched.

Exit status: 0 all clients have answered, or there are none; 1 nothing was sent; 3 some clients have
not answered, they are listed with the reason.

Example: nfs-failoverctl notify --ip 10.77.0.101";

const STATUS: &str = "\
Show what is released or recovering on this node. MISSING counts recorded clients that hold no lock
yet; \"-\" if that cannot be known: the list of locks is not read while another filesystem is
released, as that would promise that its locks stay as they are.

A client that is missing may have had no locks any more, or not have been told yet.";

const BOOT: &str = "\
Remove the lines of all configured floating IPs from rpc.statd's lists sm and sm.bak. To be run at
boot before sm-notify, which would tell clients that the floating IP has restarted although another
node serves it by now: they would lose their locks. The drop-in rpc-statd-notify.service.d/
nfs-failover.conf does that.";

const CALLOUT: &str = "\
The program that rpc.statd runs when the kernel begins or ceases to monitor a client (its option -H,
or ha-callout= in the section [statd] of /etc/nfs.conf). Set it to
/usr/lib/nfs-failover/statd-callout.

add-client records a client of a floating IP durably before the kernel grants its first lock. If that
fails, it says so in the system log, and tries again every second in the background. Whether the lock
is granted is up to on_record_failure in the configuration. The directory of records is never
created here, takeover does it.

del-client removes the record, unless the floating IP has left this node.";

const CONFIG: &str = "\
The configuration file, /etc/nfs-failover.toml:

  on_record_failure = \"grant\"     # or \"refuse\": no lock without a durable record
  statd_dir = \"/var/lib/nfs\"      # rpc.statd's own directory
  [[service]]
  name = \"s1\"
  path = \"/srv/s1\"                # where the filesystem is mounted
  fsid = \"1234\"                   # as in exports(5), a number or a UUID
  ip = \"10.77.0.101\"              # the floating IP
  state_dir = \"/srv/s1/.nsm\"      # default: .nsm in path; must move with the filesystem
  grace = 90                      # seconds to reclaim; default: the kernel's
  fence = 90                      # seconds that clients wait on the node that is left
  device = \"/dev/sdb1\"            # for --mount
  mount_options = \"noatime\"       # for --mount
  interface = \"eth0\"              # for --address
  prefix = 24                     # for --address
  exports = [\"10.0.0.0/8:rw\"]     # for --export and --unexport, CLIENT:OPTIONS

Several services may have the same path and fsid, with different floating IPs.";

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
