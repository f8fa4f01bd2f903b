#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Make a file that must not be there (O_EXCL): exclusive.py FILE

Prints `made`, after its name is in it, or the name of the errno.
"""

import errno
import os
import sys


def main(path):
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, os.fsencode(os.path.basename(path)))
        os.fsync(fd)
        os.close(fd)
    except OSError as error:
        print(errno.errorcode.get(error.errno, error.errno), flush=True)
        return
    print("made", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
