#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Stop the NFS services and unload nfsd; lockd stays.

set -e
exportfs -ua
rpc.nfsd 0
for daemon in rpc.mountd nfsdcld; do
	for pid in $(pidof "$daemon"); do
		kill "$pid"
	done
done
modprobe lockd
umount /proc/fs/nfsd
tries=0
# The daemons need a moment to close nfsd's files.
until rmmod nfsd; do
	tries=$((tries + 1))
	[ "$tries" -lt 50 ]
	sleep 0.2
done
