#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Give the kernel the manifest that came with a filesystem, if there is one:
# manifest-load.sh PATH
#
# A manifest may be used once, whatever becomes of the node: it is gone before it is used. If
# the kernel refuses it, the filesystem recovers without.

set -e
text=$(mktemp /run/manifest.XXXXXX)
trap 'rm -f "$text"' EXIT
python3 -IS "$(dirname "$0")/nsm-files.py" take "$1" manifest >"$text"
[ ! -s "$text" ] || cat "$text" >/proc/fs/nfsd/lock_manifest
