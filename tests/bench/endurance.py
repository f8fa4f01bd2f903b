#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Move a filesystem back and forth with its manifest, under lock applications that check.

The filesystem is exported with subtree_check, so that a file may have several handles, and the
first client has mounted it by both addresses: its kernel counts processes anew for each. With --nfs4
the first two of three clients have mounted it by NFSv4.2, and beside them run clients of our own, of 4.0
and 4.1, that open files and deny others access; some files are delegated. Then it is moved by
nfs-failoverctl, and at every second move all lists of what clients had are lost on the way, so that
any client may reclaim, as after a crash. One of 4.0 does not say when it is through: each recovery
takes its time. Each umount has to succeed at the first try. With --crash-every N each Nth move is none:
the server is killed, the other one takes over, and the first is booted again meanwhile.

endurance.py [--kernel 7.2] [--moves 200] [--nfs4 [--crash-every N]]

Ends early if a recovery does not end or an application does not get on. In the end one line
with the figures. Exit status: 0; 1 if a lock was lost, two had one at once, a reclaim was
refused, a read did not find the last write or anything else went wrong; 69 if the lab failed before the first move.
"""

import argparse
import re
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

from checker import Checker  # noqa: E402
from cluster import BUILD, S1, Cluster, Lab, LabError, until  # noqa: E402

CLIENTS = {"c1": "3", "c2": "3"}
CLIENTS4 = {"c1": "4.2", "c2": "4.2", "c3": "3"}
OPENS4 = {"c1": "4.0", "c2": "4.1"}
FENCE = 90
RECOVERY = 120
# The shortest lease that nfsd takes, and somewhat more: by then each client has found out, also one that
# was idle. A Linux client that is told to wait in the moment of the release asks again after 6 s and after
# 13 s, and then not before 25 s.
LEASE4 = 10
RECOVERY4 = 12
# After a crash connections are ended by a list that may be some seconds old; others take longer.
CRASH4 = 14
# For so long a list is believed, and a node that has given one away recovers if it gets none back.
FENCE4 = 25
SERVICES = ("s1", "s1-1")
LISTS = f"{S1.path}/.nsm"
# What a takeover may lack where lists were lost: the list itself, and who was not told or did not answer.
NOT_COMPLETE, MAY_LACK = re.compile(r"(\w+): .*NOT COMPLETE"), ("manifest", "notify")
PACKETS = BUILD / "endurance.pcap"


class Endurance:
    def __init__(self, cluster, moves, nfs4, crash_every=0):
        self.cluster, self.moves, self.nfs4, self.crash_every = cluster, moves, nfs4, crash_every
        self.made, self.reclaimed, self.slowest = 0, 0, 0.0
        self.problems, self.umounts, self.crashes = [], 0, 0
        self.incomplete = Counter()     # {step of a takeover: how often}

    def unit(self, node):
        return next((line for line in self.cluster.status(node) if line.get("fsid") == S1.fsid),
                    {"phase": "gone"})

    def move(self, checker, source, target):
        """One move until it is over; returns what failover_status says then."""
        checker.delegated(source)
        if self.nfs4:
            before = self.over(target)
            if self.is_crash(self.made + 1):
                seconds = self.crash(source, target)
            else:
                seconds = self.command(source, target)
            until_over = time.monotonic() + seconds
            checker.recall(target)
            if self.is_crash(self.made + 1):
                self.boot(source)
            # until() would look ever more seldom.
            time.sleep(max(0, until_over - time.monotonic()))
            return self.timed_out(target, before)
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

    def begin(self, node):
        """Served by the command, whose configuration both nodes get."""
        self.configure()
        self.cluster.ctl(node, "takeover", *SERVICES, "--mount", "--export", "--address", "--no-notify")
        self.cluster.end_recovery(node, S1)

    def configure(self):
        self.cluster.configure()
        for server in self.cluster.servers:
            self.cluster[server].run(
                f"sed -i -e '/^prefix/a grace = {RECOVERY4}' -e '/^prefix/a fence = {FENCE4}' "
                "-e s/no_subtree/subtree/ /etc/nfs-failover.toml")

    def is_crash(self, number):
        return self.crash_every and number % self.crash_every == 0

    def crash(self, source, target):
        """What a cluster manager does when a node is dead; returns how long it recovers."""
        self.cluster[source].kill()
        self.crashes += 1
        self.take(target, statuses=(0, 3), more=("--grace", CRASH4))
        return CRASH4

    def boot(self, node):
        """Ready for the next takeover, but for the grace period of its own after the boot."""
        self.cluster.boot(node)
        self.cluster.server_up(node, nfs4_grace=LEASE4)
        self.cluster.load(node)
        self.configure()

    def take(self, node, statuses=(0,), more=()):
        # No NFSv3 client has come by the second address.
        done = self.cluster.ctl(node, "takeover", *SERVICES, "--mount", "--export", "--address",
                                "--expect-none", *more, statuses=statuses, timeout=180)
        for line in done.text.splitlines():
            found = NOT_COMPLETE.search(line)
            if found:
                self.incomplete[found[1]] += 1
                if found[1] not in MAY_LACK:
                    self.problems.append(f"{node}: {line}")
                print(f"{node}: {line}", flush=True)

    def command(self, source, target):
        """A move by the command, without lists every second time; returns how long it recovers."""
        said = self.cluster.ctl(source, "release", *SERVICES, "--address", "--unexport", "--umount",
                                timeout=180).text
        umount = next((line for line in said.splitlines() if "umount /" in line), said)
        if "at the first try" in umount:
            self.umounts += 1
        else:
            self.problems.append(f"{source}: {umount}")
            print(self.problems[-1], flush=True)
        lost = self.made % 2
        if lost:
            self.cluster[target].run(f"mount {S1.device} {S1.path} && cd {LISTS} && "
                                     f"rm -f manifest manifest.nfs4 && cd / && umount {S1.path}")
        self.take(target, statuses=(0, 3) if lost else (0,))
        return RECOVERY4

    def over(self, node):
        """How many recoveries are over there."""
        return int(self.cluster[node].run("dmesg | grep -c 'recovery over' || :"))

    def timed_out(self, target, before):
        """What the log says of a recovery when its time is over."""
        until(lambda: self.unit(target)["phase"] == "gone", 90,
              "the recovery does not end")
        # The log has it some moments later.
        until(lambda: self.over(target) > before, 10, "the log does not say what was reclaimed")
        line = self.cluster[target].run("dmesg | grep 'recovery over' | tail -n 1")
        unit = dict(word.split("=") for word in line.split() if "=" in word)
        if unit["refused"] != "0":
            self.problems.append(f"a reclaim was refused: {line}")
            print(self.problems[-1], flush=True)
        self.reclaimed += int(unit["reclaimed"])
        return unit

    def run(self, checker):
        source, target = "a", "b"
        for number in range(1, self.moves + 1):
            start = time.monotonic()
            unit = self.move(checker, source, target)
            took = time.monotonic() - start
            if self.nfs4:
                checker.get_on()
            else:
                checker.progress(1)
            self.problems += checker.audit(target)
            checker.fetch()
            self.made, self.slowest = number, max(self.slowest, took)
            counts = " ".join(f"{key}={unit.get(key)}" for key in
                              ("manifest", "reclaimed", "refused", "waits"))
            print(f"{'crash' if self.is_crash(number) else 'move'} {number} of {self.moves}: {source} to "
                  f"{target}, {counts}, {took:.1f} s", flush=True)
            source, target = target, source
        checker.progress(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="7.2")
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--nfs4", action="store_true")
    parser.add_argument("--crash-every", type=int, default=0, metavar="N")
    options = parser.parse_args()
    if options.crash_every and not options.nfs4:
        parser.error("--crash-every is for --nfs4; of NFSv3 see crashes.py")
    clients = CLIENTS4 if options.nfs4 else CLIENTS
    cluster = Cluster(Lab("endurance"), servers=["a", "b"], clients=clients, options="subtree_check")
    run = Endurance(cluster, options.moves, options.nfs4, options.crash_every)
    problems = run.problems
    try:
        cluster.start(options.kernel)
        cluster.lab.capture_start(PACKETS)
        cluster.up(nfs4_grace=LEASE4)
        for node in cluster.servers:
            cluster.load(node)
            if options.nfs4:
                # Locks that clients keep to themselves cannot be compared; see Checker.delegate().
                cluster[node].run("sysctl -q fs.leases-enable=0")
        if options.nfs4:
            run.begin("a")
        else:
            cluster.serve("a", S1)
        for client, vers in clients.items():
            cluster.mount(client, S1, vers=vers)
        also = cluster.mount("c1", S1, vers=clients["c1"], ip=S1.ips[1], at="/mnt/also")
        checker = Checker(cluster, clients, S1, procs=4, keepers=2, also={"c1": [also]},
                          opens=OPENS4 if options.nfs4 else None)
        checker.progress()
        if options.nfs4:
            checker.delegate(cluster.servers, list(OPENS4))
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
        print(f"{run.made - run.crashes} moves and {run.crashes} crashes, {run.reclaimed} reclaimed, slowest "
              f"{run.slowest:.1f} s, {run.umounts} umounts at the first try, takeovers not complete: "
              f"{dict(run.incomplete) or 'none'}, {verdict}")
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
