#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Put the manifest of a filesystem that was just released on the filesystem itself, where it
# moves along: manifest-save.sh PATH FSID
#
# After the address is gone, so that nobody can give up a lock that is on it.

set -e
dir=$1/.nsm fsid=$2
mkdir -p "$dir"
rm -f "$dir/manifest"
exec 3<>/proc/fs/nfsd/lock_manifest
echo "$fsid" >&3
cat <&3 >"$dir/manifest.new"
sync "$dir/manifest.new"
mv "$dir/manifest.new" "$dir/manifest"
sync "$dir"
