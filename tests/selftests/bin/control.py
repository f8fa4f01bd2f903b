#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Write to a control file and read the answer from the same descriptor.

control.py FILE TEXT        TEXT with Python escapes (\\n, \\0, \\xff)
control.py FILE --size N    N bytes of `1`

Prints JSON {"error": name of the errno or "", "text": what a read gives}.
"""

import errno
import json
import os
import sys


def main(path, *what):
    if what[0] == "--size":
        data = b"1" * int(what[1])
    else:
        data = what[0].encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")
    answer = {"error": "", "text": ""}
    try:
        fd = os.open(path, os.O_RDWR)
        try:
            os.write(fd, data)
            answer["text"] = os.pread(fd, 1 << 20, 0).decode("latin-1")
        finally:
            os.close(fd)
    except OSError as error:
        answer["error"] = errno.errorcode[error.errno]
    print(json.dumps(answer))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
