#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An NFSv4.2 client is one of its own by a floating address, and gets back in a recovery what it had.

# shellcheck source=tests/kselftest/nfs_failover/lib.sh
. "$(dirname "$0")/lib.sh"
run_in_namespaces "$@"
serve

# The name of the client that has mounted by the floating address.
name() {
	sed -n 's/^name: "\(.*\)"$/\1/p' "$CONTROL"/clients/*/info | grep "@$OTHER\$"
}

expire() {
	for client in "$CONTROL"/clients/*; do
		! grep -q "^name: .*@$OTHER\"\$" "$client/info" || echo expire >"$client/ctl"
	done
}

# The server has that lock, of whomever.
is_held() {
	grep -q "POSIX.*:$(stat -c %i /srv/s1/held) " /proc/locks
}

ktap_set_plan 8
echo "+$OTHER" >"$CONTROL/floating_ips"
mkdir -p /run/floating
mount -t nfs -o vers=4.2,nosharecache "$OTHER:/srv/s1" /run/floating
check "a client has the address in its name" eval 'name >/dev/null'
# What somebody else has open is not delegated, and the server knows of its locks.
exec 9<>/srv/s1/held
hold /run/floating
check "it has a lock" wait_for is_held
check "another client does not get it" not can_lock /run/s1-3/held
echo "$FSID 60" >"$CONTROL/nlm_set_igrace"
expire
check "the lock is gone with the client" not is_held
ls /run/floating >/dev/null
check "it has reclaimed it" wait_for is_held
check "a new lock waits meanwhile" waits /run/s1-4.2/free
echo "$FSID 0" >"$CONTROL/nlm_set_igrace"
check "another client does not get it" not can_lock /run/s1-3/held
release_held
check "but when it is given up" wait_for can_lock /run/s1-3/held
exec 9>&-
umount -f -l /run/floating
ktap_finished
