#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Requests for new locks that do not wait for each other: newlocks.py FILE --log LOG

Every --interval seconds a thread asks for a range of FILE that nobody has (F_SETLKW) and gives
it back at once. Each grant is a line in LOG: `asked granted`, both wall clock seconds; an
error is `asked errno=N`. A client that is told to wait asks again after 5 s, so one request shows
that locks are granted again up to 5 s late; of --most requests, which are never all asked
at the same moment, one shows it within 5/most seconds.

SIGSTOP and SIGCONT pause it; it ends by SIGTERM.
"""

import argparse
import sys
import threading
import time

from poslock import STRIDE, RANGE, Stop, open_rw, stop_on_signals, unlock, wait_lock


class Asker:
    def __init__(self, path, log):
        self.fd, self.log = open_rw(path), log
        self.mutex = threading.Lock()
        self.waiting = 0

    def ask(self, number):
        asked = time.time()
        try:
            wait_lock(self.fd, number * STRIDE, RANGE)
            said = f"{time.time():.6f}"
            unlock(self.fd, number * STRIDE, RANGE)
        except OSError as error:
            said = f"errno={error.errno}"
        with self.mutex:
            self.waiting -= 1
            print(f"{asked:.6f} {said}", file=self.log)

    def run(self, interval, most):
        number = 0
        while True:
            time.sleep(interval)
            with self.mutex:
                if self.waiting >= most:
                    continue
                self.waiting += 1
            number += 1
            threading.Thread(target=self.ask, args=[number], daemon=True).start()


def main():
    parser = argparse.ArgumentParser(description="New locks; newlocks.py's head describes it")
    parser.add_argument("file")
    parser.add_argument("--log", required=True)
    parser.add_argument("--interval", type=float, default=0.25)
    parser.add_argument("--most", type=int, default=20)
    args = parser.parse_args()
    stop_on_signals()
    with open(args.log, "w", buffering=1, encoding="ascii") as log:
        asker = Asker(args.file, log)
        print("asking", flush=True)
        try:
            asker.run(args.interval, args.most)
        except Stop:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
