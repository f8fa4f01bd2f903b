#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""NFSv4.0 opens that deny others access, which no Linux client asks for (RFC 7530, 16.16).

nfs4.py hold HOST EXPORT FILE ACCESS DENY
    Opens the file and keeps it open; reclaims it whenever the server has forgotten the client. Prints
    "held", "reclaimed" each time, and in the end, after SIGTERM, the file closed, JSON {"reclaimed": N,
    "lost": STATUS or null}.
nfs4.py try HOST EXPORT FILE ACCESS DENY
    Opens the file once, prints the status, and closes it.

ACCESS and DENY are none, read, write or both. FILE is there already.
"""

import json
import os
import signal
import struct
import sys
import time

from sunrpc import Client, NoReply, Rejected, opaque, string, u32, u64

NFS, COMPOUND = 100003, 1
CLOSE, GETFH, LOOKUP, OPEN, OPEN_CONFIRM = 4, 10, 15, 18, 20
PUTFH, PUTROOTFH, RENEW, SETCLIENTID, SETCLIENTID_CONFIRM = 22, 24, 30, 35, 36
CLAIM_NULL, CLAIM_PREVIOUS = 0, 1
RESULT_CONFIRM = 2
SHARE = {"none": 0, "read": 1, "write": 2, "both": 3}
STATUS = {10008: "DELAY", 10011: "EXPIRED", 10013: "GRACE", 10015: "SHARE_DENIED",
          10022: "STALE_CLIENTID", 10023: "STALE_STATEID", 10025: "BAD_STATEID", 10033: "NO_GRACE",
          10034: "RECLAIM_BAD", 10047: "ADMIN_REVOKED"}
# The server has forgotten the client, or what it had: it begins anew and reclaims.
FORGOTTEN = ("EXPIRED", "STALE_CLIENTID", "STALE_STATEID", "BAD_STATEID")
LATER = ("DELAY", "GRACE")
NO_ANSWER = (NoReply, Rejected)


class Refused(Exception):
    """The server answered with an error status."""

    def __init__(self, status):
        super().__init__(STATUS.get(status, str(status)))


class Client4:
    """An NFSv4.0 client with one open file."""

    def __init__(self, host, export, file, access, deny):
        self.host, self.path = host, [*export.strip("/").split("/"), file]
        self.share = u32(SHARE[access]) + u32(SHARE[deny])
        # The same client is one that has not rebooted.
        self.verifier = struct.pack(">Q", time.time_ns())
        self.name = f"deny {os.uname().nodename} {os.getpid()}"
        self.rpc = self.file = None

    def compound(self, *ops):
        """Run operations, (number, arguments) each; returns the results behind the last one's status."""
        if self.rpc is None:
            self.rpc = Client(self.host, NFS, 4, port=2049, timeout=5)
        body = string("") + u32(0) + u32(len(ops))
        try:
            reply = self.rpc.call(COMPOUND, body + b"".join(u32(op) + args for op, args in ops))
        except NO_ANSWER:
            self.rpc.close()
            raise
        status = reply.u32()
        if status:
            raise Refused(status)
        reply.opaque()
        reply.u32()
        # Those before it have no results but their status.
        for _ in ops:
            reply.u32(), reply.u32()
        return reply

    def begin(self):
        """Tell the server who we are. Nobody can call us back, so nothing is delegated."""
        r = self.compound((SETCLIENTID, self.verifier + string(self.name) + u32(0x40000000)
                           + string("tcp") + string("0.0.0.0.0.0") + u32(1)))
        self.id, confirm = r.u64(), r.fixed(8)
        self.compound((SETCLIENTID_CONFIRM, u64(self.id) + confirm))
        self.owner, self.seqid = opaque(b"owner %d" % time.time_ns()), 0

    def walk(self, names):
        return [(PUTROOTFH, b""), *((LOOKUP, string(name)) for name in names)]

    def find(self):
        """The handle of the file, which it keeps everywhere."""
        self.file = self.compound(*self.walk(self.path), (GETFH, b"")).opaque()

    def next(self):
        self.seqid += 1
        return u32(self.seqid)

    def open(self, again=False):
        """Open the file; again: as one that was open before."""
        if again:
            where, claim = [(PUTFH, opaque(self.file))], u32(CLAIM_PREVIOUS) + u32(0)
        else:
            where, claim = self.walk(self.path[:-1]), u32(CLAIM_NULL) + string(self.path[-1])
        r = self.compound(*where, (OPEN, self.next() + self.share + u64(self.id) + self.owner
                                   + u32(0) + claim))
        self.stateid = r.fixed(16)
        r.u32(), r.u64(), r.u64()
        if r.u32() & RESULT_CONFIRM:
            r = self.compound((PUTFH, opaque(self.file)), (OPEN_CONFIRM, self.stateid + self.next()))
            self.stateid = r.fixed(16)

    def renew(self):
        self.compound((RENEW, u64(self.id)))

    def close(self):
        self.compound((PUTFH, opaque(self.file)), (CLOSE, self.next() + self.stateid))


def say(text):
    print(text, flush=True)


def patiently(step):
    """Do it until there is an answer that is no "later"."""
    while True:
        try:
            return step()
        except NO_ANSWER:
            pass
        except Refused as error:
            if str(error) not in LATER:
                raise
        time.sleep(0.3)


def reclaim(client):
    while True:
        try:
            patiently(client.begin)
            return patiently(lambda: client.open(again=True))
        except Refused as error:
            # The address has moved meanwhile.
            if str(error) not in FORGOTTEN:
                raise


def hold(client):
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    client.begin()
    client.find()
    patiently(client.open)
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
                reclaim(client)
                reclaimed += 1
                say("reclaimed")
        except Refused as error:
            lost = str(error)
            say(f"lost {lost}")
    if not lost:
        try:
            patiently(client.close)
        except Refused as error:
            lost = str(error)
    say(json.dumps({"reclaimed": reclaimed, "lost": lost}))


def once(client):
    patiently(client.begin)
    try:
        client.find()
        client.open()
    except Refused as error:
        return say(error)
    client.close()
    return say("OK")


def main():
    if len(sys.argv) != 7 or sys.argv[1] not in ("hold", "try"):
        sys.exit(__doc__)
    {"hold": hold, "try": once}[sys.argv[1]](Client4(*sys.argv[2:]))


if __name__ == "__main__":
    main()
