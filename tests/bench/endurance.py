#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Move a filesystem back and forth with its manifest, under lock applications that check.

endurance.py [--kernel 7.2] [--moves 200]

Ends early if a recovery does not end or an application does not get on. In the end one line
with the figures. Exit status: 0; 1 if a lock was lost, two had one at once, a reclaim was
refused or anything else went wrong; 69 if the lab failed before the first move.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

from checker import Checker  # noqa: E402
from cluster import BUILD, S1, Cluster, Lab, LabError, until  # noqa: E402

CLIENTS = ("c1", "c2")
FENCE = 90
RECOVERY = 120
PACKETS = BUILD / "endurance.pcap"


class Endurance:
    def __init__(self, cluster, moves):
        self.cluster, self.moves = cluster, moves
        self.made, self.reclaimed, self.slowest = 0, 0, 0.0
        self.problems = []

    def unit(self, node):
        return next((line for line in self.cluster.status(node) if line.get("fsid") == S1.fsid),
                    {"phase": "gone"})

    def move(self, source, target):
        """One move until it is over; returns what failover_status says then."""
        self.cluster.release(source, S1, FENCE, manifest=True)
        self.cluster.takeover(target, S1, RECOVERY)
        rest = []

        def over():
            if self.unit(target)["phase"] != "recovering":
                return True
            if not rest and time.monotonic() > late:
                rest.append(self.cluster[target].exec(
                    f"exec 3<>/proc/fs/nfsd/lock_manifest; echo {S1.fsid} >&3; cat <&3").text)
            return False
        late = time.monotonic() + RECOVERY / 2
        until(over, RECOVERY + 60, "the recovery does not end")
        unit = self.unit(target)
        if unit.get("outstanding") != "0" or unit["refused"] != "0":
            self.problems.append(" ".join(["not everything was reclaimed:", str(unit), *rest]))
            print(self.problems[-1], flush=True)
        self.reclaimed += int(unit.get("reclaimed", 0))
        return unit

    def run(self, checker):
        source, target = "a", "b"
        for number in range(1, self.moves + 1):
            start = time.monotonic()
            unit = self.move(source, target)
            took = time.monotonic() - start
            checker.progress(1)
            self.problems += checker.audit(target)
            checker.fetch()
            self.made, self.slowest = number, max(self.slowest, took)
            counts = " ".join(f"{key}={unit.get(key)}" for key in
                              ("manifest", "reclaimed", "refused", "waits"))
            print(f"move {number} of {self.moves}: {source} to {target}, {counts}, {took:.1f} s",
                  flush=True)
            source, target = target, source


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="7.2")
    parser.add_argument("--moves", type=int, default=200)
    options = parser.parse_args()
    cluster = Cluster(Lab("endurance"), servers=["a", "b"], clients=CLIENTS)
    run = Endurance(cluster, options.moves)
    problems = run.problems
    try:
        cluster.start(options.kernel)
        cluster.lab.capture_start(PACKETS)
        cluster.up()
        for node in cluster.servers:
            cluster.load(node)
        cluster.serve("a", S1)
        for client in CLIENTS:
            cluster.mount(client, S1)
        checker = Checker(cluster, CLIENTS, S1, procs=4, keepers=2)
        checker.progress()
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        cluster.lab.close()
        return 69
    try:
        try:
            run.run(checker)
        except LabError as error:
            problems.append(str(error))
            for node in cluster.servers:
                problems.append(f"{node}: " + cluster[node].exec(
                    "cat /proc/fs/nfsd/failover_status; dmesg | tail -n 40").text)
        verdict = checker.stop()
        print(f"{run.made} moves, {run.reclaimed} locks reclaimed, slowest move "
              f"{run.slowest:.1f} s, {verdict}")
        problems += verdict.problems
    except LabError as error:
        problems.append(str(error))
    finally:
        cluster.lab.close()
    if problems:
        print("\n".join(problems))
        print(f"what passed between the nodes: {PACKETS} (wireshark or tshark know NLM)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
