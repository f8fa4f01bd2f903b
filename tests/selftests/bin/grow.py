#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Takes one new lock after the other and keeps them all: grow.py DIR PREFIX [--most N]

Each lock is on a file of its own, DIR/PREFIX<number>. `granted <inode>` is printed when the
kernel has granted it, so whoever reads that line may rely on it; `error <errno name>` if it
was refused. Ends by SIGTERM, with all locks.
"""

import argparse
import errno
import os
import time

from poslock import Stop, ignore_signals, open_rw, stop_on_signals, wait_lock


def main():
    parser = argparse.ArgumentParser(description="More and more locks; grow.py's head describes it")
    parser.add_argument("dir")
    parser.add_argument("prefix")
    parser.add_argument("--most", type=int, default=500)
    args = parser.parse_args()
    stop_on_signals()
    try:
        for number in range(args.most):
            fd = open_rw(os.path.join(args.dir, f"{args.prefix}{number}"))
            try:
                wait_lock(fd)
                print("granted", os.fstat(fd).st_ino, flush=True)
            except OSError as error:
                print("error", errno.errorcode.get(error.errno, error.errno), flush=True)
        while True:
            time.sleep(1)
    except Stop:
        ignore_signals()


if __name__ == "__main__":
    main()
