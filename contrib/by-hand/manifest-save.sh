#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Put the manifest of a filesystem that was just released on the filesystem itself, where it
# moves along: manifest-save.sh PATH FSID
#
# After the address is gone, so that nobody can give up a lock that is on it.

set -e
exec 3<>/proc/fs/nfsd/lock_manifest
echo "$2" >&3
python3 -IS "$(dirname "$0")/nsm-files.py" put "$1" manifest <&3
