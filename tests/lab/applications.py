# SPDX-License-Identifier: GPL-2.0-only
"""Programs on several clients that write down what they do, and hold still when they are asked to.

Each is given --history and --pause, see locks_history.py and locks_watch.py, and prints `steps N`.
"""

import time
from bisect import bisect_right
from dataclasses import dataclass

from cluster import LabError, until
from lockhistory import Record

# Of measurements of a clock, and the error in seconds with which five are enough.
TRIES, GOOD = 20, 0.03

# Those whose names end so; the programs go on writing others.
FETCH = """cd {} && for file in *{}; do
    [ ! -e $file ] || {{ cat $file && rm $file; }}
done"""


@dataclass(frozen=True)
class Measured:
    """A clock: what it said, by how much it was ahead of that of the host, and by how much that may be wrong."""

    at: float
    ahead: float
    error: float


class Clocks:
    """Those of clients, against that of the host. They drift, so that they are measured again and again."""

    def __init__(self, cluster, clients):
        self.cluster = cluster
        self.measured = {client: [] for client in clients}
        self.measure(clients)

    def measure(self, clients):
        """To be called each time before what they have written is fetched."""
        for client in clients:
            self.measured[client].append(self._measure(client))

    def _measure(self, client):
        """The best of some; on a busy machine, of more."""
        best = None
        for number in range(TRIES):
            start = time.time()
            # What the agent forks is there sooner than what it has to execute.
            there = float(self.cluster[client].run(["python3", "-c", "import time; print(time.time())"]))
            end = time.time()
            found = Measured(there, there - (start + end) / 2, (end - start) / 2)
            best = min(best or found, found, key=lambda one: one.error)
            if number >= 4 and best.error < GOOD:
                break
        return best

    def ahead(self, client, at):
        """By how much it was when it said so: in between of when it was measured before and after that."""
        those = self.measured[client]
        after = bisect_right(those, at, key=lambda one: one.at)
        if after in (0, len(those)):
            return those[min(after, len(those) - 1)].ahead
        first, second = those[after - 1:after + 1]
        return first.ahead + (second.ahead - first.ahead) * (at - first.at) / (second.at - first.at)

    @property
    def bound(self):
        """By how much times of two clients may differ: both by what a measurement may be wrong, and by how
        far the next one is from it."""
        worst = [max([one.error + abs(other.ahead - one.ahead) for one, other in zip(those, those[1:])]
                     or [those[0].error]) for those in self.measured.values()]
        return sum(sorted(worst)[-2:])


class Applications:
    def __init__(self, cluster, name, commands):
        """commands: {client: program and its arguments}."""
        self.cluster, self.dead = cluster, set()
        self.seen = {}                  # {client: (steps, since when)}
        self.history, self.pause = f"/run/{name}.history", f"/run/{name}.pause"
        for client in commands:
            cluster[client].run(f"rm -rf {self.history} {self.pause} {self.pause}.done")
        self.programs = {client: cluster.spawn(client, *command, "--history", self.history,
                                               "--pause", self.pause)
                         for client, command in commands.items()}

    def alive(self):
        return [client for client in self.programs if client not in self.dead]

    def steps(self):
        """How much the one of each client has done that has done least."""
        return {client: int(([0] + self.cluster[client].exec(
            f"tail -n 1 {self.programs[client].base}.out").text.split())[-1])
                for client in self.alive()}

    def progress(self, more, timeout):
        """Wait until every process of every client got on."""
        before = self.steps()
        until(lambda: all(count >= before[client] + more
                          for client, count in self.steps().items() if client in before),
              timeout, f"an application of a client hangs: {before}")

    def get_on(self, longest):
        """Like that, but who is slow gets time until he is asked again, and so on for so many seconds."""
        now = time.monotonic()
        for client, steps in self.steps().items():
            if steps != self.seen.get(client, (None,))[0]:
                self.seen[client] = steps, now
            elif now - self.seen[client][1] > longest:
                raise LabError(f"an application of {client} hangs:\n{self.state(client)}")

    def ask(self, number):
        """To hold still."""
        for client in self.alive():
            self.cluster[client].run(f"echo {number} > {self.pause}")

    def still(self, client, number):
        return self.cluster[client].exec(f"head -n 1 {self.pause}.done").text == str(number)

    def wait_still(self, number, timeout):
        for client in self.alive():
            try:
                until(lambda: self.still(client, number), timeout,  # noqa: B023
                      f"{client} does not hold still")
            except LabError as error:
                raise LabError(f"{error}:\n{self.state(client)}") from error

    def said(self, client):
        """What one has that holds still, a line each."""
        return self.cluster[client].run(f"tail -n +2 {self.pause}.done").splitlines()

    def go_on(self):
        for client in self.alive():
            self.cluster[client].run(f"rm -f {self.pause}")

    def state(self, node):
        """Locks of a node, and where applications wait."""
        return self.cluster[node].exec(
            "cat /proc/locks; for pid in $(pgrep python3); do "
            "echo $pid $(cut -d' ' -f2 /proc/$pid/stack); done").text

    def fetch(self, clocks, ending):
        """What they have written down, as records."""
        return [Record.parse(line, clocks.ahead(client, float(line.split()[0]))) for client in self.alive()
                for line in self.cluster[client].run(FETCH.format(self.history, ending),
                                                     timeout=120).splitlines()]

    def stop(self, timeout):
        """End all; returns {client: what it said in the end}."""
        for client in self.alive():
            self.programs[client].signal()
        return {client: self.programs[client].stop(timeout) for client in self.alive()}
