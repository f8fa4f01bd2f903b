# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034 # tests use what this does not
#
# What the tests of nfs_failover share: an NFS server in namespaces of its own, that is its own client.
# Nothing of the machine's own NFS server is touched, and nothing is left.
#
# A test sources this with its arguments, calls run_in_namespaces, which runs it again inside, where
# serve sets up two filesystems, and then its checks.

DIR=$(dirname "$0")
# shellcheck disable=SC1091 # it is the kernel's
. "$DIR/../kselftest/ktap_helpers.sh"

# Documentation addresses (RFC 5737), on the loopback interface.
IP=192.0.2.1
OTHER=192.0.2.2
CONTROL=/proc/fs/nfsd
FSID=1234

skip() {
	ktap_skip_all "$*"
	exit "$KSFT_SKIP"
}

# run_in_namespaces "$@": run this test again in a new network and a new mount namespace, and clean up.
run_in_namespaces() {
	[ -z "$NFS_FAILOVER_STATE" ] || return 0
	ktap_print_header
	[ "$(id -u)" -eq 0 ] || skip "must be run as root"
	[ -d /sys/module/nfs_failover ] || skip "the module nfs_failover is not loaded"
	for program in rpc.nfsd rpc.mountd rpc.statd rpcbind exportfs mount.nfs mkfs.ext4 losetup \
		unshare flock timeout ip; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
	[ -e /dev/loop-control ] || modprobe -q loop || skip "there are no loop devices"
	NFS_FAILOVER_STATE=$(mktemp -d /tmp/nfs_failover.XXXXXX)
	export NFS_FAILOVER_STATE
	# Mounts and addresses end with the last process. No process namespace: /proc/locks would not show
	# what the server holds for clients.
	unshare --net --mount sh "$0" "$@"
	status=$?
	rm -rf "$NFS_FAILOVER_STATE"
	exit "$status"
}

# serve: an NFS server with two filesystems, both mounted by NFSv3 and NFSv4.2.
serve() {
	trap stop EXIT
	if ! sh "$DIR/server.sh" "$NFS_FAILOVER_STATE" >"$NFS_FAILOVER_STATE/log" 2>&1; then
		sed 's/^/# /' "$NFS_FAILOVER_STATE/log"
		skip "no NFS server could be set up"
	fi
	for vers in 3 4.2; do
		for fs in s1 s2; do
			mkdir -p "/run/$fs-$vers"
			mount -t nfs -o "vers=$vers,nosharecache" "$IP:/srv/$fs" "/run/$fs-$vers" ||
				skip "cannot mount NFSv$vers by the loopback interface"
		done
	done
}

# What must not be left to the end of the namespaces: units, and who uses them.
stop() {
	# While the server is there to be told.
	[ -z "$HOLDER" ] || release_held
	umount -f -l -a -t nfs,nfs4
	for ip in $(floating); do
		echo "-$ip" >"$CONTROL/floating_ips"
	done
	exportfs -ua
	exportfs -f
	rpc.nfsd 0
	umount -l /srv/s1 /srv/s2
	end_processes
	for image in "$NFS_FAILOVER_STATE"/s?.img; do
		for loop in $(losetup -n -O NAME -j "$image"); do
			losetup -d "$loop"
		done
	done
} >/dev/null 2>&1

# All of this network namespace but this one.
end_processes() {
	net=$(readlink /proc/self/ns/net)
	for process in /proc/[0-9]*; do
		id=${process#/proc/}
		[ "$id" -eq $$ ] || [ "$(readlink "$process/ns/net")" != "$net" ] || kill -KILL "$id"
	done
}

floating() {
	sed -n 's/^ip=\([^ ]*\) .*/\1/p' "$CONTROL/floating_ips"
}

# hold DIRECTORY: lock a file there until release_held; another file than that of tests.
hold() {
	: >"$1/held"
	flock -x "$1/held" sh -c "echo held; exec sleep 1000" >"$NFS_FAILOVER_STATE/holder" &
	HOLDER=$!
	wait_for grep -q held "$NFS_FAILOVER_STATE/holder"
}

release_held() {
	pkill -P "$HOLDER"
	wait "$HOLDER" 2>/dev/null
	HOLDER=
}

# can_lock FILE: whether a lock is granted. A client that is told to wait does so in the kernel; 20 s are
# for machines that are busy.
can_lock() {
	timeout -s KILL 20 flock -x -n "$1" true
}

# waits FILE: whether a lock is neither granted nor refused.
waits() {
	timeout -s KILL 3 flock -x -n "$1" true
	[ $? -eq 137 ]
}

# wait_for COMMAND: until it succeeds, 30 s at most.
wait_for() {
	for _ in $(seq 150); do
		"$@" && return 0
		sleep 0.2
	done
	return 1
}

# phase FSID: "released", "recovering", "recovered", or nothing.
phase() {
	sed -n "s/^unit fsid=$1 phase=\([a-z]*\) .*/\1/p" "$CONTROL/failover_status"
}

is_phase() {
	[ "$(phase "$1")" = "$2" ]
}

# refused FILE TEXT: whether a control file refuses it.
refused() {
	! printf '%s' "$2" >"$CONTROL/$1"
} 2>/dev/null

# check DESCRIPTION COMMAND: a test that passes if the command succeeds.
check() {
	description=$1
	shift
	if "$@"; then
		ktap_test_pass "$description"
	else
		ktap_print_msg "failed: $*"
		ktap_test_fail "$description"
	fi
}

not() {
	! "$@"
}
