# SPDX-License-Identifier: GPL-2.0-only
"""How long an application stood still, from the log of its round trips (locks.py loop)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Trip:
    """By the wall clock of its machine. One that was under way when the program was ended is among them:
    it took that long at least."""

    began: float
    ended: float
    good: bool

    @property
    def seconds(self):
        return self.ended - self.began


def trips(text):
    found = []
    for line in text.splitlines():
        _, wall, seconds, *more = line.split()
        found.append(Trip(float(wall), float(wall) + float(seconds), not more))
    return found


def longest(those):
    return max(trip.seconds for trip in those)


def touching(those, since, until):
    """Those that have anything to do with a window."""
    return [trip for trip in those if trip.ended > since and trip.began < until]


def within(those, since, until):
    """Those that began and ended in a window."""
    return [trip for trip in those if since <= trip.began and trip.ended <= until]


def beyond(those, up, until):
    """Seconds from `up`, when the address was there, to the end of the first trip that got through after
    it, or those of a longer one that began later, before `until`. None if none got through."""
    first = min((trip.ended - up for trip in those if trip.good and trip.ended > up), default=None)
    later = [trip.seconds for trip in those if up < trip.began < until]
    return None if first is None else max([first, *later])
