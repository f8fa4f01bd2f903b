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
  1  failed; what was done and what was not is said, and in the last line what is the
     case now
  2  the command line is wrong
  3  done as far as possible: a client has not answered, the floating IP is not up
     yet, or a step was not complete

Files:
  /etc/nfs-failover.toml       the configuration, see nfs-failover.toml(5)
  <state_dir>/<ip>/clients/    one file per recorded client, its name is the record
  <state_dir>/<ip>/state       the last NSM state number that any node sent for this IP
  <state_dir>/<ip>/connections TCP connections of clients, for the next node
  <state_dir>/manifest         the locks of a released filesystem, until it is taken over
  <state_dir>/manifest.nfs4    NFSv4 clients that had something there, and what
  <state_dir>/reserve          room for it
  /etc/nfs-failover.key        a secret of all nodes, with which they sign it
  /var/lib/nfs/sm, sm.bak      rpc.statd's own lists
  /etc/exports.d/nfs-failover* links to what takeover has exported, in /run/nfs-failover
  /proc/fs/nfsd/               the control files of nfs_failover";

pub(super) const RELEASE: &str = "\
Release a filesystem: the part of a move on the node that it leaves. The steps are

  preflight     what would make it stop half-way is looked for; nothing was done yet
  fence         locks are dropped, and clients that want new ones wait
  floating_ips  the kernel forgets the floating IP
  address       the floating IP goes down (--address); while clients may reclaim, that is first
  manifest      the list of the locks is put where takeover finds it
  unexport      all exports of the filesystem are withdrawn (--unexport)
  nfs4          NFSv4 clients that have it open are expired, and listed beside the manifest
  connections   those of clients are listed, for the next node to end
  umount        (--umount)
  statd         rpc.statd forgets the clients of the floating IP; nobody waits for that

preflight refuses an export of the filesystem without fsid= or with another than the service has, a
directory below with an fsid of its own, and, with --umount, everything with which the filesystem
could not be unmounted or would still be mounted somewhere: other mounts of it or on it, in any
mount namespace, processes that use it, swap files, loop devices, and NFSv4 clients that have
something on other filesystems, too, under the same name: unless --expire-nfs4 accepts that they lose
it. With --unexport or --umount, the address must be down or be taken down, or clients would get errors.
Where clients of NFSv4.1 or 4.2 have something, nfsd must have a scope (setup --scope) that other
nodes can have, too.
--force goes on all the same.

If the address cannot be taken down, or the filesystem not be unmounted, after locks were dropped,
the release is called off: what was withdrawn is put back, and clients get their locks back here.
Other failures cost what they are about, such as the manifest, and not the move.

Without --address, the floating IP should be down before this command, or go down right after it.
All of it can be repeated: the first manifest is kept if nothing more is dropped, a list of NFSv4
clients is not, and the fence starts again.

Filesystems that share a floating IP, and floating IPs that share a filesystem, can be named together:
each step is taken on all of them before the next, and nothing is released if one of them cannot be. All
filesystems of a floating IP have to be; --ip IP alone means them. If the floating IPs of a filesystem are
released one by one, --unexport and --umount belong to the last.

The last line says what is the case now. Exit status 1: refused, or called off, or not finished.
Exit status 3: released, but not all of it was complete.

Examples:
  nfs-failoverctl release s1 --address --unexport --umount
  nfs-failoverctl release s1 s2 --address --unexport --umount";

pub(super) const TAKEOVER: &str = "\
Take over a filesystem: the part of a move, or after a crash, on the node that it comes to. The
steps are

  preflight     what clients need is looked for; nothing was done yet
  mount         (--mount), it has to be mounted from here on
  state_dir     the directory for the records of clients is created
  statd         rpc.statd forgets what it knows of the floating IP from earlier
  grace         clients may reclaim their locks
  floating_ips  clients of the floating IP are recorded from now on
  nfs4          NFSv4 clients that nfsd has of an earlier time with the address are expired
  manifest      the kernel gets the list of locks that \"release\" left, if there is one
  export        (--export)
  address       the floating IP comes up (--address)
  notify        the recorded clients are told, from the floating IP, and connections to the node
                before are ended

The order matters: a client that reclaims before the grace period, or finds the filesystem not
exported, loses its locks for good. A manifest can be used once, so it is removed before use; if the
kernel refuses it, all clients get the time to reclaim.

preflight refuses a node on which clients could not get their locks back: nfsd has no threads or
does not serve NFSv3; rpcbind, rpc.statd, rpc.mountd or lockd do not answer; rpc.statd has no
ha-callout or another one; exports do not fit to the fsid of the service; or what --mount, --export and
--address need is not there. --force goes on all the same. That it serves NFSv4.1 or 4.2 with a scope
that only this node has (setup --scope), so that such clients do not even try, is exit status 3.

The exports are also written to /etc/exports.d, so that \"exportfs -r\" does not withdraw them; after
a restart of this node they are not there any more.

That nobody is on record is exit status 3, unless --expect-none says that it is right, as when the
filesystem is served for the first time, or a list of locks says that nobody held any.

Without --address the clients are told only if the floating IP is up by then (--wait-address).

A filesystem with several floating IPs has a service for each. Named together, all of them are taken over
before the clients of all are told, at the same time. Taken over one after the other, those that do not
answer are given up after 15 seconds if others are not told yet.

All filesystems of a floating IP have to be named together (--ip IP alone means them): it comes up when
all of them recover and are exported, and its clients are told once.

The last line says what is the case now. Exit status 3: the floating IP is not up yet, then
\"nfs-failoverctl notify\" is left to do; or not all clients have answered, or none is on record; or
they are told, but new ones cannot be recorded.

Examples:
  nfs-failoverctl takeover s1 --mount --export --address
  nfs-failoverctl takeover s1 s1-0 --mount --export --address
  nfs-failoverctl takeover --ip 10.77.0.101 --mount --export --address
  nfs-failoverctl takeover --path /srv/s1 --fsid 1234 --ip 10.77.0.101 --no-notify";

pub(super) const NOTIFY: &str = "\
Tell the recorded clients of a floating IP, and nobody else, that their server has restarted, so that
they reclaim their locks (SM_NOTIFY of the NSM protocol, from the floating IP).

The state number is greater than any sent for this IP by any node; it is kept on the filesystem
before the first packet leaves. Each client is told under the IP and under the name that the IP
has in the DNS, if it has one. Clients that do not answer are asked again after 0.25 s, 0.5 s, 1 s and
so on up to every 30 s, from the third time on from another port each time, and over TCP as well; also
those whose rpc.statd has no UDP port. A client that is on record by a name is told once that is known;
nobody else waits for it.

Ports are below 1024 and none of those that hardware or other services take (623, 664 and others, and
what /etc/bindresvport.blacklist has). With --port that one alone is used, for TCP, too.

Clients that believe in TCP connections to the node before, by the list that it has left, are made to
notice that these are gone, also if they use NFSv4. That changes nothing for any other connection.

Refuses if the filesystem, or one of several behind the IP, does not recover on this node, as clients
would lose their locks, and stops when the recovery is over. Of several, one whose recovery has begun by
the same takeover and is over before that of another one is no reason. Neither a grace period nor
rpc.statd's own lists are touched.

Exit status: 0 all clients have answered, or there are none; 1 nothing was sent; 3 some clients have
not answered, they are listed with the reason, or clients that the kernel knows are not on record.

Example: nfs-failoverctl notify --ip 10.77.0.101";

pub(super) const RECORDS: &str = "\
Compare whom the kernel knows, for each floating IP that is active on this node, with who is on
record. Records are on the filesystem that moves, where clients may be able to remove them. Who is
not on record is not told after a crash, and loses its locks. What is missing is made again, and so
is a directory that rpc.statd's user cannot write to.

With --watch this is done every 2 seconds, and what was wrong is said in the system log. Every 4
seconds the TCP connections to the floating IP are listed, too, for the node that takes over. takeover
sees to it that this is done: it starts nfs-failover-records.service, or, without systemd, this command.

A client that is gone for good is told of each takeover, and never answers. --forget removes its
record, unless it has locks.

Exit status: 0 all are on record, 3 some were not, and are now; 1 some are not.

Examples:
  nfs-failoverctl records
  nfs-failoverctl records --forget 10.77.0.13 --ip 10.77.0.101";

pub(super) const STATUS: &str = "\
Show what is released or recovering on this node. MISSING counts recorded clients that hold no lock
yet; \"-\" if that cannot be known: the list of locks is not read while another filesystem is
released, as that would promise that its locks stay as they are.

A client that is missing may have had no locks any more, or not have been told yet.

NFSv4 clients are not on record. Where \"release\" has left a list of them, \"has not reclaimed yet\" names
those that have not completed their reclaims; NFSv4.0 clients never say so. After a crash it is not known.

The first line says whether all is well.

Then follow the floating IPs, and for each how many clients the kernel knows, how many are on record,
which are not, and how often the record of a client was lost since the address came here.

--watch looks again at once when a unit or a floating IP comes or goes, when a recovery is over, when a
unit has its lists, when the first reclaim of it is refused, and when locks were taken away. What only
changes other numbers, or records, is seen after S seconds. Meanwhile the module cannot be unloaded, nor
/proc/fs/nfsd unmounted.

--json prints one object, described by /usr/share/nfs-failover/status.schema.json; its \"version\" rises
when something is not there any more or means something else. --prometheus prints numbers in the text
format of Prometheus; nfs-failover-metrics.timer has the textfile collector get them every 15 seconds.

Exit status 3: a client is not on record, or clients cannot be recorded, or reclaims were refused by
what is released or recovering: these locks are lost; or the module's hooks are dead, or locks were
taken away. With --prometheus it is 0, or 1 if not all could be seen.";

pub(super) const BOOT: &str = "\
Remove the exports that takeover has left in /etc/exports.d if this node has restarted since, and all
configured floating IPs from rpc.statd's lists sm and sm.bak, but for those that are active
on this node; if rpc.statd runs, it forgets them, too. To be run at boot before sm-notify, which would
tell clients that the floating IP has restarted although another node serves it by now: they would
lose their locks. The drop-in rpc-statd-notify.service.d/nfs-failover.conf does that.";

pub(super) const CALLOUT: &str = "\
The program that rpc.statd runs when the kernel begins or ceases to monitor a client (its option -H,
or ha-callout= in the section [statd] of /etc/nfs.conf). Set it to
/usr/lib/nfs-failover/statd-callout.

add-client records a client of a floating IP durably before the kernel grants its first lock. If that
fails, or takes more than 3 seconds, it says so in the system log, and goes on in the background, where
it tries every second. Whether the lock is granted is up to on_record_failure in the configuration. The
directory of records is never created here, takeover does it.

del-client removes the record, unless the floating IP has left this node, or the client's locks were
taken away because nfsd was stopped: such a client has to be told to reclaim.";

pub(super) const SETUP: &str = "\
Give this node what it needs in files of others, on all nodes with the same --scope and ports:

  /etc/nfs.conf.d/nfs-failover-setup.conf  scope of nfsd, fixed ports, ha-callout, lift-grace=n
  /etc/modprobe.d/nfs-failover.conf        ports of lockd
  /etc/modules-load.d/nfs-failover.conf    the module

and have it come into force: nfs-failover.service is enabled, the module loaded, rpc-statd and nfs-server
are restarted, but only if they run otherwise than they should. nfs-server is restarted only if it was
seen that nobody is served: else exit status 3 says that it is left to do, or --restart does it. NFSv4
clients then reclaim in nfsd's grace period; NFSv3 clients are not told and lose their locks.

It can be repeated. What it writes is shown. A file that somebody has changed is not overwritten, the
lines that would be lost are said; --replace does it. A file of another name that says something else
and counts is named. If a step fails, all files are put back. The last line says what is the case.

Exit status: 0 done; 1 failed, all files are as they were, or the last line says so; 3 something is left
to do.

Example: nfs-failoverctl setup --scope cluster1 --dry-run";

pub(super) const DOCTOR: &str = "\
Look for everything that makes this node lose locks later: the kernel and the one of the next boot, the
module, rpc.statd and its callout, sm-notify, the NFSv4 scope, ports, the configuration, what is mounted,
exported and up, the clock, fencing. What is looked at is what runs, not what files say.

Each finding says what is the case, what it costs, and what puts it right. What could not be looked at
is UNKNOWN, and not right.

--json prints all findings, and a description of this node. With --compare FILE, or - for standard input,
that of another node is compared with this one; nothing else tells that the nodes differ.

--quick is for nfs-failover.service at boot. It is the only one that changes something: it loads the
module.

Exit status: 0 all is right; 1 something is wrong; 3 something should be otherwise, or could not be
looked at.

Examples:
  nfs-failoverctl doctor
  ssh b nfs-failoverctl doctor --json | nfs-failoverctl doctor --compare -";

pub(super) const CONFIG: &str = "\
The configuration file, /etc/nfs-failover.toml. What it may have is in nfs-failover.toml(5).";
