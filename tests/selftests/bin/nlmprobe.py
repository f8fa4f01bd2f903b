#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Ask a server what it makes of lock requests, several in one go.

nlmprobe.py HOST REQUEST...     REQUEST is KIND:EXPORT:PATH, KIND one of
    new      lock exclusively; a granted lock is given back
    reclaim  the same, as a reclaim
    test     test
    unlock   give back what an earlier one could not

Prints the status of each, one line each (see nlm.py); `not given back` is added if
the lock was granted and the server did not take it back.
"""

import sys

import nfs3
from nlm import Nlm


def ask(nlm, kind, fh):
    lock = {"exclusive": True}
    if kind == "test":
        return nlm.test(fh, **lock)[0]
    if kind == "unlock":
        return nlm.unlock(fh)
    status = nlm.lock(fh, reclaim=kind == "reclaim", **lock)
    if status == "GRANTED" and nlm.unlock(fh) != "GRANTED":
        status += " not given back"
    return status


def main(host, *requests):
    handles = {}
    with Nlm(host) as nlm:
        for request in requests:
            kind, export, path = request.split(":", 2)
            if (export, path) not in handles:
                handles[export, path] = nfs3.handle(host, export, path)
            print(ask(nlm, kind, handles[export, path]), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
