#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Write to a file and wait until the server has it, again and again, until SIGTERM: writes.py FILE

Prints the time of the wall clock after each write.
"""

import os
import sys
import time

from poslock import Stop, stop_on_signals

PAUSE = 0.2


def main():
    stop_on_signals()
    fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
    try:
        while True:
            os.pwrite(fd, b"x", 0)
            os.fsync(fd)
            print(f"{time.time():.3f}", flush=True)
            time.sleep(PAUSE)
    except Stop:
        pass


if __name__ == "__main__":
    main()
