#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Names of the floating addresses: sm-notify only speaks from an address that
# has one.

grep -q s1-ip /etc/hosts || cat >>/etc/hosts <<EOF
10.77.0.100 s1-ip
fd77::100 s1-ip6
10.77.0.101 s2-ip
fd77::101 s2-ip6
10.77.0.102 s1-ip-2
fd77::102 s1-ip6-2
EOF
