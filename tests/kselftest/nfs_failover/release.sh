#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# nlm_unlock: what clients hold on one filesystem is dropped and they wait; others notice nothing.

# shellcheck source=tests/kselftest/nfs_failover/lib.sh
. "$(dirname "$0")/lib.sh"
run_in_namespaces "$@"
serve

# Nobody holds anything of s1 for the server any more.
is_dropped() {
	! grep -q "POSIX.*:$(stat -c %i /srv/s1/held) " /proc/locks
}

release() {
	exec 3<>"$CONTROL/nlm_unlock"
	echo "$FSID fence=$1" >&3 && reply=$(cat <&3)
	exec 3>&-
	echo "$reply" | grep -q "^locks=$2 blocked=0 shares=0 .*manifest=$3"
}

ktap_set_plan 8
hold /run/s1-3
check "a lock on the filesystem is counted and listed" release 8 1 complete
check "it is dropped" is_dropped
check "the unit is released" is_phase "$FSID" released
check "a new lock waits" waits /run/s1-3/free
check "one on another filesystem does not" can_lock /run/s2-3/free
check "the fence ends" wait_for is_phase "$FSID" ""
check "a new lock is granted then" wait_for can_lock /run/s1-3/free
check "fence=0 drops, and keeps nobody waiting" sh -c \
	"echo '$FSID fence=0' >$CONTROL/nlm_unlock && ! grep -q 'unit fsid=$FSID ' $CONTROL/failover_status"
ktap_finished
