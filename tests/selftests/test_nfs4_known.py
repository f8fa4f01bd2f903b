# SPDX-License-Identifier: GPL-2.0-only
"""Clients that nfsd knows by their own name, as they were there before it was made another one."""

from nfs4cases import LOCKS, VERSIONS, PlannedCase
from testbed import S1

# It is about the command and names, whatever the kernel.
ONE_KERNEL = True
WEIGHT = 2
CLIENTS = ("c1",)


class Known4(PlannedCase):
    def hold(self):
        """Clients of all versions: of one machine each is another one."""
        self.held = self.holders("c1")
        names = self.cluster["a"].run("grep -h ^name: /proc/fs/nfsd/clients/*/info")
        self.assertEqual((len(names.splitlines()), "@" in names), (len(VERSIONS), False), names)

    def serve(self):
        self.delegations(False)
        self.cluster.mount_fs("a", S1)
        self.cluster.export("a", S1)
        self.cluster.address_up("a", S1.ip)

    def floats(self, node):
        self.log_expect(node, f"ip={S1.ip}: floating address")
        self.cluster.command(node, "floating_ips", f"+{S1.ip}")

    def kept(self, node):
        self.check_all(self.held)
        self.end(node)
        self.assertEqual(len(self.cluster.locks(node, S1)), len(VERSIONS) * LOCKS)

    def move(self):
        self.give("a")
        # Which of them has what by which address is not known, so no list tells of them.
        self.assertIsNone(self.awaited[S1])
        self.take("b")
        self.kept("b")

    def test_before_module(self):
        """They were there before the module."""
        self.cluster.unload("a")
        self.serve()
        self.hold()
        self.cluster.load("a")
        self.log_expect("a", "loaded")
        self.floats("a")
        self.move()
        self.stop_all(self.held)

    def test_before_address(self):
        """They were there before the address was one that moves; later it is none for a while, and its
        node dies."""
        self.serve()
        self.hold()
        self.floats("a")
        self.move()
        self.log_expect("b", f"ip={S1.ip}: no floating address any more")
        self.cluster.command("b", "floating_ips", f"-{S1.ip}")
        self.check_all(self.held)
        self.floats("b")
        self.check_all(self.held)
        self.kill("b")
        self.awaited, self.completes = {}, {}
        self.take("a")
        self.kept("a")
        self.stop_all(self.held)
