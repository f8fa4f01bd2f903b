#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Files whose delegations two NFSv4 clients recall from each other: delegated.py DIR NUMBER

NUMBER is 0 on one client, 1 on the other. Both go from file to file by the clock, d0, d1, ..., which are
there already, so that no file is opened again before its server is willing to delegate it anew. Each file
has one writer. Of every four

    0, 1    one client writes all the time, the other reads now and then, which recalls the delegation
            for writing; of one of the two it does not, in turns, and the delegation stays;
    2, 3    both read all the time, and one writes now and then, which recalls that for reading.

Each time the file is opened and closed, as what is closed is what others have to see. A write is a number
at two places of the file. All is written down as locks_history.py does, a write with both places, a read
of each: whether a read has found the last write, others judge (tests/lab/writehistory.py). `steps N` as
it gets on; after SIGTERM JSON {counts, errors, longest}. --pause: see locks_watch.py.
"""

import argparse
import errno
import json
import os
import random
import sys
import time

from locks_history import History
from poslock import STOPPING, Errors, Stop, held_back, let_through, stop_on_signals
from workers import write_whole

# In nfsd's memory of what was recalled a file is for a minute at most.
FILES, TURN = 40, 2
PLACES = (0, 65536)
SIZE = 20
OFTEN, SELDOM = (0.02, 0.1), (0.8, 2.0)
# Files that stay open, as after a move a client does not ask for delegations of others.
KEPT = 8


class Application:
    def __init__(self, args):
        self.args, self.random = args, random.Random(args.seed)
        self.history = History(args.history, os.uname().nodename)
        self.counts, self.errors = {"read": 0, "write": 0}, Errors()
        self.steps, self.longest = 0, 0.0
        self.kept = {}

    def keep(self, path, mode):
        if path not in self.kept:
            self.kept[path] = os.open(path, mode)
        while len(self.kept) > KEPT:
            os.close(self.kept.pop(next(iter(self.kept))))

    def write(self, path, number):
        fd = os.open(path, os.O_RDWR)
        try:
            for place in PLACES:
                os.pwrite(fd, number.rjust(SIZE, b"0"), place)
        finally:
            os.close(fd)

    def read(self, path):
        fd = os.open(path, os.O_RDONLY)
        try:
            found = [os.pread(fd, SIZE, place) for place in PLACES]
        finally:
            os.close(fd)
        return [((index,), data.lstrip(b"0")) for index, data in enumerate(found)]

    def turn(self):
        """One access, if there is one; returns how long to wait then."""
        self.steps += 1
        print("steps", self.steps, flush=True)
        turns, number = divmod(int(time.time() / TURN), FILES)
        path = os.path.join(self.args.dir, f"d{number}")
        writer, written = number % 2 == self.args.number, number % 4 < 2
        if written:
            operation, wait = ("write", OFTEN) if writer else ("read", SELDOM)
            if not writer and (turns + number) % 2:
                return 0.1
        else:
            now_and_then = writer and self.random.random() < 0.05
            operation, wait = "write" if now_and_then else "read", OFTEN
        began, result = time.time(), "done"
        # Both places at once.
        found = [(range(len(PLACES)), b"%d" % time.time_ns() if operation == "write" else b"")]
        try:
            if writer or not written:
                self.keep(path, os.O_RDWR if written else os.O_RDONLY)
            if operation == "write":
                self.write(path, found[0][1])
            else:
                found = self.read(path)
        except OSError as error:
            self.errors.add(operation, path, error)
            result = errno.errorcode.get(error.errno, str(error.errno))
        for indices, data in found:
            kind = "W" if operation == "write" else "R"
            self.history.add(began, operation, result, os.path.basename(path), indices, kind, data)
        self.counts[operation] += 1
        self.longest = max(self.longest, time.time() - began)
        return self.random.uniform(*wait)

    def paused(self):
        try:
            with open(self.args.pause or "", encoding="ascii") as file:
                asked = file.read()
        except FileNotFoundError:
            return False
        # Who asks makes the file before it is written.
        if asked:
            write_whole(self.args.pause + ".done", asked)
        return True

    def run(self):
        with held_back():
            try:
                while not STOPPING:
                    wait = 0.1 if self.paused() else self.turn()
                    with let_through():
                        time.sleep(wait)
            except Stop:
                pass
            print(json.dumps({"counts": self.counts, "errors": self.errors,
                              "longest": round(self.longest, 3)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Delegations; delegated.py's head describes it")
    parser.add_argument("dir")
    parser.add_argument("number", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--history", metavar="DIR")
    parser.add_argument("--pause", metavar="FILE")
    args = parser.parse_args()
    stop_on_signals()
    if args.history is not None:
        os.makedirs(args.history, exist_ok=True)
    it = Application(args)
    it.run()
    return 1 if it.errors else 0


if __name__ == "__main__":
    sys.exit(main())
