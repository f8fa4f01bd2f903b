#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Many who look at failover_status at the same time: what it says of the hooks.

ask_live.py READERS SECONDS [FSID]

With FSID somebody also tries to release that unit all the time, until it is accepted, and then
others that do not exist. Prints JSON {"live": N, "dead": N, "tries": N, "replies": {REPLY: N}}.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter

from workers import Workers

CONTROL = "/proc/fs/nfsd"


def look(end):
    counts = {"live": 0, "dead": 0}
    fd = os.open(f"{CONTROL}/failover_status", os.O_RDONLY)
    while time.monotonic() < end:
        for _ in range(50):
            counts["live" if b"hooks=live" in os.pread(fd, 4096, 0) else "dead"] += 1
    return counts


def release(end, fsid):
    replies, tries = Counter(), 0
    while time.monotonic() < end:
        fd = os.open(f"{CONTROL}/nlm_unlock", os.O_RDWR)
        tries += 1
        try:
            os.write(fd, f"{int(fsid) + sum(replies.values())} fence=2".encode())
            replies[os.pread(fd, 4096, 0).decode().strip()] += 1
        except OSError:
            pass
        finally:
            os.close(fd)
    return {"tries": tries, "replies": replies}


def main(readers, seconds, fsid=None):
    end = time.monotonic() + float(seconds)
    total = {"live": 0, "dead": 0, "tries": 0, "replies": {}}
    with tempfile.TemporaryDirectory() as scratch:
        workers = Workers(scratch)
        for number in range(int(readers)):
            workers.start(f"reader {number}", look, end)
        if fsid:
            workers.start("releaser", release, end, fsid)
        reports, died = workers.finish()
    for report in reports:
        for key, value in report.items():
            total[key] = value if key == "replies" else total[key] + value
    print(json.dumps(total))
    return "\n".join(died) or 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
