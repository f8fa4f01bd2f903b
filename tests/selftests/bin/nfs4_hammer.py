# SPDX-License-Identifier: GPL-2.0-only
"""Random opens that deny others access, by a client that does what a real one does.

Each of some owners has one file open at a time. What was asked for, when and with what result is
written down as locks_history.py does, with ACCESS/DENY for the kind:

    open      granted or denied; the last word is how often it was asked for, as what was not answered
              may have been granted, too, and is known to nobody
    reclaim   granted or lost: the server has forgotten the client and does not give it back
    close     done or lost: the server knows the client, but not that it has the file open

An open that is lost counts as the error `lost open`. When it pauses, it renews its lease all the same.
"""

import json
import os
import random
import signal
import sys
import time

from locks_history import History
from nfs4_client import FORGOTTEN, VERSIONS, Open, Owner, Refused, open_whole, patiently
from workers import write_whole

ACCESS = {"read": 3, "write": 3, "both": 2}
DENY = {"none": 4, "read": 2, "write": 3, "both": 1}
# Nobody is told that an address has moved: the longest time until a client asks.
RENEW = 0.5
# Between an owner's requests.
SHORTLY = 0.5


class Held:
    """An owner, and what it has open."""

    def __init__(self, name, history):
        self.owner, self.history = Owner(name), History(history, name)
        self.open, self.due = None, 0.0

    def record(self, began, operation, result, what, word):
        self.history.add(began, operation, result, what.file, (0,), f"{what.access}/{what.deny}",
                         str(word).encode())


class Hammer:
    def __init__(self, args):
        self.args, self.random = args, random.Random(args.seed)
        self.client = VERSIONS[args.version](args.host, args.export, args.version)
        name = f"{os.uname().nodename}.v{args.version.replace('.', '')}"
        self.owners = [Held(f"{name}.{n}", args.history) for n in range(args.owners)]
        # Of the server that has all that we have.
        self.settled = None
        self.handles, self.counts, self.errors, self.answered = {}, {}, {}, []
        self.steps, self.reclaimed, self.longest, self.renewed = 0, 0, 0.0, 0.0

    def count(self, key):
        self.counts[key] = self.counts.get(key, 0) + 1

    def lose(self, held, what, began, operation, why):
        held.record(began, operation, "lost", what, why)
        self.errors["lost open"] = self.errors.get("lost open", 0) + 1
        print(f"error: lost open {held.owner.name} {what.file} {operation} {why} at {began:.3f}",
              file=sys.stderr, flush=True)

    def reclaim(self, held):
        began = time.time()
        try:
            open_whole(self.client, held.open, again=True)
        except Refused as error:
            if str(error) in FORGOTTEN:
                raise
            what, held.open = held.open, None
            return self.lose(held, what, began, "reclaim", error)
        held.record(began, "reclaim", "granted", held.open, 1)
        self.reclaimed += 1

    def recover(self):
        """Begin anew where a server has forgotten us. False: it has not."""
        while True:
            try:
                patiently(self.client.begin)
                if self.client.id == self.settled:
                    return False
                for held in self.owners:
                    if held.open:
                        self.reclaim(held)
                patiently(self.client.complete)
                self.settled = self.client.id
                print(f"recovered\nsteps {self.steps}", flush=True)
                return True
            except Refused as error:
                # The address has moved meanwhile.
                if str(error) not in FORGOTTEN:
                    raise

    def surely(self, step):
        """Do it on a server that knows us. Raises one of FORGOTTEN only if that one does know us."""
        while True:
            try:
                step()
                self.renewed = time.monotonic()
                return
            except Refused as error:
                session = str(error) in ("BADSESSION", "DEADSESSION")
                if str(error) not in FORGOTTEN or not (self.recover() or session):
                    raise

    def find(self, file):
        self.handles[file] = patiently(lambda: self.client.find(file))

    def open(self, held):
        file = f"deny{self.random.randrange(self.args.files)}"
        access, deny = (self.random.choices(list(words), words.values())[0] for words in (ACCESS, DENY))
        what = Open(held.owner, self.handles[file], file, access, deny)
        began, result, attempts = time.time(), "granted", []

        def step():
            attempts.append(True)
            self.client.open(what)

        def whole():
            patiently(step)
            patiently(lambda: self.client.confirm(what))
        try:
            self.surely(whole)
            held.open, held.due = what, time.monotonic() + self.random.uniform(0, self.args.keep)
        except Refused as error:
            result = "denied" if str(error) == "SHARE_DENIED" else str(error)
            held.due = time.monotonic() + self.random.uniform(0, SHORTLY)
            if result != "denied":
                self.errors[f"open {result}"] = self.errors.get(f"open {result}", 0) + 1
        self.longest = max(self.longest, time.time() - began)
        held.record(began, "open", result, what, len(attempts))
        self.count(f"open {result}")

    def close(self, held):
        """What is being closed is not reclaimed: nobody knows whether somebody else has it open."""
        began, before = time.time(), self.settled
        what, held.open = held.open, None

        def step():
            if self.settled == before:
                patiently(lambda: self.client.close(what))
        try:
            self.surely(step)
            held.record(began, "close", "done", what, 1)
            self.count("close done")
        except Refused as error:
            self.lose(held, what, began, "close", error)
        held.due = time.monotonic() + self.random.uniform(0, SHORTLY)

    def paused(self):
        """Whether we are asked to do nothing; then says what is open."""
        try:
            with open(self.args.pause or "", encoding="ascii") as file:
                asked = file.read()
        except FileNotFoundError:
            return False
        lines = [f"{held.open.file} {held.open.access}/{held.open.deny} {held.owner.name}\n"
                 for held in self.owners if held.open]
        # Who asks makes the file before it is written.
        if asked and self.answered != [asked, *lines]:
            self.answered = [asked, *lines]
            write_whole(self.args.pause + ".done", "".join(self.answered))
        return True

    def turn(self):
        if time.monotonic() > self.renewed + RENEW:
            self.surely(lambda: patiently(self.client.renew))
        if self.paused():
            return
        for held in self.owners:
            if time.monotonic() >= held.due:
                (self.close if held.open else self.open)(held)
                self.steps += 1
                print("steps", self.steps, flush=True)

    def run(self, ending):
        self.recover()
        try:
            for number in range(self.args.files):
                self.surely(lambda: self.find(f"deny{number}"))  # noqa: B023
            while not ending:
                self.turn()
                time.sleep(0.05)
            for held in self.owners:
                if held.open:
                    self.close(held)
        except Refused as error:
            self.errors[f"client {error}"] = 1

    def summary(self):
        return {"counts": self.counts, "errors": self.errors, "longest": round(self.longest, 3),
                "reclaimed": self.reclaimed}


def hammer(args):
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    if args.history is not None:
        os.makedirs(args.history, exist_ok=True)
    it = Hammer(args)
    it.run(ending)
    print(json.dumps(it.summary()), flush=True)
    return 1 if it.errors else 0
