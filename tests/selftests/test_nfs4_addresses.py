# SPDX-License-Identifier: GPL-2.0-only
"""NFSv4 clients of two floating addresses, that are now on one node and now on two."""

from nfs4cases import LOCKS, PlannedCase
from testbed import S1, S2

# Both kernels do the same here, or test_nfs4.py sees it.
ONE_KERNEL = True
WEIGHT = 2


class Addresses4(PlannedCase):
    # See Bystanders4: an emulated CPU has all that a move does to do.
    LONGEST = 5.0

    def moves(self, *versions):
        """Each filesystem is moved alone, and the locks of the other are not touched."""
        self.delegations(False)
        at = {S1: "a", S2: "a"}
        holders = {}
        for fs in at:
            self.take("a", fs)
            self.end("a", fs)
            holders[fs] = self.holders("c1", versions=versions, fs=fs)
        for fs, other in (S1, S2), (S2, S1), (S1, S2):
            loop = self.cluster.spawn("c1", "locks.py", "loop", f"/mnt/{other.name}-{versions[-1]}/by",
                                      "--open", "--interval", "50", "--log", "/run/loop")
            source, target = at[fs], "b" if at[fs] == "a" else "a"
            self.give(source, fs)
            self.take(target, fs)
            at[fs] = target
            self.check_all(holders[fs])
            self.end(target, fs)
            summary = loop.stop()
            print(f"    # {fs.name} to {target}: {summary}")
            self.assertEqual(summary["errors"], {})
            self.assertLess(summary["max"], self.LONGEST)
            self.check_all(holders[other])
            for which, node in at.items():
                self.assertEqual(len(self.cluster.locks(node, which)), len(versions) * LOCKS)
        for those in holders.values():
            self.stop_all(those)

    def test_moves_40(self):
        self.moves("4.0")

    def test_moves(self):
        """By the others: it is over when all have completed their reclaims."""
        self.moves("4.1", "4.2")
