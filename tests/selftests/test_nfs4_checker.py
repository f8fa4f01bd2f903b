# SPDX-License-Identifier: GPL-2.0-only
"""The checker of test_checker.py over moves of NFSv4: locks, opens that deny others access, delegations."""

from checker import Checker
from nfs4cases import Nfs4Case
from testbed import S1, until

WEIGHT = 4
FENCE = 60
# Somewhat more than two leases.
RECOVERY = 24


class Checked4(Nfs4Case):
    def log(self, node):
        # Some moves take longer than the fence of the one before.
        return [line for line in super().log(node) if "fence over, time is up" not in line]

    def move(self, source, target):
        self.checker.delegated(source)
        self.expect_released(source, S1, FENCE)
        self.cluster.release(source, S1, FENCE, nfs4=True)
        # A node that promised a fence of its own a moment ago recovers at least for the rest of it.
        self.log_expect(target, r"fsid=1234: recovering for \d+ s",
                        r"fsid=1234: recovery over, time is up: reclaimed=\d+ refused=0 .*")
        self.cluster.takeover(target, S1, RECOVERY)
        self.checker.recall(target)
        until(lambda: not self.recovering(target), 3 * RECOVERY, "the recovery does not end")
        self.checker.progress(1)
        self.assertEqual(self.checker.audit(target), [])

    def recovering(self, node):
        return any(line.get("phase") == "recovering" for line in self.cluster.status(node))

    def test_moves(self):
        """There and back: no lock or open is lost or had twice, and every read finds the last write."""
        self.delegations(False)
        self.floating()
        self.cluster.serve("a", S1)
        for client in "c1", "c2":
            self.cluster.mount(client, S1, vers="4.2")
        self.checker = Checker(self.cluster, ["c1", "c2"], S1, opens={"c1": "4.0", "c2": "4.1"})
        self.checker.progress()
        self.checker.delegate(self.cluster.servers, ["c1", "c2"])
        self.checker.progress()
        self.move("a", "b")
        self.move("b", "a")
        verdict = self.checker.stop()
        print(f"    # {verdict}")
        self.assertEqual(verdict.problems, [], "\n".join(verdict.problems))
        self.assertEqual((verdict.doubles, verdict.lost, verdict.errors), (0, 0, 0))
