#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# nlm_set_igrace: a grace period of one filesystem.

# shellcheck source=tests/kselftest/nfs_failover/lib.sh
. "$(dirname "$0")/lib.sh"
run_in_namespaces "$@"
serve

begin() {
	echo "$FSID $1" >"$CONTROL/nlm_set_igrace"
}

ktap_set_plan 10
check "a lock is granted before" can_lock /run/s1-3/free
check "the recovery begins" begin 60
check "the unit recovers" is_phase "$FSID" recovering
for vers in 3 4.2; do
	check "a new lock of NFSv$vers waits" waits "/run/s1-$vers/free"
	check "one on another filesystem does not" can_lock "/run/s2-$vers/free"
done
check "it is ended by hand" begin 0
check "once" not begin 0
check "a new lock is granted" wait_for can_lock /run/s1-3/free
ktap_finished
