#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# End a network namespace of netns-up.sh, if it is there: netns-down.sh NAME

name=$1
state=/var/tmp/$name
[ -e "/run/netns/$name" ] || exit 0
[ ! -e "$state/nfsd/threads" ] || echo 0 >"$state/nfsd/threads"
while pids=$(ip netns pids "$name") && [ "$pids" ]; do
	# shellcheck disable=SC2086 # several words
	kill -9 $pids
	sleep 0.1
done
set -e
! mountpoint -q "$state/nfsd" || umount "$state/nfsd"
ip netns del "$name"
