#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Tell the clients of a filesystem, from a floating address, that its server
# has restarted: nsm-notify.sh PATH ADDRESS
#
# The state number is kept on the filesystem: it has to differ from any sent
# before from this address, whichever node sent it.

set -e
files=$(dirname "$0")/nsm-files.py address=$2
# sm-notify moves the list away as it goes, and the next address needs it too.
work=$(mktemp -d /run/nsm.XXXXXX)
mkdir "$work/sm" "$work/sm.bak"
python3 -IS "$files" get "$1" "$work" sm state
# Of a client with addresses of both families sm-notify takes one that cannot be reached
# from an IPv6 address, so clients are named by their address in the right family.
case $address in
*:*) hosts=ahostsv6 ;;
*) hosts=ahostsv4 ;;
esac
for client in "$work"/sm/*; do
	[ -e "$client" ] || continue
	peer=$(getent "$hosts" -- "${client##*/}" | awk '{ print $1; exit }')
	case $peer in
	"" | ::ffff:*) rm "$client" ;;
	"${client##*/}") ;;
	*) mv "$client" "$work/sm/$peer" ;;
	esac
done
# Without anybody to tell, sm-notify would end lockd's own grace period.
[ -n "$(ls -A "$work/sm")" ] || exit 0
# An earlier one goes on for 15 minutes if a client does not answer. Its number is an older one, and
# a client that gets it reclaims again.
pkill -f "^sm-notify -f -v $address " || :
sm-notify -f -v "$address" -P "$work"
python3 -IS "$files" put "$1" state <"$work/state"
