#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Applications that use POSIX locks on a mounted (NFS) file system, for tests.

locks.py hold DIR N [--prefix P] [--range] [--half 0|1] [--read] [--until FILE]
    Lock N files DIR/P0... (or N ranges of the one file DIR/P; with --half every other one)
    exclusively (--read: files that are there already, which are opened only for reading, shared), print
    `held N` and stay until FILE exists or SIGTERM. SIGUSR1: write and fsync a byte
    under every lock (--read: read one) and print `checked N errors E`; a lock that the server
    lost may show there (NFSv4: EIO). In the end unlock all, print JSON {held, errors}.

locks.py rival DIR N [--prefix P] [--range] [--half 0|1] [--interval S] [--rounds N] [--until FILE]
    On another client: F_SETLK on each of the same locks, round after round. Each grant
    is printed as `GOT index monotonic-time` and given back at once, each round as `round N`.
    Until FILE exists,
    SIGTERM or N rounds; then JSON {tries, grants, errors, rounds, slowest, pending}.
    slowest: seconds of the slowest finished try. pending: seconds that the try in
    progress at the end had been waiting (the kernel itself waits out a grace period).

locks.py wait FILE
    F_SETLKW; print `waiting`, then `granted <seconds>`. May be killed.

locks.py once FILE
    F_SETLKW, then give it back; print the name of the errno if that was refused.

locks.py first FILE [--timeout S] [--interval S]
    F_SETLK until the first success; print the seconds it took.

locks.py loop FILE [--open | --write] [--half 0|1] [--interval MS] --log FILE
    Bystander: lock and unlock without end (--open: open and close each time, too; --write: keep
    one lock, and write and fsync a byte under it; --half: some bytes only, so that two can use one
    file), one log line per round trip: `monotonic wall duration`. After SIGTERM print JSON
    {count, median, max, errors, unfinished}; unfinished: seconds spent in a round trip
    that did not end; it is logged as a line that ends in `unfinished`.

locks.py trips FILE N [--open]
    N lock and unlock round trips (--open: open and close instead); JSON list of their seconds.

locks.py stalls LOG [--from T] [--to T] [--wall]
    Round trips of such a log that touch the window (monotonic times; with --wall, wall
    clock times): JSON {count, max, at, p50, p90, p99, unfinished, errors}.

locks.py hammer DIR SECONDS [--seed N] [--procs N] [--files N] [--ranges N] [--stuck S]
        [--calm] [--keepers N] [--keep S] [--history DIR] [--pause FILE] [--also DIR]...
    Processes that lock, wait for locks with an alarm (--calm: without, but only if they hold
    nothing), test and unlock at random ranges of a few files, and check that nobody else has
    what they locked. With --also they share out the directories among them: mounts of the same by
    other addresses. The first --keepers of them keep what they got for up to --keep seconds.
    `steps N` is printed when every other process has done N operations. In the end JSON
    {seed, counts, longest, errors, hung}; longest: seconds of the longest request for a lock.
    A process without progress for S seconds (default 60) hangs. --history, --pause: see
    locks_history.py, locks_watch.py.

All times are seconds. Each error goes to stderr as `error: operation ERRNO path` and is
counted in the JSON. Exit status: 0; 1 if there was an error, a timeout or a hung process.
"""

import argparse
import contextlib
import errno
import fcntl
import json
import os
import resource
import signal
import sys
import time

import locks_hammer
import locks_loop
from poslock import (MODE, Errors, Expired, Files, Stop, alarm_after, ignore_signals, open_rw, ranges,
                     sleep_until_file, stop_on_signals, try_lock, unlock, wait_lock)

OPEN_FILES = 1 << 16


def say(*words):
    print(*words, flush=True)


def summary(errors, **values):
    say(json.dumps({**values, "errors": errors}))
    return 1 if errors else 0


def wanted_of(args):
    wanted = ranges(args.dir, args.count, args.prefix, args.range)
    return wanted if args.half is None else wanted[args.half::2]


def check(held, files, errors):
    """Write under every lock, as the application that took it would."""
    before = sum(errors.values())
    for path, start, _ in held:
        try:
            if files.mode == os.O_RDONLY:
                os.pread(files.open(path), 1, start)
            else:
                os.pwrite(files.open(path), b"x", start)
        except OSError as error:
            errors.add("write", path, error)
    for path, fd in files.fds.items():
        try:
            os.fsync(fd)
        except OSError as error:
            errors.add("fsync", path, error)
    say("checked", len(held), "errors", sum(errors.values()) - before)


def hold(args):
    wanted = wanted_of(args)
    files, errors, held, asked = Files(os.O_RDONLY if args.read else MODE), Errors(), [], []
    kind = fcntl.F_RDLCK if args.read else fcntl.F_WRLCK
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(True))
    try:
        for path, start, length in wanted:
            try:
                fd = files.open(path)
                wait_lock(fd, start, length, kind)
                held.append((path, start, length))
            except OSError as error:
                errors.add("lock", path, error)
        say("held", len(held))
        while not sleep_until_file(args.until, 0.2):
            if asked:
                asked.clear()
                check(held, files, errors)
        ignore_signals()
    except Stop:
        pass
    for path, start, length in held:
        try:
            unlock(files.open(path), start, length)
        except OSError as error:
            errors.add("unlock", path, error)
    return summary(errors, held=len(held))


class Rival:
    def __init__(self):
        self.files, self.errors = Files(), Errors()
        self.tries = self.grants = self.rounds = 0
        self.slowest = 0.0
        self.since = None

    def attempt(self, index, path, start, length):
        self.since = time.monotonic()
        op = "open"
        try:
            fd = self.files.open(path)
            op = "lock"
            got = try_lock(fd, start, length)
            if got:
                self.grants += 1
                say("GOT", index, f"{time.monotonic():.3f}")
                op = "unlock"
                unlock(fd, start, length)
        except OSError as error:
            self.errors.add(op, path, error)
        self.tries += 1
        self.slowest = max(self.slowest, time.monotonic() - self.since)
        self.since = None

    def run(self, args):
        wanted = wanted_of(args)
        while args.rounds is None or self.rounds < args.rounds:
            for index, lock in enumerate(wanted):
                self.attempt(index, *lock)
                if args.until and os.path.exists(args.until):
                    return
            self.rounds += 1
            say("round", self.rounds)
            if self.rounds != args.rounds and sleep_until_file(args.until, args.interval):
                return


def rival(args):
    r = Rival()
    try:
        r.run(args)
        ignore_signals()
    except Stop:
        pass
    pending = 0.0 if r.since is None else time.monotonic() - r.since
    return summary(r.errors, tries=r.tries, grants=r.grants, rounds=r.rounds,
                   slowest=round(r.slowest, 3), pending=round(pending, 3))


def wait(args):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    errors, op = Errors(), "open"
    try:
        fd = open_rw(args.file)
        say("waiting")
        start, op = time.monotonic(), "lock"
        wait_lock(fd)
        say("granted", f"{time.monotonic() - start:.3f}")
    except OSError as error:
        errors.add(op, args.file, error)
    return 1 if errors else 0


def first(args):
    errors, op = Errors(), "open"
    start = time.monotonic()
    try:
        # The kernel may sit in one F_SETLK for a whole grace period.
        alarm_after(args.timeout)
        fd = open_rw(args.file)
        op = "lock"
        while not try_lock(fd):
            time.sleep(args.interval)
        alarm_after(0)
    except Expired:
        say(f"no lock in {args.timeout:g} s")
        return 1
    except OSError as error:
        errors.add(op, args.file, error)
        return 1
    say(f"{time.monotonic() - start:.3f}")
    return 0


def once(args):
    fd = open_rw(args.file)
    try:
        wait_lock(fd)
        unlock(fd)
    except OSError as error:
        say(errno.errorcode.get(error.errno, error.errno))
    return 0


def trips(args):
    """Not in a loop with anything else: the round trip itself is measured."""
    fd = open_rw(args.file)

    def lock():
        wait_lock(fd)
        unlock(fd)

    def reopen():
        os.close(os.open(args.file, os.O_RDWR))
    trip = reopen if args.open else lock
    if args.open:
        os.close(fd)
    times = []
    for _ in range(args.count):
        start = time.perf_counter()
        trip()
        times.append(time.perf_counter() - start)
    say(json.dumps(times))
    return 0


def parse(argv):
    top = argparse.ArgumentParser(description="POSIX lock applications; locks.py's head "
                                  "describes them", allow_abbrev=False)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name, function, *words):
        p = commands.add_parser(name, allow_abbrev=False)
        p.set_defaults(function=function)
        for word in words:
            p.add_argument(word)
        return p

    for p in (command("hold", hold, "dir"), command("rival", rival, "dir")):
        p.add_argument("count", type=int)
        p.add_argument("--prefix", default="lock")
        p.add_argument("--range", action="store_true")
        p.add_argument("--half", type=int)
        p.add_argument("--until", metavar="FILE")
        if p.get_default("function") is hold:
            p.add_argument("--read", action="store_true")
    p.add_argument("--interval", type=float, default=0.5)
    p.add_argument("--rounds", type=int)
    command("wait", wait, "file")
    command("once", once, "file")
    p = command("trips", trips, "file")
    p.add_argument("count", type=int)
    p.add_argument("--open", action="store_true")
    p = command("first", first, "file")
    p.add_argument("--timeout", type=float, default=300)
    p.add_argument("--interval", type=float, default=0.05)
    p = command("loop", locks_loop.loop, "file")
    how = p.add_mutually_exclusive_group()
    how.add_argument("--open", action="store_true")
    how.add_argument("--write", action="store_true")
    p.add_argument("--half", type=int)
    p.add_argument("--interval", type=float, default=10, metavar="MS")
    p.add_argument("--log", required=True)
    p = command("stalls", locks_loop.stalls, "log")
    p.add_argument("--from", dest="since", type=float, default=float("-inf"))
    p.add_argument("--to", dest="until", type=float, default=float("inf"))
    p.add_argument("--wall", action="store_true")
    p = command("hammer", locks_hammer.hammer, "dir")
    p.add_argument("seconds", type=float)
    p.add_argument("--seed", type=int, default=time.time_ns() & 0xFFFFFFFF)
    p.add_argument("--procs", type=int, default=4)
    p.add_argument("--files", type=int, default=3)
    p.add_argument("--ranges", type=int, default=4)
    p.add_argument("--stuck", type=float, default=60)
    p.add_argument("--calm", action="store_true")
    p.add_argument("--keepers", type=int, default=0)
    p.add_argument("--keep", type=float, default=20)
    p.add_argument("--history", metavar="DIR")
    p.add_argument("--pause", metavar="FILE")
    p.add_argument("--also", metavar="DIR", action="append", default=[])
    return top.parse_args(argv)


def main():
    args = parse(sys.argv[1:])
    # Without systemd, even the hard limit is 4096.
    with contextlib.suppress(PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    stop_on_signals()
    try:
        return args.function(args)
    except Stop:
        return 1


if __name__ == "__main__":
    sys.exit(main())
