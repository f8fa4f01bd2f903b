# SPDX-License-Identifier: GPL-2.0-only
"""Lock applications on several clients whose locks must never be lost or had twice.

    checker = Checker(cluster, ["c1", "c2"], S1)
    checker.progress()
    cluster.move(S1, "a", "b")
    verdict = checker.stop()
    print(verdict, verdict.problems)

The applications are `locks.py hammer`; with opens= also `nfs4.py hammer`, clients of our own that
open files and deny others access, and after delegate() `delegated.py`, which has two clients recall
each other's delegations, and `kept.py`, whose locks stay with its client. What they did is fetched from the clients and gone
through once more here, with the clocks of all machines set against that of the host.
In between they can be made to hold still, to compare what the kernels of the clients believe
to be locked, and what our own have open, with what the server has.
"""

import re
import time
from collections import Counter
from dataclasses import dataclass, field

import lockhistory
from applications import Applications, Clocks
from cluster import LabError
from kept import Kept
from opens import Delegations, Opens, opens_verdict
from writehistory import wrong_reads

# Seconds by which clocks may differ. What two have at once for a shorter time than they do is not seen.
BOUND = 0.25
# Of the kernel of a client: an application has lost a lock and does not know.
LOST = re.compile(r"lockd: (failed to reclaim|spurious grace|.*unable to reclaim).*"
                  r"|.*VFS is out of sync with lock manager.*")


@dataclass
class Verdict:
    """What the applications saw."""

    granted: int = 0
    lost: int = 0
    doubles: int = 0
    errors: int = 0
    longest: float = 0.0
    bound: float = 0.0
    counts: dict = field(default_factory=dict)
    others: list = field(default_factory=list)
    problems: list = field(default_factory=list)

    def __str__(self):
        return ", ".join([f"{self.granted} locks granted", f"{self.doubles} double holders",
                          f"{self.lost} lost locks", f"{self.errors} application errors",
                          f"longest wait of a lock {self.longest:.1f} s",
                          f"clocks agree within {self.bound * 1000:.0f} ms", *self.others])


class Checker:
    """Running applications."""

    def __init__(self, cluster, clients, fs, procs=3, keepers=1, keep=8, files=3, stuck=200,
                 seed=0, also=None, opens=None):
        """also: {client: directories} where the filesystem is mounted by other addresses.
        opens: {client: version of NFS} of clients of our own that run there."""
        also = also or {}
        self.mounts = {client: [f"/mnt/{fs.name}", *also.get(client, ())] for client in clients}
        self.cluster, self.clients, self.fs, self.seed = cluster, list(clients), fs, seed
        self.records, self.reads, self.clocks = [], [], Clocks(cluster, clients)
        self.audits, self.differences = 0, []
        self.marks = {client: cluster[client].log().count("\n") for client in self.clients}
        options = ["--calm", "--procs", procs, "--keepers", keepers, "--keep", keep, "--files",
                   files, "--stuck", stuck]
        self.locks = Applications(cluster, "locks", {
            client: ("locks.py", "hammer", f"/mnt/{fs.name}", 100000, "--seed", seed + number,
                     *options, *(word for at in also.get(client, ()) for word in ("--also", at)))
            for number, client in enumerate(self.clients)})
        self.opens = Opens(cluster, fs, opens, seed) if opens else None
        self.delegations = self.kept = None

    def delegate(self, servers, clients):
        """Have servers delegate files to two clients. What the others lock is never delegated, as by
        now several have it open."""
        self.delegations = Delegations(self.cluster, self.fs, servers, clients, self.seed)
        self.kept = Kept(self.cluster, self.fs, clients)

    def delegated(self, server):
        """To be called before it releases the filesystem: wait until it has delegated something."""
        if self.delegations:
            self.delegations.wait_delegated(server)
            self.kept.moves(server)

    def recall(self, server):
        """To be called while it recovers: have it recall what it delegates."""
        if self.delegations:
            self.delegations.recall(server)

    @property
    def all(self):
        return [those for those in (self.locks, self.opens, self.delegations, self.kept) if those]

    def alive(self):
        return self.locks.alive()

    def progress(self, more=3, timeout=150):
        """Wait until every process of every client got on."""
        for those in self.all:
            those.progress(more, timeout)

    def get_on(self, longest=200):
        """To be called again and again: every process of every client gets on at least once in so many
        seconds, which is how long locks.py lets one hang."""
        for those in self.all:
            those.get_on(longest)

    def audit(self, server, timeout=60):
        """Compare what clients have locked and open with what the server has, and have somebody else want
        what is locked in a delegation; to be called when no recovery is going on. Returns what one has
        and the other has not, and who got what is not his."""
        self.audits += 1
        for those in self.all:
            those.ask(self.audits)
        try:
            for those in self.all:
                try:
                    those.wait_still(self.audits, timeout)
                except LabError as error:
                    raise LabError(f"{error}\n{server}:\n{those.state(server)}") from error
            # What is on its way gets time to arrive; who was granted a lock and did not hear of
            # it asks again after 30 s.
            deadline = time.monotonic() + 45
            difference = self._difference(server)
            while difference and time.monotonic() < deadline:
                difference = self._difference(server)
        finally:
            for those in self.all:
                those.go_on()
        if self.kept:
            difference += self.kept.contest(server)
        self.differences += difference
        return difference

    def _difference(self, server):
        clients = sum((self._table(client, at) for client in self.alive()
                       for at in self.mounts[client]), Counter())
        # Before the locks: those of a delegation that is given back are there first.
        inside = self.kept.delegated(server) if self.kept else ()
        there = self._table(server, self.fs.path)
        return ([f"lost, not on {server}: {lock}" for lock in clients - there
                 if lock.split()[0] not in inside]
                + [f"nobody's, but on {server}: {lock}" for lock in there - clients]
                + (self.opens.difference(server) if self.opens else []))

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
        for those in self.all:
            those.dead.add(client)

    def fetch(self, ending=".done"):
        """Fetch records from the clients; those that are complete may be fetched any time."""
        self.clocks.measure(self.alive())
        self.records += self.locks.fetch(self.clocks, ending)
        if self.opens:
            self.records += self.opens.fetch(self.clocks, ending)
        if self.delegations:
            self.reads += self.delegations.fetch(self.clocks, ending)

    def stop(self, timeout=250):
        """End the applications; returns the verdict."""
        verdict = Verdict()
        for client, summary in self.locks.stop(timeout).items():
            self._add(verdict, client, summary)
        for those in self.all[1:]:
            for client, summary in those.stop(timeout).items():
                self._errors(verdict, client, summary, those.programs[client])
        for client in self.alive():
            verdict.problems += [f"{client}: {line}" for line in self._lost(client)]
        self.fetch("")
        self._clocks(verdict)
        self._doubles(verdict)
        if self.opens:
            self._opens(verdict)
        if self.delegations:
            self._delegations(verdict)
        verdict.lost += sum(line.startswith("lost") for line in self.differences)
        verdict.doubles += sum(line.startswith("had twice") for line in self.differences)
        verdict.problems += self.differences
        return verdict

    def _add(self, verdict, client, summary):
        for key, value in summary["counts"].items():
            verdict.counts[key] = verdict.counts.get(key, 0) + value
        verdict.granted = verdict.counts.get("lock granted", 0) + verdict.counts.get(
            "wait granted", 0)
        verdict.longest = max(verdict.longest, summary["longest"])
        self._errors(verdict, client, summary, self.locks.programs[client])

    @staticmethod
    def _errors(verdict, client, summary, program):
        errors, hung = dict(summary["errors"]), summary.get("hung", [])
        verdict.lost += errors.pop("lost token", 0) + errors.pop("lost open", 0)
        verdict.errors += sum(errors.values()) + len(hung)
        if summary["errors"] or hung:
            verdict.problems.append(f"{client}: {summary['errors']} hung: {hung}\n"
                                    + program.errors()[-3000:])

    def _clocks(self, verdict):
        verdict.bound = self.clocks.bound
        if verdict.bound > BOUND:
            verdict.problems.append(f"clocks agree within {verdict.bound:.3f} s only: two at once for less "
                                    f"than that are not seen, and {BOUND} s is what may be missed")

    def _opens(self, verdict):
        done, problems = opens_verdict(self.records, self.clocks.bound)
        granted, denied = done["open", "granted"], done["open", "denied"]
        verdict.errors += done["open", "wrongly denied"]
        verdict.problems += problems
        verdict.others.append(f"{granted} opens granted, {denied} denied, "
                              f"{done['reclaim', 'granted']} reclaimed")
        if not granted or not denied:
            verdict.problems.append(f"opens were never granted, or never denied: {dict(done)}")

    def _delegations(self, verdict):
        wrong, seen = wrong_reads(self.reads, self.clocks.bound), self.delegations.seen
        returned = self.delegations.returned()
        done = Counter(record.operation for record in self.reads if record.result == "done")
        verdict.errors += len(wrong)
        verdict.problems += [f"not the last write, but one before or none, {least} to {most} were "
                             f"possible: {record}" for record, least, most in wrong[:5]]
        verdict.others.append(f"{done['write']} writes and {done['read']} reads of delegated files, "
                              f"{len(wrong)} wrong, {seen['w']} delegations for writing and "
                              f"{seen['r']} for reading seen, {returned} given back, "
                              f"{self.delegations.recalled} recalled while recovering, in all but "
                              f"{self.delegations.without} of {self.delegations.rounds} recoveries")
        if not returned or not self.delegations.recalled:
            verdict.problems.append("no delegation was recalled, or none while recovering")
        # Of a run of two moves, in one.
        if 4 * self.delegations.without > self.delegations.rounds + 2:
            verdict.problems.append("in too many recoveries nothing was delegated that could be recalled")
        contested, inside = self.kept.contested, self.kept.were_inside
        verdict.others.append(f"locks of {contested} files wanted by others, {inside} of them came along "
                              f"in a delegation, {self.kept.skipped} times a keeper had none")
        if contested < self.audits:
            verdict.problems.append(f"in {self.audits} audits only {contested} files were wanted by others")
        # A run of two moves contests four, and two of these were seen in each of five runs.
        if 4 * inside < contested or not inside:
            verdict.problems.append("too few of these locks were in a delegation")

    def _lost(self, client):
        lines = self.cluster[client].log().splitlines()[self.marks[client]:]
        return [line for line in lines if LOST.search(line)]

    def _doubles(self, verdict):
        doubles = lockhistory.double_holders(self.records, self.clocks.bound)
        verdict.doubles = len(doubles)
        lost = [(record.file, record.first, record.began) for record in self.records
                if record.result == "lost"]
        places = [(second.file, second.index, second.since) for _, second in doubles]
        verdict.problems += [f"two at once: {first} and {second}" for first, second in doubles[:5]]
        for (file, index), at in list({place[:2]: place[2] for place in lost + places}.items())[:3]:
            verdict.problems.append(
                f"history of {file} range {index}, clocks agree within {self.clocks.bound * 1000:.0f} ms:"
                f"\n{lockhistory.story(self.records, file, index, at)}")
