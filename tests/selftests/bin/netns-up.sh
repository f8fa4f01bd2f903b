#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Serve the same exports in a second network namespace of this machine too:
# netns-up.sh NAME ADDRESS THREADS
#
# Its nfsd filesystem is then at /var/tmp/NAME/nfsd. Services in it have a mount
# namespace of their own for what is found by path: nfsd's filesystem, rpcbind's
# socket, pid files. Ended by netns-down.sh.

set -e
dir=$(dirname "$0")
name=$1 address=$2 threads=$3
state=/var/tmp/$name

ip netns add "$name"
ip link add link eth0 name mv0 netns "$name" type macvlan mode bridge
ip -n "$name" link set lo up
ip -n "$name" link set mv0 up
ip -n "$name" addr add "$address/24" dev mv0
rm -rf "$state"
mkdir -p "$state/nfsd" "$state/run"
# Only the network namespace is another: the mount is there for all to see.
nsenter --net="/run/netns/$name" mount -t nfsd nfsd "$state/nfsd"
# Filesystems that come and go later come and go in its mount namespace, too.
mount --make-rshared /
setsid nsenter --net="/run/netns/$name" unshare --mount --propagation slave \
	sh "$dir/netns-services.sh" "$state" "$threads" >"$state/log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$state/pid"
until [ -e "$state/up" ]; do
	if ! kill -0 "$pid" 2>/dev/null; then
		cat "$state/log" >&2
		exit 1
	fi
	sleep 0.1
done
# Nobody has locks to reclaim; nfsd sees that by itself.
nsenter --net="/run/netns/$name" sh -c 'echo Y >/proc/fs/lockd/nlm_end_grace'
[ "$(cat "$state/nfsd/v4_end_grace")" = Y ]
# Each macvlan has a MAC address of its own, and who was here before may be remembered.
ip netns exec "$name" python3 "$dir/announce.py" mv0 "$address"
