# SPDX-License-Identifier: GPL-2.0-only
"""Random locking by several processes, to find deadlocks and locks that two have at once.

Every process keeps what it is doing and since when in shared memory, where the parent
watches it, see locks_watch.py. Processes wait for locks while they hold others, so cycles are wanted; the
alarm breaks them. An answer of EDEADLK to a waiting lock is a result, not an error. With
--calm nobody who holds anything waits, so that no call is ever interrupted, and nobody
holds many locks for long, so that nobody waits for ever.

What is locked is also used, see locks_tokens.py: if somebody else had it, too, that counts
as the error `lost token`. It is looked for only where the kernel said that the lock is
granted and no later call for any of it was interrupted or failed: of those nobody can tell
what is left. A process that dies is the error `process N died: why`. locks.py's head has the usage.

A process can be told to end only where it waits for a lock or sleeps: what the kernel has
answered is written down in any case.
"""

import errno
import fcntl
import json
import mmap
import os
import random
import sys
import tempfile
import time

from locks_history import History
from locks_tokens import Tokens
from locks_watch import SLOT, set_slot, watch
from poslock import (RANGE, STOPPING, STRIDE, Errors, Expired, Files, Stop, alarm_after, held_back,
                     ignore_signals, let_through, sleep_until_file, test_lock, try_lock, unlock,
                     wait_lock)
from workers import Workers

WEIGHTS = {"lock": 4, "wait": 3, "test": 2, "unlock": 4}
CALM = {"lock": 8, "wait": 1, "test": 2, "unlock": 4, "unlock all": 4}
SHORTLY = 0.01                          # longest between steps, of those who do not keep


class Worker:
    """One process. Its slot in shared memory says what it is doing."""

    def __init__(self, args, number, shared):
        self.args, self.number, self.shared = args, number, shared
        self.random = random.Random(f"{args.seed} {number}")
        self.files, self.errors, self.counts = Files(), Errors(), {}
        node = os.uname().nodename
        self.tokens = Tokens(f"{node[-2:]:>2}{number % 10}", args.ranges)
        self.history = History(args.history, f"{node}.{number}")
        self.keeper = number < args.keepers
        self.steps, self.longest = 0, 0.0
        self.begin("idle")

    def begin(self, op):
        self.doing = op
        set_slot(self.shared, self.number, op, self.steps)

    def record(self, began, op, result, path, start, length, kind=None, token=b""):
        letter = {fcntl.F_WRLCK: "W", fcntl.F_RDLCK: "R"}.get(kind, "-")
        self.history.add(began, op, result, os.path.basename(path),
                         self.tokens.within(start, length), letter, token)

    def check(self, path, start, length):
        """Before a lock is given back or changed; a token is missed only once."""
        self.begin("token")
        began = time.time()
        for index, ours, found in self.tokens.checked(path, start, length):
            self.errors["lost token"] = self.errors.get("lost token", 0) + 1
            self.record(began, "check", "lost", path, index * STRIDE, RANGE, token=found)
            print(f"error: lost token {path} range {index}: {ours!r} became {found!r} at "
                  f"{began:.3f}", file=sys.stderr, flush=True)
            self.tokens.forget(path, index * STRIDE, RANGE)

    def ask(self, op, call, path, start, length, kind):
        """Ask for a lock; call() returns what became of it. Nothing is known of the range
        before the kernel has answered, and not afterwards if it has not."""
        self.check(path, start, length)
        known = self.tokens.forget(path, start, length)
        self.begin(op)
        began, result = time.time(), "interrupted"
        try:
            with let_through():
                result = call()
        except OSError as error:
            result = errno.errorcode.get(error.errno, error.errno)
            raise
        finally:
            self.longest = max(self.longest, time.time() - began)
            self.record(began, op, result, path, start, length, kind)
        if result in ("denied", "EDEADLK"):
            self.tokens.known.update(known)
        elif result == "granted":
            self.begin("token")
            began = time.time()
            token = self.tokens.granted(path, start, length, kind)
            self.record(began, "token", "there", path, start, length, kind, token)
        return result

    def unlock(self, path, fd, start, length):
        self.check(path, start, length)
        self.tokens.forget(path, start, length)
        self.begin("unlock")
        began, result = time.time(), "interrupted"
        try:
            unlock(fd, start, length)
            result = "done"
        finally:
            self.record(began, "unlock", result, path, start, length)
        return result

    def unlock_all(self):
        for path in {path for path, _ in self.tokens.known}:
            self.unlock(path, self.files.open(path), 0, 0)
        return "done"

    def path(self, number):
        mounts = [self.args.dir, *self.args.also]
        return os.path.join(mounts[self.number % len(mounts)], f"hammer{number}")

    def open_all(self):
        """From now on nobody is delegated any of these files, as others have them open."""
        self.begin("open")
        for number in range(self.args.files):
            self.files.open(self.path(number))
        self.begin("idle")

    def area(self, op):
        """One range, several in a row, or the whole file."""
        first = self.random.randrange(self.args.ranges)
        if op == "wait" and self.args.calm:
            return first * STRIDE, RANGE
        if self.random.random() < 0.1 and not self.keeper:
            return 0, 0
        many = self.random.randrange(1, self.args.ranges - first + 1)
        return first * STRIDE, (many - 1) * STRIDE + RANGE

    def wait_a_while(self, fd, start, length, kind):
        """As long as the alarm allows; to be called where nothing is known of the range."""
        try:
            try:
                alarm_after(self.random.uniform(0.02, 0.5))
                wait_lock(fd, start, length, kind)
            except OSError as error:
                if error.errno == errno.EDEADLK:
                    return "EDEADLK"
                raise
            finally:
                alarm_after(0)
        except Expired:
            return "cancelled"
        return "granted"

    def wait(self, path, fd, start, length, kind):
        def call():
            if self.args.calm:
                wait_lock(fd, start, length, kind)
                return "granted"
            return self.wait_a_while(fd, start, length, kind)
        result = self.ask("wait", call, path, start, length, kind)
        if result == "cancelled":
            # The grant may have won the race with the alarm, so give it back. The client
            # has done so for the server already, with all that we had of the range.
            self.unlock(path, fd, start, length)
        return result

    def perform(self, op, path, fd, start, length):
        kind = self.random.choice((fcntl.F_WRLCK, fcntl.F_RDLCK))
        if op == "lock":
            return self.ask(op, lambda: "granted" if try_lock(fd, start, length, kind)
                            else "denied", path, start, length, kind)
        if op == "wait":
            return self.wait(path, fd, start, length, kind)
        if op == "test":
            with let_through():
                return "held" if test_lock(fd, start, length, kind) else "free"
        return self.unlock(path, fd, start, length)

    def step(self):
        path, op = self.path(self.random.randrange(self.args.files)), "open"
        try:
            self.begin(op)
            fd = self.files.open(path)
            weights = CALM if self.args.calm else WEIGHTS
            op = self.random.choices(list(weights), weights.values())[0]
            if op == "wait" and self.args.calm and self.tokens.known:
                op = "lock"
            if self.keeper and self.tokens.known and self.random.random() < 0.5:
                op = "unlock all"
            if op == "unlock all":
                result = self.unlock_all()
            else:
                self.begin(op)
                result = self.perform(op, path, fd, *self.area(op))
        except OSError as error:
            self.errors.add(self.doing, path, error)
            result = "error"
        self.steps += 1
        key = f"{op} {result}"
        self.counts[key] = self.counts.get(key, 0) + 1

    def pause(self):
        """Do nothing for as long as we are asked to."""
        while self.args.pause and os.path.exists(self.args.pause):
            self.begin("pause")
            with let_through():
                time.sleep(0.1)

    def run(self, end):
        try:
            if self.args.calm:
                self.open_all()
            while not STOPPING and time.monotonic() < end:
                self.step()
                self.begin("idle")
                keep = self.keeper and self.tokens.known
                longest = self.args.keep if keep else SHORTLY
                with let_through():
                    sleep_until_file(self.args.pause, self.random.uniform(0, longest))
                self.pause()
        except Stop:
            pass
        ignore_signals()
        for path in self.files.fds:
            self.check(path, 0, 0)
            self.record(time.time(), "unlock", "closing", path, 0, 0)
        self.begin("cleanup")
        self.files.close()
        self.begin("idle")


def work(args, number, shared, end):
    worker = Worker(args, number, shared)
    worker.run(end)
    return {"counts": worker.counts, "errors": worker.errors, "longest": worker.longest}


def hammer(args):
    if args.history is not None:
        os.makedirs(args.history, exist_ok=True)
    shared = mmap.mmap(-1, max(mmap.PAGESIZE, SLOT.size * args.procs))
    end = time.monotonic() + args.seconds
    with held_back(), tempfile.TemporaryDirectory() as scratch:
        workers = Workers(scratch)
        for number in range(args.procs):
            set_slot(shared, number, "idle", 0)
            workers.start(f"process {number}", work, args, number, shared, end)
        hung, ended = watch(args, workers.running, shared)
        counts, errors, longest = {}, {}, 0.0
        for number, status in ended.items():
            part, died = workers.report(number, status)
            if died:
                errors[died] = 1
                continue
            longest = max(longest, part["longest"])
            for total, more in ((counts, part["counts"]), (errors, part["errors"])):
                for key, value in more.items():
                    total[key] = total.get(key, 0) + value
        print(json.dumps({"seed": args.seed, "counts": dict(sorted(counts.items())),
                          "longest": round(longest, 3), "errors": errors, "hung": hung}), flush=True)
        ignore_signals()
    return 1 if hung or errors else 0
