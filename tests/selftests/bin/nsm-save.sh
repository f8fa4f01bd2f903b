#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Copy statd's list of clients to the filesystem they use: nsm-save.sh PATH

set -e
dir=$1/.nsm
mkdir -p "$dir/sm" "$dir/sm.bak"
for client in /var/lib/nfs/sm/*; do
	[ ! -e "$client" ] || cp "$client" "$dir/sm/"
done
# The files, too: of what is only in the directory, a crash leaves empty files.
find "$dir" -exec sync {} +
