#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What a filesystem that recovers keeps waiting besides opens and locks: changes.py DIR

Makes some files in DIR and prints `ready`. After SIGUSR1 it does with each of them one of

    rename, remove, setxattr, removexattr, getlk (F_GETLK of a file that is open)

all at the same time, prints `done NAME` as each is, or `failed NAME ERRNO`, and ends after the last one.
"""

import errno
import fcntl
import os
import signal
import sys
import threading

from poslock import FLOCK


def getlk(fd):
    asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    if FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK:
        raise BlockingIOError(errno.EAGAIN, "locked")


def operations(directory):
    """{name: what does it}, with a directory for each: whoever changes one keeps others of the same
    client away from it."""
    paths, fds = {}, {}
    for name in "rename", "remove", "setxattr", "removexattr", "getlk":
        where = os.path.join(directory, name)
        os.mkdir(where)
        paths[name] = os.path.join(where, "file")
        fds[name] = os.open(paths[name], os.O_RDWR | os.O_CREAT, 0o600)
        if name != "getlk":
            os.close(fds[name])
    os.setxattr(paths["removexattr"], "user.old", b"1")
    return {"rename": lambda: os.rename(paths["rename"], f"{paths['rename']}.new"),
            "remove": lambda: os.unlink(paths["remove"]),
            "setxattr": lambda: os.setxattr(paths["setxattr"], "user.new", b"1"),
            "removexattr": lambda: os.removexattr(paths["removexattr"], "user.old"),
            "getlk": lambda: getlk(fds["getlk"])}


def do(name, operation):
    try:
        operation()
        said = f"done {name}\n"
    except OSError as error:
        said = f"failed {name} {errno.errorcode.get(error.errno, error.errno)}\n"
    os.write(1, said.encode())


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    threads = [threading.Thread(target=do, args=item) for item in operations(sys.argv[1]).items()]
    print("ready", flush=True)
    signal.sigwait({signal.SIGUSR1})
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
