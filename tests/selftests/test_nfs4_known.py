# SPDX-License-Identifier: GPL-2.0-only
"""Clients that nfsd knows by their own name, as they were there before it was made another one."""

from nfs4cases import LOCKS, ROUND, PlannedCase
from testbed import S1

# It is about the command and names, whatever the kernel.
ONE_KERNEL = True
WEIGHT = 2
CLIENTS = ("c1",)
VERSIONS = ("4.0", "4.1", "4.2")


class Known4(PlannedCase):
    def hold(self):
        """Clients of all versions: of one machine each is another one."""
        self.holders = []
        for vers in VERSIONS:
            at = self.cluster.mount("c1", S1, vers=vers, at=f"/mnt/v{vers}")
            self.holders.append(self.cluster.spawn("c1", "locks.py", "hold", at, LOCKS,
                                                   "--prefix", f"v{vers}."))
            self.holders[-1].expect(f"held {LOCKS}", ROUND)
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
        for holder in self.holders:
            self.check(holder)
        self.end(node)
        self.assertEqual(len(self.cluster.locks(node, S1)), len(VERSIONS) * LOCKS)

    def move(self):
        self.give("a")
        # Which of them has what by which address is not known, so no list tells of them.
        self.assertIsNone(self.awaited[S1])
        self.take("b")
        self.kept("b")

    def stop(self):
        for holder in self.holders:
            self.assertEqual(holder.stop()["errors"], {})

    def test_before_module(self):
        """They were there before the module."""
        self.cluster.unload("a")
        self.serve()
        self.hold()
        self.cluster.load("a")
        self.log_expect("a", "loaded")
        self.floats("a")
        self.move()
        self.stop()

    def test_before_address(self):
        """They were there before the address was one that moves; later it is none for a while, and its
        node dies."""
        self.serve()
        self.hold()
        self.floats("a")
        self.move()
        self.log_expect("b", f"ip={S1.ip}: no floating address any more")
        self.cluster.command("b", "floating_ips", f"-{S1.ip}")
        for holder in self.holders:
            self.check(holder)
        self.floats("b")
        for holder in self.holders:
            self.check(holder)
        self.kill("b")
        self.awaited, self.completes = {}, {}
        self.take("a")
        self.kept("a")
        self.stop()
