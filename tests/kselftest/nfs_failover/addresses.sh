#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# resume_ip and floating_ips: what is done for one address of the server.

# shellcheck source=tests/kselftest/nfs_failover/lib.sh
. "$(dirname "$0")/lib.sh"
run_in_namespaces "$@"
serve

resume() {
	echo "$IP /srv/s1 $1" >"$CONTROL/resume_ip"
}

is_resumed() {
	grep -Eq "^unit path=/srv/s1 dev=[0-9]+:[0-9]+ ip=$IP phase=recovering " \
		"$CONTROL/failover_status"
}

is_floating() {
	floating | grep -Fqx "$1"
}

ktap_set_plan 10
check "the recovery of one address begins" resume 60
check "the unit recovers" is_resumed
check "a new lock waits" waits /run/s1-3/free
check "one on another filesystem does not" can_lock /run/s2-3/free
check "it is ended by hand" resume 0
check "a new lock is granted" wait_for can_lock /run/s1-3/free
echo "+$OTHER" >"$CONTROL/floating_ips"
check "an address becomes a floating one" is_floating "$OTHER"
check "another is none" not is_floating "$IP"
echo "-$OTHER" >"$CONTROL/floating_ips"
check "it is none any more" not is_floating "$OTHER"
check "once" refused floating_ips "-$OTHER"
ktap_finished
