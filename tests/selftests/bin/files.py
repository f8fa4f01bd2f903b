#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Applications that use files on a mounted (NFS) filesystem otherwise than by locks, for tests.

files.py write DIR N [--prefix P]
    Write buffered data at random places of N files DIR/P0..., and fsync one now and then.
    `round K` when that was done K times. After SIGTERM fsync all, and print JSON {bytes,
    sums: {path: SHA-256 of what has to be there}, errors}.

files.py keep DIR [--prefix P]
    Have open: a file that was removed, which a client of NFS renames; one for reading, which is
    opened for writing as well for a moment; one with a lock that is made exclusive for a moment.
    `kept` when it has begun. SIGUSR1: write to all of them, make a file that must not exist, and
    read back; `checked errors N`. After SIGTERM close all, and print JSON {errors}.

files.py list DIR N
    Make N directories DIR/0..., and list them, some at a time; `round K` each time. A Linux client asks for
    a delegation of a directory when it comes back to one that is new to it.
    After SIGTERM print JSON {errors}.

Each error goes to stderr as `error: operation ERRNO path` and is counted in the JSON.
Exit status: 0; 1 if there was an error.
"""

import argparse
import fcntl
import hashlib
import json
import os
import random
import signal
import sys
import time

from poslock import RANGE, STRIDE, Errors, Stop, ignore_signals, open_rw, stop_on_signals, try_lock

SIZE = 256 << 10
BLOCK = 8 << 10
EVERY = 5                               # rounds between two fsync
ROUNDS = 6                              # of list, for each directory


def say(*words):
    print(*words, flush=True)


class Writer:
    def __init__(self, args):
        self.random = random.Random(args.prefix)
        self.errors, self.written, self.op, self.stopping = Errors(), 0, None, []
        self.paths = [os.path.join(args.dir, f"{args.prefix}{n}") for n in range(args.count)]
        self.there = {path: bytearray() for path in self.paths}
        self.fds = {path: open_rw(path) for path in self.paths}

    def write(self, path):
        start, data = self.random.randrange(SIZE), self.random.randbytes(self.random.randrange(1, BLOCK))
        there = self.there[path]
        there.extend(bytes(max(0, start + len(data) - len(there))))
        there[start:start + len(data)] = data
        self.op = "write", path
        while data:
            done = os.pwrite(self.fds[path], data, start)
            start, data = start + done, data[done:]
            self.written += done

    def run(self):
        number = 0
        # Ended between two steps only, so that what has to be there is known.
        while not self.stopping:
            for path in self.paths:
                self.write(path)
            number += 1
            if not number % EVERY:
                path = self.random.choice(self.paths)
                self.op = "fsync", path
                os.fsync(self.fds[path])
            say("round", number)
            time.sleep(0.05)

    def end(self):
        for path, fd in self.fds.items():
            try:
                os.fsync(fd)
                os.close(fd)
            except OSError as error:
                self.errors.add("fsync", path, error)
        sums = {path: hashlib.sha256(there).hexdigest() for path, there in self.there.items()}
        say(json.dumps({"bytes": self.written, "sums": sums, "errors": self.errors}))
        return 1 if self.errors else 0


def write(args):
    writer = Writer(args)
    signal.signal(signal.SIGTERM, lambda *_: writer.stopping.append(True))
    try:
        writer.run()
    except OSError as error:
        writer.errors.add(*writer.op, error)
    return writer.end()


class Keeper:
    def __init__(self, args):
        def path(name):
            return os.path.join(args.dir, f"{args.prefix}-{name}")
        self.errors, self.number = Errors(), 0
        self.new = path("new")
        self.gone = path("gone")
        self.gone_fd = open_rw(self.gone)
        os.pwrite(self.gone_fd, bytes(RANGE), 0)
        os.unlink(self.gone)
        self.opened = path("opened")
        os.close(open_rw(self.opened))
        self.opened_fd = os.open(self.opened, os.O_RDONLY)
        self.locked = path("locked")
        self.locked_fd = open_rw(self.locked)
        if not try_lock(self.locked_fd, 0, RANGE, fcntl.F_RDLCK):
            raise BlockingIOError(self.locked)

    def compare(self, fd, start, token):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        found = os.pread(fd, len(token), start)
        if found != token:
            raise OSError(f"{found!r} in place of {token!r}")

    def removed(self, token):
        os.pwrite(self.gone_fd, token, 0)
        os.fsync(self.gone_fd)
        self.compare(self.gone_fd, 0, token)

    def reopened(self, token):
        fd = os.open(self.opened, os.O_RDWR)
        try:
            os.pwrite(fd, token, STRIDE)
            os.fsync(fd)
        finally:
            os.close(fd)
        self.compare(self.opened_fd, STRIDE, token)

    def relocked(self, token):
        for kind in fcntl.F_WRLCK, fcntl.F_RDLCK:
            if not try_lock(self.locked_fd, 0, RANGE, kind):
                raise BlockingIOError(self.locked)
            if kind == fcntl.F_WRLCK:
                os.pwrite(self.locked_fd, token, 0)
                os.fsync(self.locked_fd)
        self.compare(self.locked_fd, 0, token)

    def made(self, _):
        os.close(os.open(self.new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        os.unlink(self.new)

    def check(self):
        self.number += 1
        token = b"%08d" % self.number
        before = sum(self.errors.values())
        for path, use in ((self.gone, self.removed), (self.opened, self.reopened),
                          (self.locked, self.relocked), (self.new, self.made)):
            try:
                use(token)
            except OSError as error:
                print(error, file=sys.stderr)
                self.errors.add(use.__name__, path, error)
        say("checked errors", sum(self.errors.values()) - before)


def keep(args):
    keeper = Keeper(args)
    asked = []
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(True))
    say("kept")
    try:
        while True:
            if asked:
                asked.clear()
                keeper.check()
            time.sleep(0.1)
    except Stop:
        pass
    ignore_signals()
    for fd in keeper.gone_fd, keeper.opened_fd, keeper.locked_fd:
        os.close(fd)
    say(json.dumps({"errors": keeper.errors}))
    return 1 if keeper.errors else 0


def look(args):
    errors, rounds, met = Errors(), 0, 0
    try:
        for n in range(args.count):
            os.mkdir(f"{args.dir}/{n}")
        while True:
            if not rounds % ROUNDS:
                met += 1
            for n in range(max(0, met - 4), min(met, args.count)):
                try:
                    os.stat(f"{args.dir}/{n}")
                    os.listdir(f"{args.dir}/{n}")
                except OSError as error:
                    errors.add("list", f"{args.dir}/{n}", error)
            rounds += 1
            say("round", rounds)
            time.sleep(0.1)
    except Stop:
        pass
    ignore_signals()
    say(json.dumps({"errors": errors}))
    return 1 if errors else 0


def main():
    top = argparse.ArgumentParser(description="file applications; the head of files.py describes them",
                                  allow_abbrev=False)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, function in ("write", write), ("keep", keep), ("list", look):
        parser = commands.add_parser(name, allow_abbrev=False)
        parser.set_defaults(function=function)
        parser.add_argument("dir")
        if function is not keep:
            parser.add_argument("count", type=int)
        parser.add_argument("--prefix", default=name)
    args = top.parse_args()
    stop_on_signals()
    try:
        return args.function(args)
    except Stop:
        return 1


if __name__ == "__main__":
    sys.exit(main())
