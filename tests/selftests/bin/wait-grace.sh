#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Wait until neither lockd nor nfsd is in a grace period of its own:
# wait-grace.sh SECONDS

seconds=$1
while [ "$seconds" -gt 0 ]; do
	if [ "$(cat /proc/fs/lockd/nlm_end_grace)" = Y ] &&
		[ "$(cat /proc/fs/nfsd/v4_end_grace)" = Y ]; then
		exit 0
	fi
	sleep 1
	seconds=$((seconds - 1))
done
echo "still in grace" >&2
exit 1
