// SPDX-License-Identifier: GPL-2.0-only

//! What is documentation rather than a reminder.

pub(super) const ABOUT: &str = "\
Move an NFS filesystem and its floating IP between servers with its locks.

Works with the kernel module nfs_failover. The filesystem, its floating IP and what is known of its
NFSv3 clients form a service; services are named in /etc/nfs-failover.toml, or given by --path, --fsid
and --ip.

A planned move is \"release\" on the node that is left and \"takeover\" on the one that it comes to.
After a crash it is \"takeover\" alone. Mount, export and floating IP are left to the cluster manager
unless told otherwise. Both can be repeated after an interruption at any point.";

pub(super) const AFTER: &str = "\
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

pub(super) const RELEASE: &str = "\
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

pub(super) const TAKEOVER: &str = "\
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

pub(super) const NOTIFY: &str = "\
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

pub(super) const STATUS: &str = "\
Show what is released or recovering on this node. MISSING counts recorded clients that hold no lock
yet; \"-\" if that cannot be known: the list of locks is not read while another filesystem is
released, as that would promise that its locks stay as they are.

A client that is missing may have had no locks any more, or not have been told yet.";

pub(super) const BOOT: &str = "\
Remove all configured floating IPs from rpc.statd's lists sm and sm.bak, but for those that are active
on this node; if rpc.statd runs, it forgets them, too. To be run at boot before sm-notify, which would
tell clients that the floating IP has restarted although another node serves it by now: they would
lose their locks. The drop-in rpc-statd-notify.service.d/nfs-failover.conf does that.";

pub(super) const CALLOUT: &str = "\
The program that rpc.statd runs when the kernel begins or ceases to monitor a client (its option -H,
or ha-callout= in the section [statd] of /etc/nfs.conf). Set it to
/usr/lib/nfs-failover/statd-callout.

add-client records a client of a floating IP durably before the kernel grants its first lock. If that
fails, it says so in the system log, and tries again every second in the background. Whether the lock
is granted is up to on_record_failure in the configuration. The directory of records is never
created here, takeover does it.

del-client removes the record, unless the floating IP has left this node.";

pub(super) const CONFIG: &str = "\
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
