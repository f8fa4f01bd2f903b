#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Start the NFS services of a server: server-up.sh NLM-GRACE NFSV4-GRACE THREADS
# (grace periods in seconds). Repeating it restarts nfsd, as after a crash of it.

set -e
dir=$(dirname "$0")
nlm_grace=$1 nfs4_grace=$2 threads=$3

sh "$dir/hosts.sh"
modprobe nfsd
modprobe lockd
mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
# Equal ports on all nodes, so that clients need not ask again after a move.
sysctl -q fs.nfs.nlm_grace_period="$nlm_grace" fs.nfs.nlm_tcpport=4001 fs.nfs.nlm_udpport=4001
pidof rpcbind >/dev/null || rpcbind -w
callout=/lab/statd-callout
mkdir -p /etc/nfs.conf.d
[ ! -e "$callout" ] || printf '[statd]\nha-callout=%s\n' "$callout" >/etc/nfs.conf.d/statd.conf
pidof rpc.statd >/dev/null || rpc.statd --no-notify -p 4002
pidof nfsdcld >/dev/null || nfsdcld
rpc.nfsd 0
# One scope in the whole cluster, or NFSv4 clients do not reclaim.
rpc.nfsd -S nfs-failover -G "$nfs4_grace" -L "$nfs4_grace" "$threads"
pidof rpc.mountd >/dev/null || rpc.mountd -p 4003
