#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Locks that stay with an NFSv4 client, as the files are delegated to it.

kept.py hold DIR NUMBER [--history DIR] [--pause FILE]
    Keeps some of the files DIR/k<NUMBER>-0, -1, ... open, which are there already and which nobody else
    opens, and some ranges of each locked exclusively; what is in a locked range must be what was written
    there. SIGUSR1: the file that it has had longest is given back, and FILE.gave then has its name and what
    is in its ranges; the next one takes its place. `steps N` as it gets on; in the end, after SIGTERM, JSON
    {counts, errors, longest}. --pause: see locks_watch.py; FILE.done has what is held, the oldest first.
    --history is for the sake of those who start it: what it does is not written down.

kept.py try FILE
    Another client, or a process of the server: tries to lock each of these ranges of a file, and prints the
    numbers of those that it got.

kept.py take FILE SECONDS
    Waits for all of them, at most for so long, and prints what is in them.
"""

import argparse
import contextlib
import fcntl
import json
import os
import signal
import sys
import time

from locks_tokens import Tokens
from poslock import (RANGE, STOPPING, STRIDE, Errors, Stop, alarm_after, held_back, let_through, open_rw,
                     stop_on_signals, try_lock, unlock, wait_lock)
from workers import write_whole

# So many that nfsd has forgotten its recall of a file when it is that one's turn again.
FILES, HELD, RANGES = 12, 3, 2
INTERVAL = 0.5


class Keeper:
    def __init__(self, args):
        self.args, self.errors = args, Errors()
        node = os.uname().nodename
        self.tokens = Tokens(f"{node[-2:]:>2}k", RANGES)
        self.held = {}                  # {path: file descriptor}, the oldest first
        self.counts = {"lock granted": 0, "given back": 0}
        self.next, self.steps, self.longest = 0, 0, 0.0

    def take(self):
        path = os.path.join(self.args.dir, f"k{self.args.number}-{self.next % FILES}")
        self.next += 1
        fd = os.open(path, os.O_RDWR)
        for index in range(RANGES):
            began = time.monotonic()
            wait_lock(fd, index * STRIDE, RANGE)
            self.longest = max(self.longest, time.monotonic() - began)
            self.tokens.granted(path, index * STRIDE, RANGE, fcntl.F_WRLCK)
            self.counts["lock granted"] += 1
        self.held[path] = fd

    def check(self, path):
        for index, ours, found in self.tokens.checked(path, 0, 0):
            self.errors["lost token"] = self.errors.get("lost token", 0) + 1
            print(f"error: lost token {path} range {index}: {ours!r} became {found!r}", file=sys.stderr,
                  flush=True)
            self.tokens.forget(path, index * STRIDE, RANGE)

    def give(self):
        """The oldest; what it is given back with, others must find."""
        path = next(iter(self.held))
        fd = self.held.pop(path)
        try:
            self.check(path)
            for index in range(RANGES):
                unlock(fd, index * STRIDE, RANGE)
        except OSError as error:
            self.errors.add("give back", path, error)
        there = self.tokens.forget(path, 0, 0)
        # To close any gives back what is locked by the others.
        for those in fd, self.tokens.fds.pop(path):
            with contextlib.suppress(OSError):
                os.close(those)
        self.counts["given back"] += 1
        write_whole(self.args.pause + ".gave", " ".join(
            [os.path.basename(path), *(token.decode() for token in there.values())]))

    def step(self):
        path = "?"
        try:
            if len(self.held) < HELD:
                self.take()
            for path in self.held:
                self.check(path)
        except OSError as error:
            self.errors.add("keep", path, error)
        self.steps += 1
        print("steps", self.steps, flush=True)

    def paused(self):
        try:
            with open(self.args.pause, encoding="ascii") as file:
                asked = file.read()
        except FileNotFoundError:
            return False
        # Who asks makes the file before it is written.
        if asked:
            write_whole(self.args.pause + ".done", asked + "".join(
                f"{os.path.basename(path)}\n" for path in self.held))
        return True

    def run(self):
        asked = []
        signal.signal(signal.SIGUSR1, lambda *_: asked.append(True))
        with held_back():
            try:
                while not STOPPING:
                    if asked:
                        asked.clear()
                        self.give()
                    elif not self.paused():
                        self.step()
                    with let_through():
                        time.sleep(INTERVAL)
            except Stop:
                pass
            for path in self.held:
                self.check(path)
            print(json.dumps({"counts": self.counts, "errors": self.errors,
                              "longest": round(self.longest, 3)}), flush=True)


def hold(args):
    keeper = Keeper(args)
    keeper.run()
    return 1 if keeper.errors else 0


def attempt(args):
    fd = open_rw(args.file)
    print(*(index for index in range(RANGES) if try_lock(fd, index * STRIDE, RANGE)))
    return 0


def take(args):
    fd = open_rw(args.file)
    alarm_after(args.seconds)
    for index in range(RANGES):
        wait_lock(fd, index * STRIDE, RANGE)
    alarm_after(0)
    print(*(os.pread(fd, RANGE, index * STRIDE).decode("latin-1") for index in range(RANGES)))
    return 0


def main():
    parser = argparse.ArgumentParser(description="Locks in delegations; kept.py's head describes it")
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("hold")
    p.set_defaults(function=hold)
    p.add_argument("dir")
    p.add_argument("number", type=int)
    p.add_argument("--history", metavar="DIR")
    p.add_argument("--pause", metavar="FILE", required=True)
    for name, function in ("try", attempt), ("take", take):
        p = commands.add_parser(name)
        p.set_defaults(function=function)
        p.add_argument("file")
    p.add_argument("seconds", type=float)
    args = parser.parse_args()
    stop_on_signals()
    return args.function(args)


if __name__ == "__main__":
    sys.exit(main())
