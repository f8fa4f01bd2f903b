#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Tell the clients of a filesystem, from a floating address, that its server
# has restarted: nsm-notify.sh PATH ADDRESS
#
# The state number is kept on the filesystem: it has to differ from any sent
# before from this address, whichever node sent it.

set -e
dir=$1/.nsm address=$2
# Without anybody to tell, sm-notify would end lockd's own grace period.
[ -n "$(ls -A "$dir/sm")" ] || [ -n "$(ls -A "$dir/sm.bak")" ] || exit 0
# sm-notify moves the list away as it goes, and the next address needs it too.
work=$(mktemp -d /run/nsm.XXXXXX)
cp -a "$dir/." "$work/"
# Of a client with addresses of both families sm-notify takes one that cannot be reached
# from an IPv6 address, so clients are named by their address in the right family.
case $address in
*:*) hosts=ahostsv6 ;;
*) hosts=ahostsv4 ;;
esac
for client in "$work"/sm/* "$work"/sm.bak/*; do
	[ -e "$client" ] || continue
	peer=$(getent "$hosts" "${client##*/}" | awk '{ print $1; exit }')
	case $peer in
	"" | ::ffff:*) rm "$client" ;;
	"${client##*/}") ;;
	*) mv "$client" "${client%/*}/$peer" ;;
	esac
done
# As above: there may be none in this family.
[ -n "$(ls -A "$work/sm")" ] || [ -n "$(ls -A "$work/sm.bak")" ] || exit 0
# An earlier one goes on for 15 minutes if a client does not answer. Its number is an older one, and
# a client that gets it reclaims again.
pkill -f "^sm-notify -f -v $address " || :
sm-notify -f -v "$address" -P "$work"
cp "$work/state" "$dir/state.new"
sync "$dir/state.new"
mv "$dir/state.new" "$dir/state"
