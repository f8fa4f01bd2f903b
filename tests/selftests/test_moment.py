# SPDX-License-Identifier: GPL-2.0-only
"""A release at the very moment at which the fence of an earlier one is over."""


from cases import ManifestCase
from testbed import S1

SERVERS = ("a",)
CLIENTS = ("c1",)
ROUNDS = 8


class Moment(ManifestCase):
    def _check_log(self, node):
        # What is said of each round depends on who is first.
        return []

    def rounds(self, *how):
        self.cluster.serve("a", S1)
        self.cluster["a"].run(f"touch {S1.path}/f")
        program = self.cluster.spawn("a", "moment.py", self.cluster["a"].ip, S1.path, "f",
                                     S1.fsid, ROUNDS, *how)
        summary = program.summary(60 + 10 * ROUNDS)
        lines = program.output().splitlines()
        print("\n".join(f"    # {line[:400]}" for line in lines[-12:]))
        self.assertEqual((summary["rounds"], summary["lacking"]), (ROUNDS, 0), program.errors())
        self.assertGreater(summary["seen"], ROUNDS // 2)

    def test_plain(self):
        """What was granted after the first fence is on the manifest of the second."""
        self.rounds()

    def test_realtime(self):
        """The same, if whoever releases has priority."""
        self.rounds("realtime")
