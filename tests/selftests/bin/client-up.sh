#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Start what an NFS client needs for locks.

set -e
sh "$(dirname "$0")/hosts.sh"
pidof rpcbind >/dev/null || rpcbind -w
pidof rpc.statd >/dev/null || rpc.statd --no-notify
