# SPDX-License-Identifier: GPL-2.0-only
"""Random locking by several processes, to find deadlocks; locks.py's head has the usage.

Every process keeps what it is doing and since when in shared memory, where the parent
watches it. Processes wait for locks while they hold others, so cycles are wanted; the
alarm breaks them. An answer of EDEADLK to a waiting lock is a result, not an error.

What is locked is also used: the range of an exclusive lock gets a token, that of a shared
one is looked at, and before the lock is given back the same must still be there. Else
somebody else had the lock, too, which counts as the error `lost token`. Tokens are read and
written past the cache of an NFS client.
"""

import errno
import fcntl
import json
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
import time

from poslock import (RANGE, STRIDE, Errors, Expired, Files, Stop, alarm_after, ignore_signals,
                     test_lock, try_lock, unlock, wait_lock)

OPS = ("idle", "open", "lock", "wait", "test", "unlock", "token", "cleanup")
SLOT = struct.Struct("dIQ")             # since when, index into OPS, steps done
TOKEN = RANGE                           # bytes: the gaps between ranges stay
WEIGHTS = {"lock": 4, "wait": 3, "test": 2, "unlock": 4}


def set_slot(shared, number, op, steps):
    """A copy, as pack_into() would clear the slot first: a process caught there would seem
    to hang since time 0."""
    at = SLOT.size * number
    shared[at:at + SLOT.size] = SLOT.pack(time.monotonic(), OPS.index(op), steps)


def get_slot(shared, number):
    return SLOT.unpack_from(shared, SLOT.size * number)


class Tokens:
    """What is in the locked ranges of the files; a range is known by its index."""

    def __init__(self, owner, ranges):
        self.owner, self.ranges, self.number = owner, ranges, 0
        self.fds, self.known = {}, {}

    def open(self, path):
        if path not in self.fds:
            # A disk takes only whole blocks past the cache, but has only one cache.
            on_disk = os.major(os.stat(path).st_dev) != 0
            direct = 0 if on_disk else os.O_DIRECT
            self.fds[path] = os.open(path, os.O_RDWR | os.O_CLOEXEC | direct)
        return self.fds[path]

    def within(self, start, length):
        first = start // STRIDE
        last = self.ranges if length == 0 else (start + length - RANGE) // STRIDE + 1
        return range(first, last)

    def read(self, path, indices):
        start = indices[0] * STRIDE
        data = os.pread(self.open(path), len(indices) * STRIDE, start)
        data = data.ljust(len(indices) * STRIDE, b"\0")
        return {i: data[i * STRIDE - start:][:TOKEN] for i in indices}

    def granted(self, path, start, length, kind):
        """A lock was granted. To be called after checked()."""
        indices = self.within(start, length)
        # Known again only when it is there: SIGTERM may come in between.
        self.forget(path, start, length)
        if kind == fcntl.F_WRLCK:
            self.number += 1
            token = f"{self.owner}{self.number % 10 ** 5:05}".encode()
            # The gap behind the last range is not locked.
            data = b"".join(token.ljust(STRIDE, b"\0") for _ in indices)[:RANGE - STRIDE]
            os.pwrite(self.open(path), data, indices[0] * STRIDE)
            self.known.update({(path, i): token for i in indices})
        else:
            found = self.read(path, indices)
            self.known.update({(path, i): found[i] for i in indices})

    def checked(self, path, start, length):
        """Ranges whose token is not what it was, of those that are locked by us."""
        indices = [i for i in self.within(start, length) if (path, i) in self.known]
        if not indices:
            return []
        found = self.read(path, range(indices[0], indices[-1] + 1))
        return [(i, self.known[path, i], found[i]) for i in indices
                if found[i] != self.known[path, i]]

    def forget(self, path, start, length):
        for i in self.within(start, length):
            self.known.pop((path, i), None)


class Worker:
    """One process. Its slot in shared memory says what it is doing."""

    def __init__(self, args, number, shared):
        self.args, self.number, self.shared = args, number, shared
        self.random = random.Random(f"{args.seed} {number}")
        self.files, self.errors, self.counts = Files(), Errors(), {}
        self.tokens = Tokens(f"{os.uname().nodename[-2:]:>2}{number % 10}", args.ranges)
        self.steps = 0
        self.begin("idle")

    def begin(self, op):
        set_slot(self.shared, self.number, op, self.steps)

    def check(self, path, start, length):
        """Before a lock is given back or changed; a token is missed only once."""
        self.begin("token")
        for index, ours, found in self.tokens.checked(path, start, length):
            self.errors["lost token"] = self.errors.get("lost token", 0) + 1
            print(f"error: lost token {path} range {index}: {ours!r} became {found!r}",
                  file=sys.stderr, flush=True)
            self.tokens.forget(path, index * STRIDE, RANGE)

    def granted(self, path, start, length, kind):
        self.begin("token")
        self.tokens.granted(path, start, length, kind)
        return "granted"

    def unlock(self, path, fd, start, length):
        self.check(path, start, length)
        self.tokens.forget(path, start, length)
        self.begin("unlock")
        unlock(fd, start, length)

    def path(self):
        return os.path.join(self.args.dir, f"hammer{self.random.randrange(self.args.files)}")

    def area(self):
        """One range, several in a row, or the whole file."""
        first = self.random.randrange(self.args.ranges)
        if self.random.random() < 0.1:
            return 0, 0
        many = self.random.randrange(1, self.args.ranges - first + 1)
        return first * STRIDE, (many - 1) * STRIDE + RANGE

    def wait(self, path, fd, start, length, kind):
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
            # The grant may have won the race with the alarm, so give it back. The client
            # has done so for the server already, with all that we had of the range.
            self.tokens.forget(path, start, length)
            self.begin("unlock")
            unlock(fd, start, length)
            return "cancelled"
        return self.granted(path, start, length, kind)

    def perform(self, op, path, fd, start, length):
        kind = self.random.choice((fcntl.F_WRLCK, fcntl.F_RDLCK))
        if op in ("lock", "wait"):
            # What we have of it may become shared.
            self.check(path, start, length)
            self.begin(op)
        if op == "lock":
            if not try_lock(fd, start, length, kind):
                return "denied"
            return self.granted(path, start, length, kind)
        if op == "wait":
            return self.wait(path, fd, start, length, kind)
        if op == "test":
            return "held" if test_lock(fd, start, length, kind) else "free"
        self.unlock(path, fd, start, length)
        return "done"

    def step(self):
        path = self.path()
        op = "open"
        try:
            self.begin(op)
            fd = self.files.open(path)
            op = self.random.choices(list(WEIGHTS), WEIGHTS.values())[0]
            self.begin(op)
            result = self.perform(op, path, fd, *self.area())
        except OSError as error:
            self.errors.add(op, path, error)
            result = "error"
        self.steps += 1
        key = f"{op} {result}"
        self.counts[key] = self.counts.get(key, 0) + 1

    def run(self, end):
        try:
            while time.monotonic() < end:
                self.step()
                self.begin("idle")
                time.sleep(self.random.uniform(0, 0.01))
        except Stop:
            pass
        ignore_signals()
        for path in self.files.fds:
            self.check(path, 0, 0)
        self.begin("cleanup")
        self.files.close()
        self.begin("idle")


def start(args, number, shared, end, report):
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        worker = Worker(args, number, shared)
        worker.run(end)
        with open(report, "w", encoding="utf-8") as out:
            json.dump({"counts": worker.counts, "errors": worker.errors}, out)
        status = 0
    except BaseException as error:      # pylint: disable=broad-except
        print(f"locks: hammer process {number}: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def kernel_stack(pid):
    try:
        with open(f"/proc/{pid}/stack", encoding="ascii") as stack:
            return [line.split()[1] for line in stack]
    except OSError:
        return []


def watch(running, shared, stuck):
    """Wait for all processes; returns (those that hang, number of those that broke)."""
    hung, broken, said = [], 0, 0
    while running:
        try:
            steps = min(get_slot(shared, n)[2] for n in running.values())
            if steps > said:
                said = steps
                print("steps", steps, flush=True)
            for pid, number in list(running.items()):
                since, op, _ = get_slot(shared, number)
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    broken += status != 0
                    del running[pid]
                elif time.monotonic() - since > stuck:
                    hung.append({"process": number, "pid": pid, "doing": OPS[op],
                                 "seconds": round(time.monotonic() - since, 1),
                                 "stack": kernel_stack(pid)})
                    # It may be beyond killing, so it is not waited for.
                    os.kill(pid, signal.SIGKILL)
                    del running[pid]
            time.sleep(0.1)
        except Stop:
            for pid in running:
                os.kill(pid, signal.SIGTERM)
    return hung, broken


def hammer(args):
    shared = mmap.mmap(-1, max(mmap.PAGESIZE, SLOT.size * args.procs))
    end = time.monotonic() + args.seconds
    with tempfile.TemporaryDirectory() as scratch:
        reports = [os.path.join(scratch, str(number)) for number in range(args.procs)]
        running = {}
        for number, report in enumerate(reports):
            set_slot(shared, number, "idle", 0)
            running[start(args, number, shared, end, report)] = number
        hung, broken = watch(running, shared, args.stuck)
        counts, errors = {}, {}
        if broken:
            errors["process died"] = broken
        for report in reports:
            if os.path.exists(report):
                with open(report, encoding="utf-8") as text:
                    part = json.load(text)
                for total, more in ((counts, part["counts"]), (errors, part["errors"])):
                    for key, value in more.items():
                        total[key] = total.get(key, 0) + value
    print(json.dumps({"seed": args.seed, "counts": dict(sorted(counts.items())),
                      "errors": errors, "hung": hung}), flush=True)
    return 1 if hung or errors else 0
