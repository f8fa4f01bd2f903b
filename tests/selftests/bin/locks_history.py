# SPDX-License-Identifier: GPL-2.0-only
"""What a process did with locks and when, kept until somebody asks; for locks_hammer.py.

One line for each call, written when it has returned, in wall clock time, which processes
of several machines have in common:

    began ended who operation result file first last kind token

`first` and `last` are numbers of ranges, `kind` is R, W or -. The lines are in files
<directory>/<who>.<number>, which are renamed to *.done when they are full. Whoever wants
them all fetches and removes those; else the oldest are removed here.
"""

import os
import time

FULL = 64 << 10
KEPT = 16


class History:
    def __init__(self, directory, who):
        self.directory, self.who = directory, who
        self.number, self.size, self.fd = 0, 0, None

    def add(self, began, operation, result, file, indices, kind="-", token=b""):
        if self.directory is None:
            return
        line = (f"{began:.6f} {time.time():.6f} {self.who} {operation} {result} {file} "
                f"{indices[0]} {indices[-1]} {kind} {printable(token)}\n").encode()
        if self.fd is None:
            self.fd = os.open(self._path(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(self.fd, line)
        self.size += len(line)
        if self.size >= FULL:
            self._next()

    def _path(self):
        return os.path.join(self.directory, f"{self.who}.{self.number}")

    def _next(self):
        os.close(self.fd)
        os.rename(self._path(), self._path() + ".done")
        self.number, self.size, self.fd = self.number + 1, 0, None
        try:
            os.unlink(os.path.join(self.directory, f"{self.who}.{self.number - KEPT}.done"))
        except FileNotFoundError:
            pass


def printable(token):
    """A token as one word."""
    return token.rstrip(b" \0").lstrip().decode("latin-1").replace("\0", ".") or "-"
