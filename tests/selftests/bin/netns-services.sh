#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Part of netns-up.sh, in the new namespaces: netns-services.sh STATE THREADS

set -ex
state=$1 threads=$2

mount -t nfsd nfsd /proc/fs/nfsd
# Exports are shared, what rpcbind and statd know is not.
mount --bind "$state/run" /run
mkdir -p /run/rpc_pipefs "$state/sm" "$state/sm.bak"
mount -t rpc_pipefs sunrpc /run/rpc_pipefs
chown statd "$state/sm" "$state/sm.bak"
mount --bind "$state/sm" /var/lib/nfs/sm
mount --bind "$state/sm.bak" /var/lib/nfs/sm.bak
rpcbind -w
rpc.statd --no-notify -p 4002
nfsdcld -s "$state"
rpc.nfsd -N 4 "$threads"
rpc.mountd -p 4003
touch "$state/up"
exec sleep 100000
