#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Each control file is there, and refuses what it does not understand without doing anything.

# shellcheck source=tests/kselftest/nfs_failover/lib.sh
. "$(dirname "$0")/lib.sh"
run_in_namespaces "$@"
serve

is_private() {
	[ "$(stat -c %a:%u "$CONTROL/$1")" = 600:0 ]
}

is_idle() {
	[ "$(cut -d' ' -f1-2 "$CONTROL/failover_status")" = "totals units=0" ]
}

# refuses FILE TEXT...
refuses() {
	file=$1
	shift
	for text; do
		refused "$file" "$text" && is_idle || return 1
	done
}

long=$(head -c 5000 /dev/zero | tr '\0' 1)

ktap_set_plan 14
for file in nlm_unlock nlm_set_igrace resume_ip lock_manifest floating_ips failover_status; do
	check "$file is there, for root only" is_private "$file"
done
check "hooks are live" grep -q hooks=live "$CONTROL/failover_status"
check "nlm_unlock refuses" refuses nlm_unlock "x" "-1" "4294967296" "1 2" "1 fence=" "1 fence=86401" \
	"1 fence=1 1" "$long"
check "nlm_set_igrace refuses" refuses nlm_set_igrace "x" "1 x" "1 86401" "1 2 3" "$long"
check "resume_ip refuses" refuses resume_ip "$IP" "$IP srv 5" "1.2.3 /srv/s1" "0.0.0.0 /srv/s1" \
	"224.0.0.1 /srv/s1" "$IP /srv/none 5" "$IP /srv/s1 86401" "$long"
check "lock_manifest refuses" refuses lock_manifest "x" "$FSID" "nfs-failover-manifest 9
" "$long"
check "floating_ips refuses" refuses floating_ips "x" "+" "+x" "+0.0.0.0" "+$IP $IP" "$long"
check "failover_status refuses" refused failover_status "x"
check "nothing is active" is_idle
ktap_finished
