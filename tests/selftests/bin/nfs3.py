#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""NFSv3 file handle of a file, without mounting anything.

usage: nfs3.py [--describe] HOST EXPORT PATH
       nfs3.py [--describe] --mounted FILE

Asks mountd (MOUNT version 3) for the handle of the export's root and walks PATH
with LOOKUP, as uid 0 from a reserved port. FILE lies on a mounted NFS file system;
its server and export are taken from /proc/self/mountinfo.

Prints the handle in hexadecimal; with --describe also its size, fsid type, fileid
type and fsid (include/linux/exportfs.h and fs/nfsd/nfsfh.h name the types).
Exit status: 0, 1 the server said no, 69 no reply.
"""

import argparse
import os
import sys

from sunrpc import Client, NoReply, Rejected, opaque, string

MOUNT, NFS = 100005, 100003
MNT, LOOKUP = 1, 3
FSID_LENGTH = (8, 4, 12, 8, 8, 8, 16, 24)       # by fsid type, fs/nfsd/nfsfh.h key_len()
ERRORS = {1: "EPERM", 2: "ENOENT", 5: "EIO", 13: "EACCES", 20: "ENOTDIR", 22: "EINVAL",
          63: "ENAMETOOLONG", 70: "ESTALE", 10001: "BADHANDLE", 10006: "SERVERFAULT",
          10008: "JUKEBOX"}


class Refused(Exception):
    """mountd or nfsd answered with an error status."""


def _check(what, status):
    if status:
        raise Refused(f"{what}: {ERRORS.get(status, status)}")


def root_handle(host, export, **rpc):
    with Client(host, MOUNT, 3, **rpc) as c:
        r = c.call(MNT, string(export))
        _check(f"mount {host}:{export}", r.u32())
        return r.opaque()


def lookup(client, directory, name):
    r = client.call(LOOKUP, opaque(directory) + string(name))
    _check(f"lookup {name}", r.u32())
    return r.opaque()


def handle(host, export, path, **rpc):
    """File handle of path below export; keyword arguments as sunrpc.Client."""
    fh = root_handle(host, export, **rpc)
    with Client(host, NFS, 3, **rpc) as c:
        for name in path.split("/"):
            if name not in ("", "."):
                fh = lookup(c, fh, name)
    return fh


def _unescape(field):
    for code in ("040", "011", "012", "134"):
        field = field.replace("\\" + code, chr(int(code, 8)))
    return field


def locate(path):
    """(server address, export, path below it) of a file on a mounted NFS file system."""
    path = os.path.realpath(path)
    best = None
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            left, right = line.rstrip("\n").split(" - ", 1)
            point = _unescape(left.split(" ")[4])
            fstype, source, options = right.split(" ", 2)
            inside = path == point or path.startswith(point.rstrip("/") + "/")
            # The last of equal mount points is the one on top.
            if inside and (best is None or len(point) >= len(best[0])):
                best = point, fstype, _unescape(source), options
    if best is None or not best[1].startswith("nfs"):
        raise Refused(f"{path} is not on NFS; give the host, the export and the path")
    point, _, source, options = best
    given = dict(o.split("=", 1) for o in options.split(",") if "=" in o)
    host, export = source.rsplit(":/", 1)
    return given.get("addr", host.strip("[]")), "/" + export, os.path.relpath(path, point)


def describe(fh):
    """What knfsd put into a handle, as words."""
    if len(fh) < 4 or fh[0] != 1:
        return f"size={len(fh)} not a version 1 handle of knfsd"
    length = FSID_LENGTH[fh[2]] if fh[2] < len(FSID_LENGTH) else 0
    text = f"size={len(fh)} fsid_type={fh[2]} fileid_type={fh[3]} fsid={fh[4:4 + length].hex()}"
    if fh[2] == 1:
        text += f" number={int.from_bytes(fh[4:8], sys.byteorder)}"
    return text


def main():
    parser = argparse.ArgumentParser(description="NFSv3 file handle of a file")
    parser.add_argument("--describe", action="store_true")
    parser.add_argument("--mounted", action="store_true", help="one argument, a file on NFS")
    parser.add_argument("words", nargs="+", metavar="HOST EXPORT PATH | FILE")
    args = parser.parse_args()
    if len(args.words) != (1 if args.mounted else 3):
        parser.error("give HOST EXPORT PATH, or --mounted FILE")
    try:
        fh = handle(*(locate(args.words[0]) if args.mounted else args.words))
    except (Refused, Rejected, OSError) as error:
        print(f"nfs3: {error}", file=sys.stderr)
        return 1
    except NoReply as error:
        print(f"nfs3: {error}", file=sys.stderr)
        return 69
    print(fh.hex(), *([describe(fh)] if args.describe else []))
    return 0


if __name__ == "__main__":
    sys.exit(main())
