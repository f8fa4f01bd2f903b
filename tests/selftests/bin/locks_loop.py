# SPDX-License-Identifier: GPL-2.0-only
"""The bystander of locks.py and the reader of its log; see locks.py for both."""

import json
import os
import statistics
import sys
import time

from poslock import (RANGE, STRIDE, Errors, Stop, held_back, ignore_signals, let_through, open_rw,
                     unlock, wait_lock)


class Bystander:
    def __init__(self, args, log):
        self.args, self.log = args, log
        self.range = (0, 0) if args.half is None else (args.half * STRIDE, RANGE)
        self.errors = Errors()
        self.durations = []
        self.fd = None
        self.op = None
        self.began = None           # (monotonic, wall) while a round trip is under way

    def _step(self, op, function, *args):
        self.op = op
        return function(*args)

    def _close(self):
        if self.fd is not None:
            fd, self.fd = self.fd, None
            os.close(fd)

    def _begin(self):
        """Open, and with --write lock once for all."""
        self.fd = self._step("open", open_rw, self.args.file)
        if self.args.write:
            self._step("lock", wait_lock, self.fd, *self.range)

    def round_trip(self):
        """open, lock, unlock, close. Waits (F_SETLKW): nobody else uses the file, or this range."""
        if self.fd is None:
            self._begin()
        if self.args.write:
            self._step("write", os.pwrite, self.fd, b"w", 0)
            self._step("fsync", os.fsync, self.fd)
            return
        self._step("lock", wait_lock, self.fd, *self.range)
        self._step("unlock", unlock, self.fd, *self.range)
        if self.args.open:
            self._step("close", self._close)

    def record(self, *more):
        (mono, wall), self.began = self.began, None
        duration = time.monotonic() - mono
        print(f"{mono:.6f} {wall:.6f} {duration:.6f}", *more, file=self.log)
        return duration

    def run(self):
        while True:
            self.began = time.monotonic(), time.time()
            try:
                with let_through():
                    self.round_trip()
                self.durations.append(self.record())
            except OSError as error:
                self.errors.add(self.op, self.args.file, error)
                self.record(self.op, f"errno={error.errno}")
            with let_through():
                time.sleep(self.args.interval / 1000)


def loop(args):
    # Line buffered: the log is read while the loop runs, and outlives a killed one.
    with held_back(), open(args.log, "w", buffering=1, encoding="ascii") as log:
        b = Bystander(args, log)
        try:
            b.run()
        except Stop:
            ignore_signals()
        unfinished = 0.0 if b.began is None else b.record("unfinished")
    print(json.dumps({
        "count": len(b.durations),
        "median": round(statistics.median(b.durations), 6) if b.durations else None,
        "max": round(max(b.durations), 6) if b.durations else None,
        "errors": b.errors,
        "unfinished": round(unfinished, 6),
    }), flush=True)
    return 1 if b.errors else 0


def percentile(ordered, percent):
    """Nearest rank."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def stalls(args):
    trips, errors, unfinished = [], 0, 0.0
    with open(args.log, encoding="ascii") as log:
        for line in log:
            fields = line.split()
            # The last line may be half written while the loop runs.
            if len(fields) < 3 or not line.endswith("\n"):
                continue
            start, duration = float(fields[args.wall]), float(fields[2])
            if start > args.until or start + duration < args.since:
                continue
            trips.append((duration, start))
            if fields[-1] == "unfinished":
                unfinished = duration
            elif len(fields) > 3:
                errors += 1
    if not trips:
        print("locks: no round trip in this window; check --from, --to and --wall", file=sys.stderr)
        return 1
    trips.sort()
    ordered = [duration for duration, _ in trips]
    print(json.dumps({"count": len(trips), "max": trips[-1][0], "at": trips[-1][1],
                      **{f"p{p}": percentile(ordered, p) for p in (50, 90, 99)},
                      "unfinished": unfinished, "errors": errors}), flush=True)
    return 1 if errors else 0
