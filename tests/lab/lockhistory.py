# SPDX-License-Identifier: GPL-2.0-only
"""Who held which lock when, from what the processes of locks_hammer.py wrote down.

A process holds a lock for certain from the moment at which the call that got it returned
to the moment at which it called for something else in that range, or saw that it has lost
it. Two such times that overlap, one of them for writing, are two holders at once. Times of
several machines are compared, so an overlap counts only if it is longer than their clocks
may differ.
"""

from collections import defaultdict
from dataclasses import dataclass


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
        return "W" in (self.kind, other.kind) and self.who != other.who

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


def story(records, file, index, at, before=60, after=5):
    """What happened to a range around a time, as text."""
    lines = [record for record in records
             if record.file == file and record.first <= index <= record.last
             and record.ended > at - before and record.began < at + after]
    return "\n".join(map(str, sorted(lines, key=lambda record: record.began)))
