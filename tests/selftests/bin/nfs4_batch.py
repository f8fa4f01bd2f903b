#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Requests of an NFSv4 client of our own, one after the other, and what became of each.

Reads JSON {"version", "host", "export", "name", "steps"} and prints a JSON list of statuses, "OK" or that
of the error. What the client has is kept for the next run with that name, so that something can be done to
the server in between; the name is what it calls itself. Each step is tried once:

    {"do": "begin"}                 say who we are; also in the next run, after the server has forgotten us
    {"do": "complete"}              RECLAIM_COMPLETE; nothing with NFSv4.0
    {"do": "open", "file", "access", "deny", "again", "delegated"}      again: CLAIM_PREVIOUS, with the
                                    delegation that is claimed ("read", "write"), else by name; access: if
                                    not "both", deny: if not "none"; becomes "OK, read" or "OK, write" if
                                    it is delegated
    {"do": "create", "file", "verifier"}        as one that must not be there (O_EXCL), and open it so
    {"do": "close", "file"}
    {"do": "lock", "file", "start", "again", "shared"}  ten bytes of a file that is open, by an owner of
                                    their own
    {"do": "unlock", "file", "start"}
    {"do": "test", "file", "start"}             as another owner; the file need not be open
    {"do": "remove", "file"}, {"do": "rename", "file", "to"}

Files lie in the root of the export.
"""

import hashlib
import json
import pickle
import sys
from contextlib import suppress

from nfs4_client import READ_LT, VERSIONS, WRITE_LT, Lock, Open, Owner, Refused

LENGTH = 10


class Batch:
    """A client, and what it has."""

    def __init__(self, given):
        self.client = VERSIONS[given["version"]](given["host"], given["export"], "")
        self.client.name = given["name"]
        self.opens, self.locks, self.asked = {}, {}, 0

    def _owner(self):
        """One that the server has never met: its requests are counted from the beginning."""
        self.asked += 1
        return f"owner {self.asked}"

    def _handle(self, file):
        return self.opens[file].handle if file in self.opens else self.client.find(file)

    def begin(self):
        self.client.begin()

    def complete(self):
        self.client.complete()

    def open(self, file, again=False, access="both", deny="none", delegated=None):
        what = Open(Owner(self._owner()), self._handle(file), file, access, deny)
        given = self.client.open(what, again, delegated)
        self.client.confirm(what)
        self.opens[file] = what
        return given and f"OK, {given}"

    def create(self, file, verifier):
        what = Open(Owner(self._owner()), None, file, "both", "none")
        self.client.create(what, verifier)
        self.client.confirm(what)
        self.opens[file] = what

    def close(self, file):
        self.client.close(self.opens.pop(file))

    def lock(self, file, start, again=False, shared=False):
        what = Lock(self.opens[file], self._owner(), start, LENGTH, READ_LT if shared else WRITE_LT)
        self.client.lock(what, again)
        self.locks[file, start] = what

    def unlock(self, file, start):
        self.client.unlock(self.locks.pop((file, start)))

    def test(self, file, start):
        self.client.test(self._handle(file), Owner(self._owner()), start, LENGTH)

    def remove(self, file):
        self.client.remove(file)

    def rename(self, file, to):
        self.client.rename(file, to)

    def run(self, step):
        do = getattr(self, step.pop("do"))
        try:
            return do(**step) or "OK"
        except Refused as error:
            return str(error)


def main():
    given = json.load(sys.stdin)
    # A name may be longer than that of a file.
    kept = f"/run/nfs4-{hashlib.sha256(given['name'].encode()).hexdigest()}"
    batch = Batch(given)
    with suppress(FileNotFoundError), open(kept, "rb") as file:
        vars(batch).update(pickle.load(file))
    answers = [batch.run(step) for step in given["steps"]]
    if batch.client.rpc:
        batch.client.rpc.close()
        batch.client.rpc = None
    with open(kept, "wb") as file:
        pickle.dump(vars(batch), file)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
