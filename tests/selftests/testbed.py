# SPDX-License-Identifier: GPL-2.0-only
"""What tests share: a cluster, and what each test finds and leaves.

A test file may set SERVERS, CLIENTS and FILESYSTEMS if it needs others than these. Each test is a
method of a Case; it finds servers up with the module loaded, nothing served and nothing mounted.
"""

import re
import time
import unittest

from cluster import CONTROL, S1, S2, Cluster, Lab, LabError  # noqa: F401
from labnode import until  # noqa: F401

SERVERS = ("a", "b")
CLIENTS = ("c1", "c2")
FILESYSTEMS = (S1, S2)
# What the kernel says about things that are not under test.
NOISE = re.compile(
    # A mount that is killed while it goes through the journal (test_interrupted) says "reset".
    r"EXT4-fs|JBD2: journal reset failed|NFSD: |nfsd: last server has exited|"
    r"lockd: server .* (not responding|OK)|"
    r"lab: |canary |FS-Cache|netfs|NFS: |nfs: (server|Deprecated)|RPC: |"
    r"nfs_failover: (loading out-of-tree|module verification)|"
    r"hrtimer|clocksource|TSC found unstable|sched_clock: |"
    r"The ftrace_enabled file is deprecated|Key type|random: |evm: |systemd|"
    r"process '.*' started with executable stack")


class Testbed:
    """A running cluster that the tests of several files use, one file after the other."""

    def __init__(self, name, files, kernel):
        def union(what, default):
            found = [node for file in files for node in getattr(file, what, default)]
            return list(dict.fromkeys(found))
        self.kernel = kernel
        self.cluster = Cluster(Lab(f"{name}-{kernel.replace('.', '-')}"),
                               servers=union("SERVERS", SERVERS),
                               clients=sorted(union("CLIENTS", CLIENTS)),
                               filesystems=union("FILESYSTEMS", FILESYSTEMS))

    def __enter__(self):
        try:
            self.cluster.start(self.kernel)
            self.cluster.up()
        except BaseException:
            self.cluster.lab.close()
            raise
        return self

    def __exit__(self, *error):
        self.cluster.lab.close()

    def use(self, file):
        """The tests of this file are next: no other nodes than they know take part."""
        self.cluster.servers = list(getattr(file, "SERVERS", SERVERS))
        self.cluster.clients = list(getattr(file, "CLIENTS", CLIENTS))
        self.cluster.filesystems = list(getattr(file, "FILESYSTEMS", FILESYSTEMS))
        self.revive()

    def revive(self):
        """Boot what died; returns the names of the nodes."""
        dead = [node for node in [*self.cluster.servers, *self.cluster.clients]
                if not self.cluster[node].pid]
        for node in dead:
            self.cluster.boot(node)
            if node in self.cluster.servers:
                self.cluster.server_up(node)
                self.cluster.wait_no_grace(node)
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
            self.cluster[node].run(f"echo 'canary {self.id()}' > /dev/kmsg")
            if self.load_module:
                self.cluster.load(node)
                self.log_expect(node, "loaded")

    def log_expect(self, node, *lines):
        """Lines of the module, without `nfs_failover: `; a regular expression each."""
        self.expected[node] += [f"nfs_failover: {line}" for line in lines]

    def kill(self, node):
        """Kill a VM that the test means to kill."""
        self.killed.add(node)
        self.cluster[node].kill()

    def log(self, node):
        """Lines of the kernel log since the test began."""
        text = self.cluster[node].log().rpartition(f"canary {self.id()}")[2]
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
        for node in self.cluster.clients:
            if self.cluster[node].pid:
                problems += self._run(
                    node, "pkill -9 -x python3; umount -f -l -a -t nfs,nfs4; true")
        for node in self.cluster.servers:
            if self.cluster[node].pid:
                problems += self._clean_server(node)
        self.bed.revive()
        if problems:
            self.fail("\n".join(problems))

    def _run(self, node, command):
        result = self.cluster[node].exec(command, timeout=90)
        return [f"{node}: {command}: {result}"] if result.status else []

    def _clean_server(self, node):
        problems = self._run(node, f"sh /lab/bin/server-clean.sh {self.cluster[node].ip}")
        if self.cluster[node].exec("grep -q ^nfs_failover /proc/modules").status == 0:
            problems += self._run(node, "sh /lab/bin/module-clean.sh")
        return problems

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
