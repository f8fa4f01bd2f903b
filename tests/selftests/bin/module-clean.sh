#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# End all units of this network namespace and unload the module. (Not with echo: it
# would undo the escapes of a path.) A unit whose manifest was read cannot be ended before its time.

set -e
cd /proc/fs/nfsd

# end UNIT COMMAND FILE
end() {
	tries=0
	until printf '%s\n' "$2" 2>/dev/null >"$3"; do
		grep -qF " $1 " failover_status || break
		tries=$((tries + 1))
		[ "$tries" -lt 120 ]
		sleep 0.5
	done
}

while read -r kind name rest; do
	[ "$kind" = unit ] || continue
	case $rest in
	*phase=released*) end "$name" "${name#fsid=} fence=0" nlm_unlock ;;
	*)
		case $name in
		fsid=*) end "$name" "${name#fsid=} 0" nlm_set_igrace ;;
		path=*)
			ip=${rest#*ip=}
			end "$name" "${ip%% *} ${name#path=} 0" resume_ip
			;;
		esac
		;;
	esac
done <<EOF
$(cat failover_status)
EOF
cd /
rmmod nfs_failover
