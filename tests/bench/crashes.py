#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Kill the server at random moments while clients take new locks, and take over each time.

crashes.py [--kernel 7.2] [--crashes 50] [--seed N] [--nfs4]

Each round begins without any record of a client. What the clients had been granted when the
server died must be held for them by the other node afterwards, and nobody else may get it.
The node that died is booted again meanwhile and takes over in the next round. With --nfs4 two of
three clients use NFSv4.2, and so does who tries to get the locks; beside them run clients of our own that
open files and deny others access. In the end one line with the figures. Exit status: 0; 1 if a lock or an
open was lost or had twice; 69 if the lab failed.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

from applications import Clocks  # noqa: E402
from cluster import S1, Cluster, Lab, LabError, until  # noqa: E402
from lockhistory import double_holders  # noqa: E402
from opens import Opens, opens_verdict  # noqa: E402

CLIENTS = {"c1": "3", "c2": "3"}
CLIENTS4 = {"c1": "4.2", "c2": "4.2", "c4": "3"}
OPENS4 = {"c1": "4.0", "c2": "4.1"}
RIVAL = "c3"
RECOVERY = 300
# Prints which of the files somebody else could lock.
TRY = """
import fcntl, glob, os
for path in glob.glob("/mnt/s1/c*"):
    with open(path, "r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            print(os.fstat(file.fileno()).st_ino)
        except BlockingIOError:
            pass
"""


class Crashes:
    def __init__(self, cluster, rounds, seed, nfs4):
        self.cluster, self.rounds, self.nfs4 = cluster, rounds, nfs4
        clients = CLIENTS4 if nfs4 else CLIENTS
        self.clients, self.mounts = clients, {**clients, RIVAL: max(clients.values())}
        self.random = random.Random(seed)
        self.done = self.granted = self.early = self.reclaimed = 0
        self.opens = Counter()
        self.slowest = 0.0
        self.problems = []

    def take(self, node, seconds):
        self.cluster.ctl(node, "takeover", "s1", "--mount", "--export", "--no-notify",
                         "--grace", seconds)
        self.cluster.address_up(node, S1.ip)

    def held(self, node):
        return {inode for inode, how in self.cluster.locks(node, S1) if how == "held"}

    def serve(self, node):
        """A filesystem as if it had never been used."""
        self.cluster[node].run(f"mkdir -p {S1.path} && mount {S1.device} {S1.path} && "
                               f"rm -rf {S1.path}/* {S1.path}/.nsm && umount {S1.path}")
        self.take(node, RECOVERY)
        self.cluster.end_recovery(node, S1)

    def open(self):
        """Start clients of our own; each has something open before the server dies."""
        self.clocks = Clocks(self.cluster, OPENS4)
        opens = Opens(self.cluster, S1, OPENS4, self.random.randrange(1 << 30))
        for program in opens.programs.values():
            program.expect("recovered", 60)
        opens.progress(1, 60)
        return opens

    def judge(self, opens, server):
        """What became of the opens, on the server that has them now."""
        opens.progress(1, 60)
        opens.ask(1)
        opens.wait_still(1, 60)
        self.problems += opens.difference(server)
        opens.go_on()
        for client, summary in opens.stop(60).items():
            self.reclaimed += summary["reclaimed"]
            if summary["errors"]:
                self.problems.append(f"{client}: {summary['errors']} {opens.programs[client].errors()}")
        self.clocks.measure(OPENS4)
        records = opens.fetch(self.clocks, "")
        done, problems = opens_verdict(records, self.clocks.bound)
        self.opens.update(done)
        self.problems += problems + [f"two at once: {first} and {second}" for first, second
                                     in double_holders(records, self.clocks.bound)]

    def round(self, server, other):
        cluster = self.cluster
        self.serve(server)
        for client, vers in self.mounts.items():
            cluster.mount(client, S1, vers=vers)
        # Python takes half a second to start.
        delay = self.random.uniform(0.5, 5)
        opens = self.open() if self.nfs4 else None
        growing = [cluster.spawn(client, "grow.py", "/mnt/s1", client) for client in self.clients]
        time.sleep(delay)
        cluster[server].kill()
        # They cannot be granted anything any more.
        granted = {int(line.split()[1]) for program in growing
                   for line in program.output().splitlines() if line.startswith("granted")}
        self.take(other, RECOVERY)
        start = time.monotonic()
        cluster.ctl(other, "notify", "--ip", S1.ip)
        try:
            until(lambda: granted <= self.held(other), 60, "")
        except LabError:
            missing = granted - self.held(other)
            self.problems.append(f"{len(missing)} of {len(granted)} locks lost: {missing}")
        took = time.monotonic() - start
        unit = next(line for line in cluster.status(other) if line.get("fsid") == S1.fsid)
        if unit["refused"] != "0":
            self.problems.append(f"reclaims refused: {unit}")
        if opens:
            for program in opens.programs.values():
                program.expect("recovered", 60)
        cluster.end_recovery(other, S1)
        if opens:
            self.judge(opens, other)
        got = set(map(int, cluster[RIVAL].run(["python3", "-c", TRY], timeout=120).split()))
        # What a client is just taking nobody has yet.
        if granted & got:
            self.problems.append(f"granted twice: {granted & got}")
        self.granted += len(granted)
        self.early += not granted
        self.slowest = max(self.slowest, took)
        print(f"crash {self.done + 1} of {self.rounds}: {server}, {delay:.2f} s after the start, "
              f"{len(granted)} locks, {unit['reclaimed']} reclaimed in {took:.1f} s", flush=True)
        for client in self.mounts:
            cluster[client].run("pkill -x python3; umount -f -l -a -t nfs; true")
        cluster.ctl(other, "release", "s1", "--address", "--unexport", "--umount", "--fence", 10,
                    timeout=150)
        until(lambda: "unit" not in [line["kind"] for line in cluster.status(other)], 30,
              "the fence does not end")
        cluster.boot(server)
        self.up(server)
        self.done += 1

    def up(self, node):
        cluster = self.cluster
        cluster.server_up(node)
        cluster.configure()
        cluster.load(node)
        cluster.wait_no_grace(node)
        # Locks that clients keep to themselves cannot be seen.
        cluster[node].run("sysctl -q fs.leases-enable=0")

    def run(self):
        server, other = "a", "b"
        while self.done < self.rounds and not self.problems:
            self.round(server, other)
            server, other = other, server


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="7.2")
    parser.add_argument("--crashes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nfs4", action="store_true")
    options = parser.parse_args()
    clients = CLIENTS4 if options.nfs4 else CLIENTS
    cluster = Cluster(Lab("crashes"), clients=(*clients, RIVAL), filesystems=(S1,))
    crashes = Crashes(cluster, options.crashes, options.seed, options.nfs4)
    status, started = 0, time.monotonic()
    try:
        cluster.start(options.kernel)
        cluster.up()
        for node in cluster.servers:
            crashes.up(node)
        crashes.run()
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        status = 69
    finally:
        cluster.lab.close()
    for problem in crashes.problems:
        print(problem)
    print(json.dumps({"crashes": crashes.done, "locks": crashes.granted, "without": crashes.early,
                      "opens": crashes.opens["open", "granted"],
                      "opens_denied": crashes.opens["open", "denied"],
                      "opens_reclaimed": crashes.reclaimed,
                      "problems": len(crashes.problems), "slowest": round(crashes.slowest, 1),
                      "seconds": round(time.monotonic() - started)}))
    return status or int(bool(crashes.problems))


if __name__ == "__main__":
    sys.exit(main())
