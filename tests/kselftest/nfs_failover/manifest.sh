#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lock_manifest: what was held is listed, and a list that is not whole is refused.

# shellcheck source=tests/kselftest/nfs_failover/lib.sh
. "$(dirname "$0")/lib.sh"
run_in_namespaces "$@"
serve

manifest() {
	rm -f "$NFS_FAILOVER_STATE/manifest"
	exec 4<>"$CONTROL/lock_manifest"
	echo "$FSID" >&4 2>/dev/null && cat <&4 >"$NFS_FAILOVER_STATE/manifest"
	exec 4>&-
	[ -e "$NFS_FAILOVER_STATE/manifest" ] && head -n 1 "$NFS_FAILOVER_STATE/manifest" | grep -q "^nfs-failover-manifest "
}

# lists REGULAR-EXPRESSION
lists() {
	grep -Eq "$1" "$NFS_FAILOVER_STATE/manifest"
}

offered() {
	cat "$1" >"$CONTROL/lock_manifest"
} 2>/dev/null

ktap_set_plan 9
hold /run/s1-3
grep -v '^totals' "$CONTROL/lock_manifest" >"$NFS_FAILOVER_STATE/manifest"
check "what is held can be read at any time" lists "^unit all phase=held "
check "there is no list without a release" not manifest
echo "$FSID fence=15" >"$CONTROL/nlm_unlock"
check "a release has a list" manifest
check "it tells of whom and what" lists \
	"^lock fsid=$FSID fh=[0-9a-f]+ client=.* server=$IP svid=[0-9]+ type=write start=0 end=9223372036854775807"
check "it tells how much there is" lists "^end locks=1 "
check "whose list was read cannot end the fence early" refused nlm_unlock "$FSID fence=0"
check "the fence ends" wait_for is_phase "$FSID" ""
echo "$FSID 30" >"$CONTROL/nlm_set_igrace"
head -n 2 "$NFS_FAILOVER_STATE/manifest" >"$NFS_FAILOVER_STATE/short"
check "a list that is cut off is refused" not offered "$NFS_FAILOVER_STATE/short"
sed 's/ start=0 / start=x /' "$NFS_FAILOVER_STATE/manifest" >"$NFS_FAILOVER_STATE/wrong"
check "one that cannot be understood is, too" not offered "$NFS_FAILOVER_STATE/wrong"
echo "$FSID 0" >"$CONTROL/nlm_set_igrace"
ktap_finished
