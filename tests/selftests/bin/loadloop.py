#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Load and unload the module again and again, with everybody else in the way.

loadloop.py ROUNDS SYMBOL...

Beside it, one process opens and closes control files, and another one mounts and
unmounts nfsd filesystems in network namespaces of its own. After each load the
control files must be in every nfsd filesystem, mounted before or after; after each
unload in none, and none of the SYMBOLs may be hooked any more. Prints JSON
{loaded, busy, unloaded, seen: {what: count}, problems}.
"""

import errno
import json
import os
import random
import select
import sys
import tempfile
import time
from collections import Counter

from kmod import FILES, NFSD, hooked, load, mount, new_netns, ours, outcome, umount, unload
from workers import Workers

DIR = "/run/load"
OLD, NEW = f"{DIR}/old", f"{DIR}/new"


def opener(stopped):
    """Opens control files and waits a moment for changes; they may be gone at any time."""
    seen, rng, epoll = Counter(), random.Random(1), select.epoll()
    while not stopped():
        path = f"{rng.choice((NFSD, OLD))}/{rng.choice(sorted(FILES))}"
        try:
            fd = os.open(path, os.O_RDWR)
        except OSError as error:
            if error.errno != errno.ENOENT:
                seen[f"open {errno.errorcode[error.errno]}"] += 1
            else:
                seen["missing"] += 1
            time.sleep(0.005)
            continue
        seen["opens"] += 1
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        if path.endswith("/failover_status"):
            epoll.register(fd, select.EPOLLPRI)
        # Who closes a file takes it from the set.
        if poll.poll(rng.random() * 40) or epoll.poll(0):
            seen["told of nothing"] += 1
        os.close(fd)
        # A gap in which an unload can get through.
        time.sleep(rng.random() * 0.04)
    return seen


def mounter(stopped):
    """Mounts and unmounts nfsd filesystems; our files may be there or not."""
    seen = Counter()
    os.unshare(os.CLONE_NEWNS | os.CLONE_NEWNET)
    while not stopped():
        error = outcome(mount, f"{DIR}/other")
        seen["mounts" if not error else f"mount {error}"] += 1
        if not error:
            os.listdir(f"{DIR}/other")
            error = outcome(umount, f"{DIR}/other")
            if error:
                seen[f"umount {error}"] += 1
        if seen["mounts"] % 4 == 0:
            os.unshare(os.CLONE_NEWNET)
        time.sleep(0.02)
    return seen


def beside(function, stop, stopping):
    """Run function until the pipe is closed whose ends these are."""
    os.close(stopping)
    os.set_blocking(stop, False)

    def stopped():
        try:
            return os.read(stop, 1) == b""
        except BlockingIOError:
            return False
    return function(stopped)


class Loop:
    def __init__(self, symbols):
        self.symbols = symbols
        self.counts = Counter(loaded=0, busy=0, unloaded=0)
        self.problems = []
        os.makedirs(DIR, exist_ok=True)
        with new_netns():
            mount(OLD)
        self.before = set(os.listdir(NFSD))

    def expect(self, when, what, found, wanted):
        if found != wanted:
            self.problems.append(f"{when}: {what}: {sorted(found)}, not {sorted(wanted)}")

    def unload(self):
        deadline = time.monotonic() + 30
        while error := outcome(unload):
            if error != "EAGAIN" and error != "EBUSY" and error != "EWOULDBLOCK":
                raise OSError(error)
            self.counts["busy"] += 1
            if time.monotonic() > deadline:
                raise OSError("unload: busy for 30 s")
            time.sleep(0.01)
        self.counts["unloaded"] += 1

    def round(self, number):
        load()
        self.counts["loaded"] += 1
        when = f"round {number}"
        with new_netns():
            mount(NEW)
        for place in (NFSD, OLD, NEW):
            self.expect(when, f"loaded, {place}", ours(place), FILES)
        self.expect(when, "loaded", set(os.listdir(NFSD)), self.before | FILES)
        self.expect(when, "hooked", set(hooked(self.symbols)), set(self.symbols))
        # Every other filesystem outlives the module.
        if number % 2:
            umount(NEW)
        self.unload()
        places = (NFSD, OLD) if number % 2 else (NFSD, OLD, NEW)
        for place in places:
            self.expect(when, f"unloaded, {place}", ours(place), set())
        self.expect(when, "unloaded", set(os.listdir(NFSD)), self.before)
        self.expect(when, "still hooked", set(hooked(self.symbols)), set())
        if not number % 2:
            umount(NEW)


def main(rounds, *symbols):
    loop, seen, number = Loop(symbols), Counter(), 0
    stop, stopping = os.pipe()
    with tempfile.TemporaryDirectory() as scratch:
        workers = Workers(scratch)
        for function in opener, mounter:
            workers.start(function.__name__, beside, function, stop, stopping)
        try:
            for number in range(int(rounds)):
                loop.round(number)
        except OSError as error:
            loop.problems.append(f"round {number}: {error}")
        os.close(stopping)
        reports, died = workers.finish()
    for report in reports:
        seen.update(report)
    umount(OLD)
    print(json.dumps({**loop.counts, "seen": seen, "problems": died + loop.problems[:10]}))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
