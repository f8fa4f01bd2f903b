# SPDX-License-Identifier: GPL-2.0-only
"""POSIX record locks, a count of everything that went wrong, and being stopped.

A library for locks.py and its parts. An application on a cluster must never see an
error, so nothing here retries or hides one: Errors prints each and keeps the count.
"""

import contextlib
import errno
import fcntl
import os
import signal
import struct
import sys
import time

FLOCK = struct.Struct("hhxxxxqqixxxx")      # struct flock on 64-bit Linux
BUSY = (errno.EAGAIN, errno.EACCES)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
# Ranges of one file keep a gap: the kernel would merge adjacent locks of one owner.
RANGE, STRIDE = 8, 16
MODE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
# Not empty once Stop was raised: an Expired that comes meanwhile must not take its place.
STOPPING = []


class Stop(Exception):
    """SIGTERM or SIGINT arrived."""


class Expired(Exception):
    """The alarm of alarm_after() rang."""


class Errors(dict):
    """Count per "<operation> <errno name>"; prints each error to stderr."""

    def add(self, op, path, error):
        key = f"{op} {errno.errorcode.get(error.errno, error.errno)}"
        self[key] = self.get(key, 0) + 1
        print(f"error: {key} {path}", file=sys.stderr, flush=True)


def stop_on_signals():
    def stop(*_):
        # First: an alarm that rings in this function would leave nothing but its Expired, and the
        # process would go on, deaf to SIGTERM.
        STOPPING.append(True)
        ignore_signals()
        raise Stop
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def ignore_signals():
    """From here on, to finish a summary undisturbed. To be called where Stop is still caught:
    in the line behind it is too late."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _masked(change):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(change, SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def held_back():
    """Neither Stop nor Expired is raised in it; a signal comes when it is over."""
    return _masked(signal.SIG_BLOCK)


def let_through():
    """Within held_back(): what may take long, and may be left in the middle."""
    return _masked(signal.SIG_UNBLOCK)


def alarm_after(seconds):
    """Raise Expired in this many seconds, even out of a blocking lock; 0: call it off."""
    def expire(*_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Stop if STOPPING else Expired
    signal.signal(signal.SIGALRM, expire)
    # Again and again, as one just before the system call interrupts nothing.
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)


def _fcntl(fd, command, kind, start, length):
    answer = fcntl.fcntl(fd, command, FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
    return FLOCK.unpack(answer)


def try_lock(fd, start=0, length=0, kind=fcntl.F_WRLCK):
    """True: got it; False: somebody else has it; any other outcome raises."""
    try:
        _fcntl(fd, fcntl.F_SETLK, kind, start, length)
    except OSError as error:
        if error.errno in BUSY:
            return False
        raise
    return True


def wait_lock(fd, start=0, length=0, kind=fcntl.F_WRLCK):
    _fcntl(fd, fcntl.F_SETLKW, kind, start, length)


def test_lock(fd, start=0, length=0, kind=fcntl.F_WRLCK):
    """True: somebody else holds a conflicting lock."""
    return _fcntl(fd, fcntl.F_GETLK, kind, start, length)[0] != fcntl.F_UNLCK


def unlock(fd, start=0, length=0):
    _fcntl(fd, fcntl.F_SETLK, fcntl.F_UNLCK, start, length)


def open_rw(path):
    return os.open(path, MODE, 0o666)


def ranges(directory, count, prefix, one_file):
    """(path, start, length) of each lock of a set: whole files, or ranges of one file."""
    base = os.path.join(directory, prefix)
    if one_file:
        return [(base, i * STRIDE, RANGE) for i in range(count)]
    return [(f"{base}{i}", 0, 0) for i in range(count)]


class Files:
    """File descriptors by path. Each is opened once: closing any would drop the locks."""

    def __init__(self, mode=MODE):
        self.fds, self.mode = {}, mode

    def open(self, path):
        if path not in self.fds:
            self.fds[path] = os.open(path, self.mode, 0o666)
        return self.fds[path]

    def close(self):
        for fd in self.fds.values():
            os.close(fd)


def sleep_until_file(path, seconds):
    """Sleep, at most until the file exists; True if it does."""
    end = time.monotonic() + seconds
    while True:
        if path is not None and os.path.exists(path):
            return True
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, 0.2))
