#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Releases again at the moment a fence is over, right after a lock was granted.

moment.py HOST EXPORT FILE FSID ROUNDS [realtime]

Runs on the server and asks its own lockd. realtime: as a process that others wait for.
Prints a line for each round in which the second release's manifest lacks what it dropped, and in
the end JSON {"rounds": N, "lacking": N, "seen": N}, seen being those with a manifest.
"""

import json
import os
import re
import sys
import time

import nfs3
from nlm import Nlm

CONTROL = "/proc/fs/nfsd"
# Seconds of the second fence.
SECOND = 3


def command(file, text):
    fd = os.open(f"{CONTROL}/{file}", os.O_RDWR)
    try:
        os.write(fd, text.encode())
        return os.pread(fd, 1 << 20, 0).decode()
    finally:
        os.close(fd)


def unit(fsid):
    with open(f"{CONTROL}/failover_status", encoding="ascii") as status:
        for line in status:
            if line.startswith(f"unit fsid={fsid} "):
                return dict(word.split("=", 1) for word in line.split()[1:])
    return {}


def number(pattern, text):
    return int(re.search(pattern, text)[1])


def one(nlm, fh, fsid, say):
    """A round; whether the manifest lacks the lock, None if there was none to look at."""
    began = time.monotonic()
    command("nlm_unlock", f"{fsid} fence=1")
    time.sleep(max(0.0, began + 0.99 - time.monotonic()))
    asked = 1
    while nlm.lock(fh, svid=1, start=0, length=10, exclusive=True) != "GRANTED":
        asked += 1
    granted = time.monotonic() - began
    said = command("nlm_unlock", f"{fsid} fence={SECOND}")
    end = time.monotonic() - began
    while "manifest" not in (shown := unit(fsid)) and shown:
        time.sleep(0.01)
    dropped = number(r"locks=(\d+)", said)
    lacking = None
    if "manifest=complete" in said and "manifest" in shown:
        lacking = int(shown["manifest"]) < dropped
    if lacking:
        say(f"granted {granted:.4f} s after the first release, the {asked}. time, released again at "
            f"{end:.4f} s: {said.strip()}")
        say("manifest: " + command("lock_manifest", str(fsid)).replace("\n", " | "))
    while unit(fsid):
        time.sleep(0.1)
    # The client gets the time to reclaim: else no later list is complete.
    command("nlm_set_igrace", f"{fsid} 60")
    nlm.lock(fh, svid=1, start=0, length=10, exclusive=True, reclaim=True)
    nlm.unlock(fh, svid=1, start=0, length=10)
    command("nlm_set_igrace", f"{fsid} 0")
    if lacking is None:
        say(f"nothing to look at: {said.strip()}")
    return lacking


def main(host, export, name, fsid, rounds, how=""):
    if how == "realtime":
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    fh = nfs3.handle(host, export, name)
    found = []
    with Nlm(host, port=4001) as nlm:
        for done in range(int(rounds)):
            def say(text):
                print(f"round {done + 1}: {text}", flush=True)
            found.append(one(nlm, fh, int(fsid), say))
    print(json.dumps({"rounds": len(found), "lacking": found.count(True),
                      "seen": len(found) - found.count(None)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
