#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Bring a server back to where a test finds it: server-clean.sh OWN-ADDRESS
#
# statd's list of clients stays: lockd, which remembers clients, names each only once.

set -e
own=$1
# It goes on in the background if a client does not answer.
pkill -x sm-notify || :
for address in $(ip -o addr show dev eth0 scope global | awk '{ print $4 }'); do
	case $address in
	"$own"/* | fd77::"${own##*.}"/*) ;;
	*) ip addr del "$address" dev eth0 ;;
	esac
done
exportfs -ua
exportfs -f
awk '$2 ~ "^/srv/" { print $2 }' /proc/mounts | sort -r | while read -r path; do
	echo "$path" >/proc/fs/nfsd/unlock_filesystem
	rm -rf "${path:?}"/* "${path:?}/.nsm"
	tries=0
	# nfsd closes the files it caches by and by.
	until umount "$path"; do
		tries=$((tries + 1))
		[ "$tries" -lt 150 ]
		# A request under way may have come after the first time.
		echo "$path" >/proc/fs/nfsd/unlock_filesystem
		sleep 0.2
	done
done
