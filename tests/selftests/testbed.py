# SPDX-License-Identifier: GPL-2.0-only
"""What tests share: a cluster, and what each test finds and leaves.

A test file may set SERVERS, CLIENTS and FILESYSTEMS if it needs others than these, and CPUS, the
number of CPUs of each VM. Each test is a
method of a Case; it finds servers up with the module loaded, nothing served and nothing mounted.
"""

import functools
import re
import time
import unittest

from cluster import CONTROL, S1, S2, Cluster, Lab, LabError  # noqa: F401
from vmlab.node import until  # noqa: F401

SERVERS = ("a", "b")
CLIENTS = ("c1", "c2")
FILESYSTEMS = (S1, S2)
CPUS = 1
# The kernel that checks itself. It needs memory for that.
DEBUG = "debug"
MEMORY = 1024
# What a release counts, as it says it.
DROPPED = ("locks", "blocked", "shares", "files")
# What the kernel says about things that are not under test.
NOISE = re.compile(
    # A mount that is killed while it goes through the journal (test_interrupted) says "reset".
    r"EXT4-fs|JBD2: journal reset failed|NFSD: |nfsd: last server has exited|"
    r"lockd: server .* (not responding|OK)|rpc-srv/tcp: (lockd|nfsd): (got error -\d+|sent \d+) when sending|"
    r"lab: |canary |FS-Cache|netfs|NFS: |nfs: (server|Deprecated)|RPC: |"
    r"nfs_failover: (loading out-of-tree|module verification)|"
    r"hrtimer|clocksource|TSC found unstable|sched_clock: |"
    r"The ftrace_enabled file is deprecated|Key type|random: |evm: |systemd|"
    r"process '.*' started with executable stack")


def nodes_of(file):
    """Names of the nodes that the tests of a file use."""
    return [*getattr(file, "SERVERS", SERVERS), *getattr(file, "CLIENTS", CLIENTS)]


class Testbed:
    """A running cluster that the tests of several files use, one file after the other.

    files: all that may use it; first: the one that will be the first. Nodes that it does not know
    are booted when a file comes that does.
    keep: a test that fails is the last one, and leaves everything as it was at that moment. Whoever
    runs the tests sets `kept` then, and the machines go on.
    """

    def __init__(self, name, files, first, kernel, cpus, keep=False):
        def union(what, default):
            found = [node for file in files for node in getattr(file, what, default)]
            return list(dict.fromkeys(found))
        self.kernel, self.cpus = kernel, cpus
        self.keep, self.kept = keep, False
        self.cluster = Cluster(Lab(f"{name}-{kernel.replace('.', '-')}"),
                               servers=union("SERVERS", SERVERS),
                               clients=sorted(union("CLIENTS", CLIENTS)),
                               filesystems=union("FILESYSTEMS", FILESYSTEMS))
        self.first, self.used = first, False

    def __enter__(self):
        try:
            more = {"mem": MEMORY} if self.kernel == DEBUG else {}
            self.cluster.start(self.kernel, cpus=self.cpus, only=nodes_of(self.first), **more)
            self.take(self.first)
            self.cluster.up()
        except BaseException:
            self.cluster.lab.close()
            raise
        return self

    def __exit__(self, *error):
        if not self.kept:
            self.cluster.lab.close()

    def use(self, file):
        """The tests of this file are next: no other nodes than they know take part, what others
        have left on disks that were not mounted in the end is gone, and lockd and nfsd know nobody."""
        self.take(file)
        for fs in self.cluster.filesystems:
            self.cluster.lab.empty_disk(fs.name)
        for node in self.cluster.servers if self.used else ():
            if self.cluster[node].pid:
                self.cluster.server_up(node)
                self.cluster.end_grace(node)
        self.used = True
        self.revive()

    def leaks(self):
        """What kmemleak says of this module, once for each server, if the kernel has that."""
        for node in self.cluster.servers if self.kernel == DEBUG else ():
            if self.cluster[node].pid:
                # It reports only what is older than 5 s, and what it does not find twice.
                said = self.cluster[node].run(
                    "cd /sys/kernel/debug && for _ in 1 2; do echo scan >kmemleak; sleep 6; done; "
                    "cat kmemleak", timeout=600)
                # Functions of a module that is gone have no names any more.
                if re.search(r"nfs_failover|^ +0xf", said, re.MULTILINE):
                    yield "\n".join(f"    # {node}: {line}" for line in said.splitlines())

    def take(self, file):
        """Have the nodes of this file take part."""
        self.cluster.servers = list(getattr(file, "SERVERS", SERVERS))
        self.cluster.clients = list(getattr(file, "CLIENTS", CLIENTS))
        self.cluster.filesystems = list(getattr(file, "FILESYSTEMS", FILESYSTEMS))

    def revive(self):
        """Boot what died, or has not been needed yet; returns the names of the nodes."""
        dead = [node for node in [*self.cluster.servers, *self.cluster.clients]
                if not self.cluster[node].pid]
        for node in dead:
            self.cluster[node].launch()
        for node in dead:
            self.cluster[node].wait()
            if node in self.cluster.servers:
                self.cluster.server_up(node)
                self.cluster.end_grace(node)
            else:
                self.cluster.client_up(node)
        return dead


class Case(unittest.TestCase):
    """One test on the shared cluster.

    The kernel log of the servers since the test began must consist of NOISE and of
    the lines that the test expects with log_expect(), in that order.
    """

    longMessage = True
    bed: Testbed
    load_module = True

    def setUp(self):
        self.cluster = self.bed.cluster
        self.expected = {node: [] for node in self.cluster.servers}
        self.killed = set()
        self.addCleanup(self._clean)
        for node in self.cluster.servers:
            # Emulated clocks drift apart by a second in minutes, and a list that was made before a
            # module was loaded elsewhere is believed by nobody.
            canary = f"date -s @{time.time():.3f} >/dev/null && echo 'canary {self.id()}' > /dev/kmsg"
            if self.load_module:
                self.cluster.load(node, canary)
                self.log_expect(node, "loaded")
            else:
                self.cluster[node].run(canary)

    def run(self, result=None):
        """As any test; keeps in mind whether it has come to its end."""
        name = self.id().rpartition(".")[2]
        method = getattr(self, name)
        self.broken = True

        @functools.wraps(method)
        def whole():
            try:
                method()
            except unittest.SkipTest:
                self.broken = False
                raise
            self.broken = False
        setattr(self, name, whole)
        return super().run(result)

    def doCleanups(self):
        return False if self.bed.keep and self.broken else super().doCleanups()

    def log_expect(self, node, *lines):
        """Lines of the module, without `nfs_failover: `; a regular expression each."""
        self.expected[node] += [f"nfs_failover: {line}" for line in lines]

    def expect_released(self, node, fs, seconds, **dropped):
        """The line of a release; what is not said of locks, blocked, shares and files may be any
        number. Numbers may be regular expressions."""
        unknown = set(dropped) - set(DROPPED)
        self.assertEqual(unknown, set())
        counts = " ".join(rf"{what}={dropped.get(what, '[0-9]+')}" for what in DROPPED)
        self.log_expect(node, f"fsid={fs.fsid}: released for {seconds} s, dropped {counts}")

    def expect_recovering(self, node, fs, seconds):
        """The line with which a recovery begins."""
        self.log_expect(node, f"fsid={fs.fsid}: recovering for {seconds} s")

    def kill(self, node):
        """Kill a VM that the test means to kill."""
        self.killed.add(node)
        self.cluster[node].kill()

    def log(self, node):
        """Lines of the kernel log since the test began. One that is just being written is none yet."""
        text = self.cluster[node].log().rpartition("\n")[0].rpartition(f"canary {self.id()}")[2]
        return [re.sub(r"^\[ *[\d.]+\] ", "", line) for line in text.splitlines()[1:] if line]

    def _clean(self):
        """Leave nothing behind, and hold the kernels to what the test expects of them."""
        problems = []
        dead = [node for node in [*self.cluster.servers, *self.cluster.clients]
                if not self.cluster[node].pid and node not in self.killed]
        for node in dead:
            problems.append(f"{node} died; the end of its kernel log:\n"
                            + "\n".join(self.log(node)[-40:]))
        if not dead:
            for node in self.cluster.servers:
                if node not in self.killed:
                    problems += self._check_log(node)
        if problems and self.bed.keep:
            self.fail("\n".join(problems))
        for node in self.cluster.clients:
            if self.cluster[node].pid:
                problems += self._tidy(node, "client")
        for node in self.cluster.servers:
            if self.cluster[node].pid:
                problems += self._tidy(node, "server", self.cluster[node].ip, "module")
        self.bed.revive()
        if problems:
            self.fail("\n".join(problems))

    def _tidy(self, node, *words):
        """Clean a machine up; one that cannot be is booted anew, so that no other test finds it so."""
        try:
            result = self.cluster[node].exec(["python3", "/lab/bin/clean.py", *words], timeout=180)
        except LabError as error:
            result = error
        else:
            if not result.status:
                return []
        if not self.bed.keep:
            self.cluster[node].kill()
        return [f"{node}: clean.py {' '.join(words)}: {result}"]

    def _check_log(self, node):
        # The console lags behind the kernel: what is due gets time to appear.
        deadline = time.monotonic() + 10
        while True:
            lines = [line for line in self.log(node) if not NOISE.search(line)]
            expected = self.expected[node]
            wrong = next((line for want, line in zip(expected, lines)
                          if not re.fullmatch(want, line)), None)
            extra = lines[len(expected):]
            missing = expected[len(lines):]
            if wrong or extra or not missing or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        if not (wrong or extra or missing):
            return []
        return [f"{node}: the kernel log is not what was expected\nlog:\n  "
                + "\n  ".join(lines) + "\nexpected:\n  " + "\n  ".join(expected)]
