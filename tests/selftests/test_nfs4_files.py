# SPDX-License-Identifier: GPL-2.0-only
"""What applications do with files of an NFSv4 server besides locking them, while it is another one."""

from nfs4cases import ROUND, PlannedCase
from testbed import until
from testbed import S1

# Both kernels do the same here, or test_nfs4.py sees it.
ONE_KERNEL = True
WEIGHT = 2
FILES = 4


class Files4(PlannedCase):
    def apps(self, vers):
        self.cluster.mount("c1", S1, vers=vers)
        self.writer = self.cluster.spawn("c1", "files.py", "write", "/mnt/s1", FILES)
        self.keeper = self.cluster.spawn("c1", "files.py", "keep", "/mnt/s1")
        self.keeper.expect("kept", ROUND)
        self.rounds(self.writer, 2)

    def moved(self, node):
        """The writer gets on at once, and all that was open can be used."""
        self.take(node)
        self.rounds(self.writer, 2)
        self.keeper.signal("USR1")
        # It also opens files anew, which waits until nobody reclaims any more.
        self.end(node)
        self.assertEqual(self.keeper.expect("checked", ROUND), "checked errors 0",
                         self.keeper.errors())
        self.rounds(self.writer, 2)

    def same(self, node):
        """All that was written is there, and nothing else."""
        written = self.writer.stop(ROUND)
        self.assertEqual((written["errors"], self.keeper.stop()["errors"]), ({}, {}),
                         self.writer.errors() + self.keeper.errors())
        self.assertGreater(written["bytes"], 0)
        found = self.cluster[node].run("cd /srv/s1 && sha256sum write*")
        self.assertEqual({f"/mnt/s1/{line.split()[1]}": line.split()[0] for line in found.splitlines()},
                         written["sums"])
        # The file that was removed while it was open; the client does not wait for that.
        until(lambda: not self.cluster[node].run("ls -A /srv/s1 | grep nfs0 || true"), ROUND,
              "it is still there")

    def crash(self, vers):
        self.take("a")
        self.end("a")
        self.apps(vers)
        self.kill("a")
        self.moved("b")
        self.same("b")

    def moves(self, vers):
        self.take("a")
        self.end("a")
        self.apps(vers)
        for source, target in (("a", "b"), ("b", "a")):
            self.give(source)
            self.moved(target)
        self.same("a")

    def test_crash_40(self):
        self.crash("4.0")

    def test_crash_42(self):
        self.crash("4.2")

    def test_moves_41(self):
        self.moves("4.1")

    def test_moves_42(self):
        self.moves("4.2")
