#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Serve two filesystems in namespaces of lib.sh: server.sh STATE

set -ex
state=$1

mount --make-rprivate /
ip link set lo up
ip addr add 192.0.2.1/32 dev lo
ip addr add 192.0.2.2/32 dev lo
# What is found by path, and not by network namespace.
mount -t tmpfs tmpfs /run
mkdir -p /run/rpc_pipefs /run/lock "$state/nfs/sm" "$state/nfs/sm.bak" "$state/nfs/v4recovery"
cp -p /var/lib/nfs/state "$state/nfs/" 2>/dev/null || :
touch "$state/nfs/etab" "$state/nfs/rmtab" "$state/exports"
chmod 755 "$state" "$state/nfs"
! id statd >/dev/null 2>&1 || chown -R statd "$state/nfs/sm" "$state/nfs/sm.bak"
mount --bind "$state/nfs" /var/lib/nfs
# What this node exports is not there, and exportfs would fail because of it.
mkdir -p "$state/exports.d"
[ ! -e /etc/exports ] || mount --bind "$state/exports" /etc/exports
[ ! -d /etc/exports.d ] || mount --bind "$state/exports.d" /etc/exports.d
mount -t tmpfs tmpfs /srv
mount -t rpc_pipefs sunrpc /run/rpc_pipefs
mount -t nfsd nfsd /proc/fs/nfsd

for fs in s1 s2; do
	truncate -s 32M "$state/$fs.img"
	mkfs.ext4 -q -F "$state/$fs.img"
	mkdir -p "/srv/$fs"
	mount -o loop "$state/$fs.img" "/srv/$fs"
	touch "/srv/$fs/free" "/srv/$fs/held"
done

rpcbind -w
rpc.statd --no-notify
! command -v nfsdcld >/dev/null || nfsdcld -s "$state/nfs"
echo 10 >/proc/fs/nfsd/nfsv4leasetime
echo 10 >/proc/fs/nfsd/nfsv4gracetime
rpc.nfsd 2
rpc.mountd
exportfs -o rw,no_root_squash,sync,no_subtree_check,fsid=1234 '*:/srv/s1'
exportfs -o rw,no_root_squash,sync,no_subtree_check,fsid=5678 '*:/srv/s2'
# Nobody has locks to reclaim.
echo Y >/proc/fs/lockd/nlm_end_grace
for _ in $(seq 100); do
	[ "$(cat /proc/fs/nfsd/v4_end_grace)" != Y ] || exit 0
	sleep 0.2
done
exit 1
