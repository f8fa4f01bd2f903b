# SPDX-License-Identifier: GPL-2.0-only
"""Lock applications on several clients whose locks must never be lost or had twice.

    checker = Checker(cluster, ["c1", "c2"], S1)
    checker.progress()
    cluster.move(S1, "a", "b")
    verdict = checker.stop()
    print(verdict, verdict.problems)

The applications are `locks.py hammer`. What they did is fetched from the clients and gone
through once more here, with the clocks of all machines set against that of the host.
In between they can be made to hold still, to compare what the kernels of the clients believe
to be locked with what the server has.
"""

import re
import time
from collections import Counter
from dataclasses import dataclass, field

import lockhistory
from cluster import LabError, until

HISTORY = "/run/history"
PAUSE = "/run/pause"
# Of the kernel of a client: an application has lost a lock and does not know.
LOST = re.compile(r"lockd: (failed to reclaim|spurious grace|.*unable to reclaim).*"
                  r"|.*VFS is out of sync with lock manager.*")
# Those whose names end so; the applications go on writing others.
FETCH = """cd {} && for file in *{}; do
    [ ! -e $file ] || {{ cat $file && rm $file; }}
done"""


@dataclass
class Verdict:
    """What the applications saw."""

    granted: int = 0
    lost: int = 0
    doubles: int = 0
    errors: int = 0
    longest: float = 0.0
    counts: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)

    def __str__(self):
        return (f"{self.granted} locks granted, {self.doubles} double holders, {self.lost} lost "
                f"locks, {self.errors} application errors, longest wait of a lock "
                f"{self.longest:.1f} s")


class Checker:
    """Running applications."""

    def __init__(self, cluster, clients, fs, procs=3, keepers=1, keep=8, files=3, stuck=200,
                 seed=0, also=None):
        """also: {client: directories} where the filesystem is mounted by other addresses."""
        also = also or {}
        self.mounts = {client: [f"/mnt/{fs.name}", *also.get(client, ())] for client in clients}
        self.cluster, self.clients, self.fs = cluster, list(clients), fs
        self.records, self.clocks, self.dead = [], {}, set()
        self.audits, self.differences = 0, []
        self.marks = {client: cluster[client].log().count("\n") for client in self.clients}
        for client in self.clients:
            cluster[client].run(f"rm -rf {HISTORY} {PAUSE} {PAUSE}.done")
            self.clocks[client] = self._clock(client)
        options = ["--calm", "--procs", procs, "--keepers", keepers, "--keep", keep, "--files",
                   files, "--stuck", stuck, "--history", HISTORY, "--pause", PAUSE]
        self.programs = {client: cluster.spawn(client, "locks.py", "hammer", f"/mnt/{fs.name}",
                                               100000, "--seed", seed + number, *options,
                                               *(word for at in also.get(client, ())
                                                 for word in ("--also", at)))
                         for number, client in enumerate(self.clients)}

    def _clock(self, client):
        """(seconds by which its clock is ahead, by how much that may be wrong)."""
        best = None
        for _ in range(5):
            start = time.time()
            there = float(self.cluster[client].run("date +%s.%N"))
            end = time.time()
            if best is None or end - start < 2 * best[1]:
                best = there - (start + end) / 2, (end - start) / 2
        return best

    @property
    def bound(self):
        """By how much times of two clients may differ."""
        return sum(sorted(bound for _, bound in self.clocks.values())[-2:])

    def alive(self):
        return [client for client in self.clients if client not in self.dead]

    def steps(self):
        """How many operations every process of each client has done."""
        return {client: int(([0] + self.cluster[client].exec(
            f"tail -n 1 {self.programs[client].base}.out").text.split())[-1])
                for client in self.alive()}

    def progress(self, more=3, timeout=150):
        """Wait until every process of every client got on."""
        before = self.steps()
        until(lambda: all(count >= before[client] + more
                          for client, count in self.steps().items() if client in before),
              timeout, f"a lock application of a client hangs: {before}")

    def audit(self, server, timeout=60):
        """Compare what clients have locked with what the server has; to be called when no
        recovery is going on. Returns what one has and the other has not."""
        self.audits += 1
        for client in self.alive():
            self.cluster[client].run(f"echo {self.audits} > {PAUSE}")
        try:
            for client in self.alive():
                try:
                    until(lambda: self.cluster[client].exec(f"cat {PAUSE}.done").text
                          == str(self.audits), timeout, f"{client} does not hold still")  # noqa: B023
                except LabError as error:
                    raise LabError(f"{error}:\n{self._state(client)}\n{server}:\n"
                                   f"{self._state(server)}") from error
            # What is on its way gets time to arrive; who was granted a lock and did not hear of
            # it asks again after 30 s.
            deadline = time.monotonic() + 45
            difference = self._difference(server)
            while difference and time.monotonic() < deadline:
                difference = self._difference(server)
        finally:
            for client in self.alive():
                self.cluster[client].run(f"rm -f {PAUSE}")
        self.differences += difference
        return difference

    def _state(self, node):
        """Locks of a node, and where applications wait."""
        return self.cluster[node].exec(
            "cat /proc/locks; for pid in $(pgrep python3); do "
            "echo $pid $(cut -d' ' -f2 /proc/$pid/stack); done").text

    def _difference(self, server):
        clients = sum((self._table(client, at) for client in self.alive()
                       for at in self.mounts[client]), Counter())
        there = self._table(server, self.fs.path)
        return ([f"lost, not on {server}: {lock}" for lock in clients - there]
                + [f"nobody's, but on {server}: {lock}" for lock in there - clients])

    def _table(self, node, path):
        """Inode number, type, first and last byte of what is locked on a filesystem."""
        text = self.cluster[node].run(f"mountpoint -d {path}; cat /proc/locks")
        device, *lines = text.splitlines()
        major, minor = map(int, device.split(":"))
        there = f"{major:02x}:{minor:02x}:"
        return Counter(" ".join((line.split()[-3].rpartition(":")[2], *line.split()[3:4],
                                 *line.split()[-2:])) for line in lines
                       if f" {there}" in line and " POSIX " in line and "->" not in line)

    def killed(self, client):
        """The test has killed a client; its last records went with it."""
        self.dead.add(client)

    def fetch(self, ending=".done"):
        """Fetch records from the clients; those that are complete may be fetched any time."""
        for client in self.alive():
            text = self.cluster[client].run(FETCH.format(HISTORY, ending), timeout=120)
            offset = self.clocks[client][0]
            self.records += [lockhistory.Record.parse(line, offset)
                             for line in text.splitlines()]

    def stop(self, timeout=250):
        """End the applications; returns the verdict."""
        verdict = Verdict()
        for client in self.alive():
            self.programs[client].signal()
        for client in self.alive():
            summary = self.programs[client].stop(timeout)
            self._add(verdict, client, summary)
            drift = abs(self._clock(client)[0] - self.clocks[client][0])
            self.clocks[client] = self.clocks[client][0], self.clocks[client][1] + drift
            verdict.problems += [f"{client}: {line}" for line in self._lost(client)]
        self.fetch("")
        self._doubles(verdict)
        verdict.lost += sum(line.startswith("lost") for line in self.differences)
        verdict.problems += self.differences
        return verdict

    def _add(self, verdict, client, summary):
        for key, value in summary["counts"].items():
            verdict.counts[key] = verdict.counts.get(key, 0) + value
        verdict.granted = verdict.counts.get("lock granted", 0) + verdict.counts.get(
            "wait granted", 0)
        verdict.longest = max(verdict.longest, summary["longest"])
        errors = dict(summary["errors"])
        verdict.lost += errors.pop("lost token", 0)
        verdict.errors += sum(errors.values()) + len(summary["hung"])
        if summary["errors"] or summary["hung"]:
            verdict.problems.append(f"{client}: {summary['errors']} hung: {summary['hung']}\n"
                                    + self.programs[client].errors()[-3000:])

    def _lost(self, client):
        lines = self.cluster[client].log().splitlines()[self.marks[client]:]
        return [line for line in lines if LOST.search(line)]

    def _doubles(self, verdict):
        doubles = lockhistory.double_holders(self.records, self.bound)
        verdict.doubles = len(doubles)
        lost = [(record.file, record.first, record.began) for record in self.records
                if record.result == "lost"]
        places = [(second.file, second.index, second.since) for _, second in doubles]
        verdict.problems += [f"two at once: {first} and {second}" for first, second in doubles[:5]]
        for (file, index), at in list({place[:2]: place[2] for place in lost + places}.items())[:3]:
            verdict.problems.append(
                f"history of {file} range {index}, clocks agree within {self.bound * 1000:.0f} ms:"
                f"\n{lockhistory.story(self.records, file, index, at)}")
