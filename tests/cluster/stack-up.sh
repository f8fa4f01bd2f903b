#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Start corosync and Pacemaker on a node of the lab, which has no systemd: stack-up.sh NODE...

set -e
mkdir -p /etc/corosync /var/log/cluster /var/log/pacemaker /run/crm /run/resource-agents /etc/pacemaker
{
	cat <<-END
		totem {
		    version: 2
		    cluster_name: lab
		    transport: udpu
		    crypto_cipher: none
		    crypto_hash: none
		    token: 10000
		}
		logging {
		    to_syslog: no
		    to_logfile: yes
		    logfile: /var/log/cluster/corosync.log
		}
		system {
		    sched_rr: no
		}
		quorum {
		    provider: corosync_votequorum
		    two_node: 1
		    wait_for_all: 0
		}
		nodelist {
	END
	number=0
	for node; do
		number=$((number + 1))
		address=$(awk -v node="$node" '$2 == node && /^10[.]/ { print $1 }' /etc/hosts)
		printf '    node {\n        name: %s\n        nodeid: %s\n        ring0_addr: %s\n    }\n' \
			"$node" "$number" "$address"
	done
	echo "}"
} >/etc/corosync/corosync.conf
chown hacluster:haclient /var/lib/pacemaker /var/log/pacemaker /run/crm
export PCMK_logfile=/var/log/pacemaker/pacemaker.log
setsid corosync -f </dev/null >/var/log/corosync.out 2>&1 &
until corosync-quorumtool -s >/dev/null 2>&1; do
	sleep 0.5
done
setsid pacemakerd </dev/null >/var/log/pacemakerd.out 2>&1 &
