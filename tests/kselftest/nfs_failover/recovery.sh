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

# is_told COMMAND: whether who polls failover_status is told of a command of nlm_set_igrace, and of nothing
# before, nor when it was read.
is_told() {
	python3 - "$CONTROL" "$1" <<-'END'
	import os, select, sys
	control, command = sys.argv[1:]
	status = os.open(f"{control}/failover_status", os.O_RDONLY)
	poll = select.poll()
	poll.register(status, select.POLLPRI)
	told = [poll.poll(0)]
	with open(f"{control}/nlm_set_igrace", "w") as file: file.write(command)
	told.append(poll.poll(0))
	os.pread(status, 4096, 0)
	told.append(poll.poll(0))
	sys.exit(told != [[], [(status, select.POLLPRI | select.POLLERR)], []])
	END
}

ktap_set_plan 11
check "a lock is granted before" can_lock /run/s1-3/free
check "the recovery begins" begin 60
check "the unit recovers" is_phase "$FSID" recovering
for vers in 3 4.2; do
	check "a new lock of NFSv$vers waits" waits "/run/s1-$vers/free"
	check "one on another filesystem does not" can_lock "/run/s2-$vers/free"
done
if command -v python3 >/dev/null; then
	check "who polls the status is told" is_told "$FSID 60"
else
	ktap_test_skip "who polls the status is told: python3 is not installed"
fi
check "it is ended by hand" begin 0
check "once" not begin 0
check "a new lock is granted" wait_for can_lock /run/s1-3/free
ktap_finished
