# SPDX-License-Identifier: GPL-2.0-only
"""What applications do with files of an NFSv4 server besides locking them, while it is another one.

On one client, by each version of NFSv4."""

from nfs4cases import ROUND, PlannedCase
from testbed import until

# Both kernels do the same here, or test_nfs4.py sees it.
ONE_KERNEL = True
WEIGHT = 2
FILES = 3


class Files4(PlannedCase):
    def begin(self):
        self.take("a")
        self.end("a")
        programs = [(self.cluster.spawn("c1", "files.py", "write", at, FILES, "--prefix", f"write-{vers}-"),
                     self.cluster.spawn("c1", "files.py", "keep", at, "--prefix", f"keep-{vers}"))
                    for vers, at in self.mounts("c1").items()]
        self.writers, self.keepers = zip(*programs)
        for keeper in self.keepers:
            keeper.expect("kept", ROUND)
        self.go_on()

    def go_on(self):
        for writer in self.writers:
            self.rounds(writer, 2)

    def moved(self, node):
        """The writers get on at once, and all that was open can be used."""
        self.take(node)
        self.go_on()
        for keeper in self.keepers:
            keeper.signal("USR1")
        # They also open files anew, which waits until nobody reclaims any more.
        self.end(node)
        for keeper in self.keepers:
            self.assertEqual(keeper.expect("checked", ROUND), "checked errors 0", keeper.errors())
        self.go_on()

    def same(self, node):
        """All that was written is there, and nothing else."""
        sums = {}
        for program in *self.keepers, *self.writers:
            said = program.stop(ROUND)
            self.assertEqual(said["errors"], {}, program.errors())
            self.assertGreater(said.get("bytes", 1), 0)
            sums.update((path.rpartition("/")[2], total) for path, total in said.get("sums", {}).items())
        found = self.cluster[node].run("cd /srv/s1 && sha256sum write*")
        self.assertEqual({line.split()[1]: line.split()[0] for line in found.splitlines()}, sums)
        # The files that were removed while they were open; the client does not wait for that.
        until(lambda: not self.cluster[node].run("ls -A /srv/s1 | grep nfs0 || true"), ROUND,
              "they are still there")

    def test_crash(self):
        self.begin()
        self.kill("a")
        self.moved("b")
        self.same("b")

    def test_moves(self):
        self.begin()
        for source, target in (("a", "b"), ("b", "a")):
            self.give(source)
            self.moved(target)
        self.same("a")
