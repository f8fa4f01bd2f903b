#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Many NLM locks in seconds: one connection, requests sent without waiting for each answer.

fill.py HOST EXPORT ranges FILE N       N ranges of one file, of one holder
fill.py HOST EXPORT files DIR N         the files DIR/0 to DIR/N-1 as a whole, of one holder
fill.py HOST EXPORT ... reclaim         reclaim them

Prints JSON {"granted": N, "refused": {STATUS: N}, "seconds": S}. File handles are kept in
/run/fill and not looked up again. Exit status 1 if a lock was not granted.
"""

import json
import os
import sys
import time
from collections import Counter

import nfs3
from nlm import PROCS, Nlm, status_name
from poslock import RANGE, STRIDE
from sunrpc import Client, opaque, string
from workers import write_whole

TIMEOUT = 60
KEPT = "/run/fill"


def handles(host, export, directory, names):
    """File handles of names in a directory of an export."""
    kept = os.path.join(KEPT, f"{directory.replace('/', '_')}-{len(names)}")
    if os.path.exists(kept):
        with open(kept, encoding="ascii") as file:
            return [bytes.fromhex(line) for line in file]
    above = nfs3.handle(host, export, directory, timeout=TIMEOUT)
    with Client(host, nfs3.NFS, 3, port=2049, timeout=TIMEOUT) as client:
        found = []
        for reply in client.call_many(nfs3.LOOKUP,
                                      [opaque(above) + string(name) for name in names]):
            if reply.u32():
                raise nfs3.Refused(f"a file in {directory} is not there")
            found.append(reply.opaque())
    os.makedirs(KEPT, exist_ok=True)
    write_whole(kept, "".join(f"{handle.hex()}\n" for handle in found))
    return found


def main():
    host, export, kind, where, count, *how = sys.argv[1:]
    count = int(count)
    if kind == "files":
        locks = [(fh, 0, 0) for fh in handles(host, export, where, [str(i) for i in range(count)])]
    else:
        directory, _, name = where.rpartition("/")
        fh = handles(host, export, directory, [name])[0]
        locks = [(fh, i * STRIDE, RANGE) for i in range(count)]
    with Nlm(host, port=4001, timeout=TIMEOUT) as nlm:
        arguments = [nlm.args("lock", fh, exclusive=True, start=start, length=length,
                              reclaim=how == ["reclaim"])
                     for fh, start, length in locks]
        began = time.monotonic()
        said = Counter()
        for reply in nlm.client.call_many(PROCS["lock"], arguments):
            reply.opaque()
            said[status_name(reply.u32())] += 1
        seconds = time.monotonic() - began
    granted = said.pop("GRANTED", 0)
    print(json.dumps({"granted": granted, "refused": said, "seconds": round(seconds, 3)}))
    return 0 if granted == count else 1


if __name__ == "__main__":
    sys.exit(main())
