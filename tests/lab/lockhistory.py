# SPDX-License-Identifier: GPL-2.0-only
"""Who held which lock or open when, from what locks_hammer.py and nfs4_hammer.py wrote down.

A process holds a lock for certain from the moment at which the call that got it returned
to the moment at which it called for something else in that range, or saw that it has lost
it. Two such times that overlap, one of them for writing, are two holders at once. Times of
several machines are compared, so an overlap counts only if it is longer than their clocks
may differ.
"""

from collections import defaultdict
from dataclasses import dataclass


# Of opens, whose kind is ACCESS/DENY.
SHARE = {"none": 0, "read": 1, "write": 2, "both": 3}


def excludes(kind, other):
    """Whether two kinds of lock, or of open, cannot be held at the same time."""
    if "/" not in kind:
        return "W" in (kind, other)
    (access, deny), (others, denied) = ([SHARE[word] for word in words.split("/")]
                                        for words in (kind, other))
    return bool(access & denied or others & deny)


@dataclass(frozen=True)
class Record:
    """One line, see locks_history.py; times are those of the host."""

    began: float
    ended: float
    who: str
    operation: str
    result: str
    file: str
    first: int
    last: int
    kind: str
    token: str

    @classmethod
    def parse(cls, line, offset):
        """offset: by how much the clock of that machine is ahead."""
        began, ended, who, operation, result, file, first, last, kind, token = line.split()
        return cls(float(began) - offset, float(ended) - offset, who, operation, result, file,
                   int(first), int(last), kind, token)

    def __str__(self):
        ranges = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return (f"{self.began:.3f} to {self.ended:.3f} {self.who}: {self.operation} {self.file} "
                f"{ranges} {self.kind} {self.result} {self.token}")


@dataclass(frozen=True)
class Hold:
    """A lock that somebody had for certain."""

    since: float
    until: float
    who: str
    file: str
    index: int
    kind: str

    def conflicts(self, other):
        return self.who != other.who and excludes(self.kind, other.kind)

    def overlap(self, other):
        return min(self.until, other.until) - max(self.since, other.since)

    def __str__(self):
        return (f"{self.who} {self.kind} {self.file} {self.index} "
                f"{self.since:.3f} to {self.until:.3f}")


def holds(records):
    """What each process held, in no order. What it still held at its last record was held
    until then at least."""
    found, held, last = [], {}, {}

    def end(key, at):
        if key in held:
            kind, since = held.pop(key)
            if at > since:
                found.append(Hold(since, at, *key, kind))
    for record in sorted(records, key=lambda record: record.began):
        last[record.who] = record.ended
        if record.operation in ("test", "token") or record.result in ("denied", "EDEADLK"):
            continue
        granted = record.result == "granted"
        for index in range(record.first, record.last + 1):
            key = record.who, record.file, index
            before = held.get(key, ("", 0))[0]
            # What was held exclusively and is asked for shared is shared in the meantime.
            if granted and before == record.kind:
                continue
            end(key, record.began)
            if granted:
                shared = before and "R" in (before, record.kind)
                if shared and record.kind == "W":
                    found.append(Hold(record.began, record.ended, *key, "R"))
                held[key] = record.kind, record.began if shared and record.kind == "R" \
                    else record.ended
    for key in list(held):
        end(key, last[key[0]])
    return found


def double_holders(records, bound):
    """Pairs of holds that overlap by more than bound seconds."""
    places = defaultdict(list)
    for hold in holds(records):
        places[hold.file, hold.index].append(hold)
    found = []
    for place in places.values():
        place.sort(key=lambda hold: hold.since)
        current = []
        for hold in place:
            current = [other for other in current if other.until > hold.since + bound]
            found += [(other, hold) for other in current
                      if hold.conflicts(other) and hold.overlap(other) > bound]
            current.append(hold)
    return found


def maybe_open(records):
    """What each owner may have had open: from when it asked for it to the answer to its close, or
    for ever; and while it asked more than once, as an answer may have been lost."""
    found, held = [], {}

    def end(key, at):
        if key in held:
            since, kind = held.pop(key)
            found.append(Hold(since, at, *key, kind))
    for record in sorted(records, key=lambda record: record.began):
        key = record.who, record.file, record.first
        if record.operation == "open" and record.result == "granted":
            held[key] = record.began, record.kind
        elif record.operation == "open" and record.token != "1":
            found.append(Hold(record.began, record.ended, *key, record.kind))
        elif record.result in ("done", "lost"):
            end(key, record.ended)
    for key in list(held):
        end(key, float("inf"))
    return found


def wrongly_denied(records, bound):
    """Opens that were denied although nobody can have had the file open against them."""
    opens = [record for record in records if "/" in record.kind]
    there = maybe_open(opens)

    def why(record):
        return any(hold.who != record.who and hold.file == record.file
                   and excludes(hold.kind, record.kind)
                   and hold.since < record.ended + bound and record.began - bound < hold.until
                   for hold in there)
    return [record for record in opens if (record.operation, record.result) == ("open", "denied")
            and not why(record)]


def story(records, file, index, at, before=60, after=5):
    """What happened to a range around a time, as text."""
    lines = [record for record in records
             if record.file == file and record.first <= index <= record.last
             and record.ended > at - before and record.began < at + after]
    return "\n".join(map(str, sorted(lines, key=lambda record: record.began)))
