#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# End all units of this network namespace and unload the module. (Not with echo: it
# would undo the escapes of a path.)

set -e
cd /proc/fs/nfsd
while read -r kind name rest; do
	[ "$kind" = unit ] || continue
	case $rest in
	*phase=released*) printf '%s\n' "${name#fsid=} fence=0" >nlm_unlock ;;
	*)
		case $name in
		fsid=*) printf '%s\n' "${name#fsid=} 0" >nlm_set_igrace ;;
		path=*)
			ip=${rest#*ip=}
			printf '%s\n' "${ip%% *} ${name#path=} 0" >resume_ip
			;;
		esac
		;;
	esac
done <<EOF
$(cat failover_status)
EOF
cd /
rmmod nfs_failover
