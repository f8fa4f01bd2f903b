#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""How a recovery goes on, seen from the server: one line for each change, until SIGTERM.

watch.py [--interval S] unit FSID
    `wall phase reclaimed outstanding refused` of a unit in failover_status; `wall none` if
    there is no such unit (or no module).

watch.py [--interval S] locks MAJOR:MINOR:INODE...
    `wall count`: how many locks there are on these files, as /proc/locks writes them.

wall: seconds of the wall clock, at which the line was read.
"""

import argparse
import sys
import time

from poslock import Stop, stop_on_signals

STATUS = "/proc/fs/nfsd/failover_status"


def unit(words):
    wanted = f"fsid={words[0]}"
    try:
        with open(STATUS, encoding="ascii") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return "none"
    for line in lines:
        kind, name, *rest = line.split()
        if kind == "unit" and name == wanted:
            found = dict(word.split("=", 1) for word in rest)
            return " ".join(found.get(key, "-")
                            for key in ("phase", "reclaimed", "outstanding", "refused"))
    return "none"


def locks(words):
    with open("/proc/locks", "rb", buffering=1 << 20) as file:
        text = file.read()
    return str(sum(text.count(f" {word} ".encode()) for word in words))


def main():
    parser = argparse.ArgumentParser(description="Watch a recovery; watch.py's head describes it")
    parser.add_argument("--interval", type=float, default=0.05)
    parser.add_argument("what", choices=("unit", "locks"))
    parser.add_argument("words", nargs="+")
    args = parser.parse_args()
    stop_on_signals()
    look, last = {"unit": unit, "locks": locks}[args.what], None
    try:
        while True:
            wall, now = time.time(), look(args.words)
            if now != last:
                print(f"{wall:.6f} {now}", flush=True)
                last = now
            time.sleep(args.interval)
    except Stop:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
