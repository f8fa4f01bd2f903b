#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""NFSv4 opens that deny others access, which no Linux client asks for (RFC 7530, 16.16).

nfs4.py hold HOST EXPORT FILE ACCESS DENY [--version VERSION]
    Opens the file, by NFSv4.0 if nothing is said, and keeps it open; reclaims it whenever the server has
    forgotten the client. Prints "held", "reclaimed" each time, and in the end, after SIGTERM, the file
    closed, JSON {"reclaimed": N, "lost": STATUS or null}.
nfs4.py try HOST EXPORT FILE ACCESS DENY [--version VERSION]
    Opens the file once, prints the status, and closes it.
nfs4.py hammer HOST EXPORT VERSION [--files N] [--owners N] [--keep S] [--seed N] [--history DIR]
        [--pause FILE]
    Some owners of one client open files deny0, deny1, ... at random, with random ACCESS and DENY, and keep
    them open for up to --keep seconds; see nfs4_hammer.py. `steps N` after each request for an open or a
    close, `recovered` whenever a new server has all that was open. After SIGTERM all is closed, then JSON
    {counts, errors, longest, reclaimed}. --history, --pause: as of locks.py hammer; what it has open is in
    FILE.done.

ACCESS and DENY are none, read, write or both. VERSION is 4.0, 4.1 or 4.2. FILE is there already.
"""

import argparse
import json
import signal
import sys
import time

import nfs4_hammer
from nfs4_client import FORGOTTEN, SHARE, VERSIONS, Open, Owner, Refused, open_whole, patiently


def say(text):
    print(text, flush=True)


def reclaim(client, what):
    while True:
        try:
            patiently(client.begin)
            open_whole(client, what, again=True)
            return patiently(client.complete)
        except Refused as error:
            # The address has moved meanwhile.
            if str(error) not in FORGOTTEN:
                raise


def wanted(args, client):
    return Open(Owner(f"owner {time.time_ns()}"), client.find(args.file), args.file, args.access,
                args.deny)


def hold(args):
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    client = VERSIONS[args.version](args.host, args.export, "hold")
    client.begin()
    client.complete()
    what = wanted(args, client)
    open_whole(client, what)
    say("held")
    reclaimed, lost = 0, None
    while not ending and not lost:
        time.sleep(0.5)
        try:
            try:
                patiently(client.renew)
            except Refused as error:
                if str(error) not in FORGOTTEN:
                    raise
                reclaim(client, what)
                reclaimed += 1
                say("reclaimed")
        except Refused as error:
            lost = str(error)
            say(f"lost {lost}")
    if not lost:
        try:
            patiently(lambda: client.close(what))
        except Refused as error:
            lost = str(error)
    say(json.dumps({"reclaimed": reclaimed, "lost": lost}))


def once(args):
    client = VERSIONS[args.version](args.host, args.export, "try")
    patiently(client.begin)
    patiently(client.complete)
    try:
        what = wanted(args, client)
        client.open(what)
        client.confirm(what)
    except Refused as error:
        return say(error)
    client.close(what)
    return say("OK")


def main():
    parser = argparse.ArgumentParser(description="NFSv4 opens; nfs4.py's head describes them")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function in ("hold", hold), ("try", once), ("hammer", nfs4_hammer.hammer):
        p = commands.add_parser(name)
        p.set_defaults(function=function)
        p.add_argument("host")
        p.add_argument("export")
        if name == "hammer":
            p.add_argument("version", choices=VERSIONS)
            p.add_argument("--files", type=int, default=2)
            p.add_argument("--owners", type=int, default=2)
            p.add_argument("--keep", type=float, default=8)
            p.add_argument("--seed", type=int, default=0)
            p.add_argument("--history", metavar="DIR")
            p.add_argument("--pause", metavar="FILE")
        else:
            p.add_argument("file")
            p.add_argument("access", choices=SHARE)
            p.add_argument("deny", choices=SHARE)
            p.add_argument("--version", choices=VERSIONS, default="4.0")
    args = parser.parse_args()
    return args.function(args)


if __name__ == "__main__":
    sys.exit(main())
