#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Files that are delegated to a client, and others who want something of them.

recalls.py make DIR FILE...
    Files that consist of lines `FILE old`.
recalls.py hold PATH...
    Open such files, and lock each: one whose name begins with w is locked exclusively and gets lines
    `FILE new`, of which nobody tells the server; any other is read, and locked shared. `held N`.
    SIGUSR2: `closing`; another process closes what was written, so that others have to see it from then
    on, `closed N`; and then the last line of each becomes `FILE end`, of which nobody tells the server.
    SIGUSR1: use each of them on the server, and print `checked N errors E`.
    After SIGTERM give all up, and print JSON {errors}.
recalls.py want DIR WORD FILE... [WORD FILE...]...
    All at the same time: WORD is read, append (of a line `FILE more`) or chmod. Prints `FILE done` as each
    is, with the lines, each once, that were read, or the name of the errno.
"""

import errno
import fcntl
import json
import os
import signal
import sys
import threading
import time

from poslock import Errors, Stop, ignore_signals, stop_on_signals, try_lock

# Some pages.
LINES = 1000


def lines(name, word):
    return f"{name} {word}\n".encode() * LINES


def make(directory, *names):
    for name in names:
        with open(os.path.join(directory, name), "wb") as file:
            file.write(lines(name, "old"))
    os.sync()


def is_written(path):
    return os.path.basename(path).startswith("w")


class Holder:
    def __init__(self, paths):
        self.errors, self.fds = Errors(), {}
        for path in paths:
            written = is_written(path)
            self.fds[path] = fd = os.open(path, os.O_RDWR if written else os.O_RDONLY)
            if not try_lock(fd, kind=fcntl.F_WRLCK if written else fcntl.F_RDLCK):
                raise BlockingIOError(path)
            if written:
                os.pwrite(fd, lines(os.path.basename(path), "new"), 0)
            else:
                os.pread(fd, LINES, 0)

    def close(self):
        """Not here: that would be the end of the locks."""
        print("closing", flush=True)
        pid = os.fork()
        if not pid:
            for fd in self.fds.values():
                os.close(fd)
            os._exit(0)
        os.waitpid(pid, 0)
        for path, fd in self.fds.items():
            if is_written(path):
                name = os.path.basename(path)
                os.pwrite(fd, f"{name} end".encode(), len(lines(name, "end")) // LINES * (LINES - 1))
        print("closed", len(self.fds), flush=True)

    def use(self, path):
        fd = self.fds[path]
        if is_written(path):
            # All else is there, or it is lost.
            os.pwrite(fd, os.path.basename(path).encode(), 0)
            os.fsync(fd)
        else:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.pread(fd, LINES, 0)

    def check(self):
        before = sum(self.errors.values())
        for path in self.fds:
            try:
                self.use(path)
            except OSError as error:
                self.errors.add("use", path, error)
        print("checked", len(self.fds), "errors", sum(self.errors.values()) - before, flush=True)


def hold(*paths):
    asked = []
    holder = Holder(paths)
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(holder.check))
    signal.signal(signal.SIGUSR2, lambda *_: asked.append(holder.close))
    print("held", len(holder.fds), flush=True)
    try:
        while True:
            if asked:
                asked.pop()()
            time.sleep(0.1)
    except Stop:
        pass
    ignore_signals()
    for path, fd in holder.fds.items():
        try:
            os.close(fd)
        except OSError as error:
            holder.errors.add("close", path, error)
    print(json.dumps({"errors": holder.errors}), flush=True)


def read(path):
    with open(path, encoding="ascii") as file:
        return sorted(set(file.read().splitlines()))


def append(path):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, f"{os.path.basename(path)} more\n".encode())
    finally:
        os.close(fd)
    return ()


def chmod(path):
    os.chmod(path, 0o640)
    return ()


def try_it(operation, path):
    try:
        said = ["done", *operation(path)]
    except OSError as error:
        said = [errno.errorcode.get(error.errno, str(error.errno))]
    # In one piece: several do it at the same time.
    os.write(1, " ".join([os.path.basename(path), *said, "\n"]).encode())


def want(directory, *given):
    operations = {"read": read, "append": append, "chmod": chmod}
    threads, operation = [], None
    for word in given:
        if word in operations:
            operation = operations[word]
        else:
            threads.append(threading.Thread(target=try_it, args=(operation, os.path.join(directory, word))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(what, *given):
    stop_on_signals()
    try:
        {"make": make, "hold": hold, "want": want}[what](*given)
    except Stop:
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
