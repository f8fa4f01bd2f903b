#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""How long a write(2) to a control file takes: timed_write.py FILE TEXT

Prints JSON {"seconds": S, "reply": TEXT}: the time of the system call alone, and what a read
on the same descriptor gives then ("" if it cannot be read).
"""

import json
import os
import sys
import time


def main():
    path, text = sys.argv[1], sys.argv[2].encode() + b"\n"
    fd = os.open(path, os.O_RDWR)
    began = time.perf_counter()
    os.write(fd, text)
    seconds = time.perf_counter() - began
    try:
        reply = os.read(fd, 4096).decode()
    except OSError:
        reply = ""
    print(json.dumps({"seconds": seconds, "reply": reply.strip()}))


if __name__ == "__main__":
    main()
