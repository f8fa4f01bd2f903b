# SPDX-License-Identifier: GPL-2.0-only
"""One NFSv4 client of two floating addresses, that are now on one node and now on two."""

from nfs4cases import LOCKS, PlannedCase
from testbed import S1, S2

# Both kernels do the same here, or test_nfs4.py sees it.
ONE_KERNEL = True
WEIGHT = 2


class Addresses4(PlannedCase):
    BY_NAME_ONLY = ("test_moves_41",)
    # See Bystanders4: an emulated CPU has all that a move does to do.
    LONGEST = 5.0

    def moves(self, vers):
        """Each filesystem is moved alone, and the locks of the other are not touched."""
        self.delegations(False)
        at = {S1: "a", S2: "a"}
        holders = {}
        for fs in at:
            self.take("a", fs)
            self.end("a", fs)
            holders[fs] = self.holder("c1", vers, fs=fs)
        for fs, other in (S1, S2), (S2, S1), (S1, S2):
            loop = self.cluster.spawn("c1", "locks.py", "loop", f"/mnt/{other.name}/by", "--open",
                                      "--interval", "50", "--log", "/run/loop")
            source, target = at[fs], "b" if at[fs] == "a" else "a"
            self.give(source, fs)
            self.take(target, fs)
            at[fs] = target
            self.check(holders[fs])
            self.end(target, fs)
            summary = loop.stop()
            print(f"    # {fs.name} to {target}: {summary}")
            self.assertEqual(summary["errors"], {})
            self.assertLess(summary["max"], self.LONGEST)
            self.check(holders[other])
            for which, node in at.items():
                self.assertEqual(len(self.cluster.locks(node, which)), LOCKS)
        for holder in holders.values():
            self.assertEqual(holder.stop()["errors"], {})

    def test_moves_40(self):
        self.moves("4.0")

    def test_moves_41(self):
        self.moves("4.1")

    def test_moves_42(self):
        self.moves("4.2")
