# SPDX-License-Identifier: GPL-2.0-only
"""NFSv4.0, 4.1 and 4.2 clients of our own, for what no Linux client asks for, or not at that moment.

    client = VERSIONS["4.1"]("10.77.0.100", "/srv/s1", "me")
    client.begin()
    client.complete()
    open = Open(Owner("one"), client.find("file"), "file", "read", "write")
    client.open(open)

An error status raises Refused, no answer one of NO_ANSWER; then the same step is to be repeated
before any other, and the server takes it for the same request. Nobody can call these clients back,
so nothing is delegated to them.
"""

import os
import struct
import time

from sunrpc import Client, NoReply, Rejected, opaque, string, u32, u64

NFS, COMPOUND = 100003, 1
CLOSE, GETFH, LOCK, LOCKT, LOCKU, LOOKUP, OPEN, OPEN_CONFIRM = 4, 10, 12, 13, 14, 15, 18, 20
PUTFH, PUTROOTFH, REMOVE, RENAME, RENEW, SAVEFH, SETCLIENTID, SETCLIENTID_CONFIRM = (
    22, 24, 28, 29, 30, 32, 35, 36)
EXCHANGE_ID, CREATE_SESSION, SEQUENCE, RECLAIM_COMPLETE = 42, 43, 53, 58
CLAIM_NULL, CLAIM_PREVIOUS = 0, 1
EXCLUSIVE, EXCLUSIVE_41 = 2, 3
# Bit 33 of the attributes, in the second word.
MODE = 1 << 1
RESULT_CONFIRM = 2
WANT_NO_DELEGATION = 0x400
# By number; more are reasons why there is none.
DELEGATIONS = (None, "read", "write")
# Of the flags of SEQUENCE: state was revoked.
REVOKED = 0x38
SHARE = {"none": 0, "read": 1, "write": 2, "both": 3}
READ_LT, WRITE_LT = 1, 2
STATUS = {2: "NOENT", 17: "EXIST", 70: "STALE", 10008: "DELAY", 10010: "DENIED", 10011: "EXPIRED", 10013: "GRACE",
          10015: "SHARE_DENIED", 10018: "RESOURCE", 10020: "NOFILEHANDLE", 10022: "STALE_CLIENTID", 10023: "STALE_STATEID",
          10025: "BAD_STATEID", 10026: "BAD_SEQID", 10033: "NO_GRACE", 10034: "RECLAIM_BAD",
          10035: "RECLAIM_CONFLICT", 10036: "BADXDR", 10047: "ADMIN_REVOKED", 10052: "BADSESSION",
          10054: "COMPLETE_ALREADY", 10078: "DEADSESSION"}
# The server has forgotten the client, or what it had: it begins anew and reclaims.
FORGOTTEN = ("EXPIRED", "STALE_CLIENTID", "STALE_STATEID", "BAD_STATEID", "BADSESSION", "DEADSESSION")
LATER = ("DELAY", "GRACE")
NO_ANSWER = (NoReply, Rejected)
# An owner's request that ended so was not counted (RFC 7530, 9.1.7).
NOT_COUNTED = ("STALE_CLIENTID", "STALE_STATEID", "BAD_STATEID", "BAD_SEQID", "BADXDR", "RESOURCE",
               "NOFILEHANDLE")


class Refused(Exception):
    """The server answered with an error status. last: the last of the operations did."""

    def __init__(self, status, last=True):
        super().__init__(STATUS.get(status, str(status)))
        self.last = last


class Owner:
    """Whoever opens; one request at a time."""

    def __init__(self, name):
        self.name, self.seqid = name, 0


class Open:
    """A file that an owner has open, or asks for."""

    def __init__(self, owner, handle, file, access, deny):
        self.owner, self.handle, self.file = owner, handle, file
        self.access, self.deny = access, deny
        self.stateid, self.confirm = None, False


class Lock:
    """A range of such a file that is locked, or asked for, by a lock owner that has no other."""

    def __init__(self, of, name, start, length, kind=WRITE_LT):
        self.of, self.owner, self.kind = of, Owner(name), kind
        self.start, self.length, self.stateid = start, length, None


class Client40:
    MINOR, WANT = 0, 0

    def __init__(self, host, export, name):
        self.host, self.export = host, export.strip("/").split("/")
        # The same client is one that has not rebooted.
        self.verifier = struct.pack(">Q", time.time_ns())
        self.name = f"deny {os.uname().nodename} {name} {os.getpid()}"
        self.id = self.rpc = self.root = None

    def compound(self, *ops):
        """Run operations, (number, arguments) each; returns (status, results, reply behind the first
        operation's number and status)."""
        if self.rpc is None:
            self.rpc = Client(self.host, NFS, 4, port=2049, timeout=5)
        body = string("") + u32(self.MINOR) + u32(len(ops))
        try:
            reply = self.rpc.call(COMPOUND, body + b"".join(u32(op) + args for op, args in ops))
        except NO_ANSWER:
            self.rpc.close()
            raise
        status = reply.u32()
        reply.opaque()
        results = reply.u32()
        if results:
            reply.u32(), reply.u32()
        return status, results, reply

    @staticmethod
    def last(ops, status, results, reply):
        """The reply at the results of the last operation; those before have none but their status."""
        if status:
            raise Refused(status, results == len(ops))
        for _ in ops[1:]:
            reply.u32(), reply.u32()
        return reply

    def alone(self, *ops):
        return self.last(ops, *self.compound(*ops))

    def call(self, *ops):
        """Run operations as the client that we are; returns the reply at the results of the last one."""
        return self.alone(*ops)

    def begin(self):
        """Tell the server who we are; if it knows us by the same id, it has all that we had."""
        r = self.alone((SETCLIENTID, self.verifier + string(self.name) + u32(0x40000000)
                        + string("tcp") + string("0.0.0.0.0.0") + u32(1)))
        self.id, confirm = r.u64(), r.fixed(8)
        self.alone((SETCLIENTID_CONFIRM, u64(self.id) + confirm))

    def complete(self):
        """All was reclaimed that there was."""

    def renew(self):
        """Raises one of FORGOTTEN if the server does not know us."""
        self.call((RENEW, u64(self.id)))

    def find(self, file):
        """The handle of a file, which it keeps everywhere; also that of the root, for open()."""
        self.root = self.root or self._walk()
        return self._walk(file)

    def _walk(self, *names):
        steps = ((LOOKUP, string(name)) for name in (*self.export, *names))
        return self.call((PUTROOTFH, b""), *steps, (GETFH, b"")).opaque()

    def ask(self, owner, handle, op, args):
        """Something that counts the owner's requests; args has the number of this one."""
        try:
            reply = self.call((PUTFH, opaque(handle)), (op, args))
        except Refused as error:
            if error.last and str(error) not in NOT_COUNTED:
                owner.seqid += 1
            raise
        owner.seqid += 1
        return reply

    def open(self, what, again=False, delegated=None):
        """Open a file; again: as one that was open before, and perhaps delegated, to "read" or "write".
        Returns which of these it is now."""
        if not again:
            return self._open(what, self.root, u32(0), u32(CLAIM_NULL) + string(what.file), self.WANT)
        return self._open(what, what.handle, u32(0), u32(CLAIM_PREVIOUS) + u32(DELEGATIONS.index(delegated)),
                          0 if delegated else self.WANT)

    def create(self, what, verifier):
        """Make a file that must not be there; it is, and is opened, if it was made with that verifier."""
        self.root = self.root or self._walk()
        self._open(what, self.root, u32(1) + self._exclusive(verifier), u32(CLAIM_NULL) + string(what.file),
                   self.WANT)
        what.handle = self.find(what.file)

    def _exclusive(self, verifier):
        return u32(EXCLUSIVE) + u64(verifier)

    def _open(self, what, handle, how, claim, want):
        owner = what.owner
        r = self.ask(owner, handle, OPEN,
                     u32(owner.seqid + 1) + u32(SHARE[what.access] | want) + u32(SHARE[what.deny])
                     + u64(self.id) + string(owner.name) + how + claim)
        what.stateid = r.fixed(16)
        r.u32(), r.u64(), r.u64()
        # A request of its own, so that the open is not repeated with it.
        what.confirm = bool(r.u32() & RESULT_CONFIRM)
        for _ in range(r.u32()):
            r.u32()     # of attributes that were set
        delegation = r.u32()
        return DELEGATIONS[delegation] if delegation < len(DELEGATIONS) else None

    def confirm(self, what):
        """To be called after each open() and create()."""
        if what.confirm:
            r = self.ask(what.owner, what.handle, OPEN_CONFIRM,
                         what.stateid + u32(what.owner.seqid + 1))
            what.stateid, what.confirm = r.fixed(16), False

    def close(self, what):
        self.ask(what.owner, what.handle, CLOSE, u32(what.owner.seqid + 1) + what.stateid)

    def lock(self, what, again=False):
        """Lock it; again: as what was locked before."""
        owner = what.of.owner
        r = self.ask(owner, what.of.handle, LOCK,
                     u32(what.kind) + u32(again) + u64(what.start) + u64(what.length) + u32(1)
                     + u32(owner.seqid + 1) + what.of.stateid + u32(1) + self._name(what.owner))
        # The lock owner's first request is in that one; if it is refused, it is forgotten.
        what.stateid, what.owner.seqid = r.fixed(16), 1

    def test(self, handle, owner, start, length):
        """Raises Refused with "DENIED" if somebody else has locked any of it."""
        self.call((PUTFH, opaque(handle)),
                  (LOCKT, u32(WRITE_LT) + u64(start) + u64(length) + self._name(owner)))

    def unlock(self, what):
        r = self.ask(what.owner, what.of.handle, LOCKU, u32(what.kind) + u32(what.owner.seqid + 1)
                     + what.stateid + u64(what.start) + u64(what.length))
        what.stateid = r.fixed(16)

    def _name(self, owner):
        return u64(self.id) + string(owner.name)

    def remove(self, file):
        """Of the root, as rename(); after find()."""
        self.call((PUTFH, opaque(self.root)), (REMOVE, string(file)))

    def rename(self, file, to):
        self.call((PUTFH, opaque(self.root)), (SAVEFH, b""), (RENAME, string(file) + string(to)))


class Client41(Client40):
    """All in a session of one slot."""

    MINOR, WANT = 1, WANT_NO_DELEGATION

    def begin(self):
        r = self.alone((EXCHANGE_ID, self.verifier + string(self.name) + u32(0) + u32(0) + u32(0)))
        self.id, sequence = r.u64(), r.u32()
        channel = b"".join(map(u32, (0, 65536, 65536, 4096, 16, 1, 0)))
        r = self.alone((CREATE_SESSION, u64(self.id) + u32(sequence) + u32(0) + 2 * channel
                        + u32(0x40000000) + u32(1) + u32(0)))
        self.session, self.slot = r.fixed(16), 0

    def call(self, *ops):
        first = (SEQUENCE, self.session + u32(self.slot + 1) + u32(0) + u32(0) + u32(1))
        status, results, reply = self.compound(first, *ops)
        if results > 1 or not status:
            self.slot += 1
            reply.fixed(16), reply.u32(), reply.u32(), reply.u32(), reply.u32()
            if reply.u32() & REVOKED:
                raise Refused(10047)
            if ops:
                reply.u32(), reply.u32()
        return self.last(ops, status, results - 1, reply)

    def complete(self):
        try:
            self.call((RECLAIM_COMPLETE, u32(0)))
        except Refused as error:
            if str(error) != "COMPLETE_ALREADY":
                raise

    def _exclusive(self, verifier):
        return u32(EXCLUSIVE_41) + u64(verifier) + u32(2) + u32(0) + u32(MODE) + opaque(u32(0o600))

    def renew(self):
        self.call()


class Client42(Client41):
    MINOR = 2


VERSIONS = {"4.0": Client40, "4.1": Client41, "4.2": Client42}


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


def open_whole(client, what, again=False):
    """Open it, as patiently as it takes."""
    patiently(lambda: client.open(what, again))
    patiently(lambda: client.confirm(what))
