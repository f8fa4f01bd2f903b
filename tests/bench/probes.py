# SPDX-License-Identifier: GPL-2.0-only
"""Programs that run in the VMs during moves, and their times put on the host's clock.

Times are seconds of the host's time.monotonic(). Each VM has a wall clock of its own; where it
stands is asked before each move, to within half of what the quickest of some questions takes (some
10 ms in an emulated VM).
"""

import time
from dataclasses import dataclass

from cluster import LabError

ASKED = 5


def offset(node):
    """What to add to a wall clock time of a VM to have the host's monotonic time."""
    answers = []
    for _ in range(ASKED):
        before = time.monotonic()
        wall = float(node.run(["date", "+%s.%N"]))
        after = time.monotonic()
        answers.append((after - before, (before + after) / 2 - wall))
    return min(answers)[1]


@dataclass
class Trip:
    """One request: when it began, and when it was done (None: an error)."""

    began: float
    done: float

    @property
    def seconds(self):
        return self.done - self.began


class Probe:
    """A program that writes a log of its requests; it can be paused.

    parse: a line's words to (wall clock at its beginning, wall clock at its end or None)
    """

    def __init__(self, cluster, node, command, log, parse):
        self.node, self.log, self.parse = cluster[node], log, parse
        self.program = cluster.spawn(node, *command, "--log", log)
        self.node.run(f"until [ -s {log} ]; do sleep 0.2; done", timeout=60)
        self.at = self.offset = self.since = 0
        self.pause()

    def pause(self):
        self.program.signal("STOP")

    def begin(self):
        """Go on, with an empty log as far as trips() is concerned."""
        self.offset = offset(self.node)
        self.at = int(self.node.run(f"wc -c < {self.log}"))
        self.program.signal("CONT")
        self.since = time.monotonic()

    def trips(self):
        """Requests that were made since begin() and have ended."""
        found = []
        for line in self.node.run(f"tail -c +{self.at + 1} {self.log}").splitlines():
            began, done = self.parse(line.split())
            found.append(Trip(began + self.offset, done and done + self.offset))
        # What began before has waited through the pause.
        return [trip for trip in found if trip.began >= self.since]

    def last(self):
        """End of the request that ended last."""
        words = self.node.run(f"tail -n 1 {self.log}").split()
        return (self.parse(words)[1] or 0) + self.offset

    def summary(self, start):
        """Trips since start, errors among them, the longest, and the longest one before."""
        trips = self.trips()
        good = [trip for trip in trips if trip.done is not None]
        during = [trip.seconds for trip in good if trip.done >= start]
        before = [trip.seconds for trip in good if trip.done < start]
        return {"errors": len(trips) - len(good), "max": max(during, default=None),
                "before": max(before, default=None)}

    def granted_after(self, moment):
        """When the first request after a moment was granted."""
        return min((trip.done for trip in self.trips() if (trip.done or 0) > moment), default=None)


def loop(cluster, node, file):
    """Locks and unlocks a file of its own without end, see locks.py."""
    def parse(words):
        began = float(words[1])
        return began, began + float(words[2]) if len(words) == 3 else None
    return Probe(cluster, node, ["locks.py", "loop", file, "--interval", "100"],
                 f"/run/loop{file.replace('/', '-')}.log", parse)


def new_locks(cluster, node, file):
    """Requests for new locks that do not wait for each other, see newlocks.py."""
    def parse(words):
        return float(words[0]), None if "=" in words[1] else float(words[1])
    return Probe(cluster, node, ["newlocks.py", file, "--interval", "0.5", "--most", "10"],
                 "/run/newlocks.log", parse)


class Watch:
    """watch.py on the server that takes: [(time, words)] of each change."""

    def __init__(self, cluster, node, *words, interval):
        self.program = cluster.spawn(node, "watch.py", "--interval", interval, *words)
        self.offset = offset(cluster[node])
        self.program.expect("")

    def latest(self):
        """Words of the last change."""
        return self.program.node.run(f"tail -n 1 {self.program.base}.out").split()[1:]

    def stop(self):
        self.program.signal()
        if self.program.wait():
            raise LabError(f"watch.py failed: {self.program.errors()}")
        lines = [line.split() for line in self.program.output().splitlines()]
        return [(float(wall) + self.offset, words) for wall, *words in lines]
