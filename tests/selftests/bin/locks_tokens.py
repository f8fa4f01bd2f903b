# SPDX-License-Identifier: GPL-2.0-only
"""What is in locked ranges of files, to notice that somebody else had the lock, too.

The range of an exclusive lock gets a token, that of a shared one is looked at, and before
the lock is given back the same must still be there. Tokens are read and written past the
cache of an NFS client. A range is known by its index.
"""

import fcntl
import os

from poslock import RANGE, STRIDE

TOKEN = RANGE                           # bytes: the gaps between ranges stay


class Tokens:
    """What one process knows of ranges: only of those that it certainly has locked."""

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
        """A lock was granted; returns what is in its first range. To be called after
        checked() and forget()."""
        indices = self.within(start, length)
        # Known again only when it is there: SIGTERM may come in between.
        if kind == fcntl.F_WRLCK:
            self.number += 1
            token = f"{self.owner}{self.number % 10 ** 5:05}".encode()
            # The gap behind the last range is not locked.
            data = b"".join(token.ljust(STRIDE, b"\0") for _ in indices)[:RANGE - STRIDE]
            os.pwrite(self.open(path), data, indices[0] * STRIDE)
            found = {i: token for i in indices}
        else:
            found = self.read(path, indices)
        self.known.update({(path, i): found[i] for i in indices})
        return found[indices[0]]

    def checked(self, path, start, length):
        """Ranges whose token is not what it was, of those that are locked by us."""
        indices = [i for i in self.within(start, length) if (path, i) in self.known]
        if not indices:
            return []
        found = self.read(path, range(indices[0], indices[-1] + 1))
        return [(i, self.known[path, i], found[i]) for i in indices
                if found[i] != self.known[path, i]]

    def forget(self, path, start, length):
        """Returns what was known, to be put back if it turns out to be still locked."""
        keys = [(path, i) for i in self.within(start, length)]
        return {key: self.known.pop(key) for key in keys if key in self.known}
