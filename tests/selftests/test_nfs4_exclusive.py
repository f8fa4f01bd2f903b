# SPDX-License-Identifier: GPL-2.0-only
"""Files that are made and must not have been there (O_EXCL), by NFSv4 clients whose answer is lost in a
move or a crash: on the other node each has its file, and nobody else."""

from nfs4cases import ROUND, PlannedCase
from testbed import S1, until

# Both kernels do the same here, or test_nfs4.py sees it.
ONE_KERNEL = True
WEIGHT = 2
VERSIONS = ("4.0", "4.1", "4.2")
OURS, OTHERS = 0x1234567812345678, 0x1234567812345679
BEGIN = [("OK", {"do": "begin"}), ("OK", {"do": "complete"})]
# Made by a Linux client.
FILE = "linux"


class Exclusive4(PlannedCase):
    def made(self, node):
        """What is there, {file: inode}."""
        found = self.cluster[node].run(f"cd {S1.path} && stat -c '%n %i' {FILE} {' '.join(VERSIONS)}")
        return dict(line.split() for line in found.splitlines())

    def begin(self):
        """All are made on a, and nobody is told."""
        self.forget_raw("c2")
        self.take("a")
        self.end("a")
        # What becomes of these answers does not matter to the server.
        self.own("OK", *BEGIN)
        at = self.cluster.mount("c1", S1, vers="4.2")
        # Else it would ask for the directory before.
        self.cluster["c1"].run(f"touch {at}/warm")
        # From now on c1 gets no answers.
        self.cluster["a"].run(f"ip route add blackhole {self.cluster['c1'].ip}/32")
        self.program = self.cluster.spawn("c1", "exclusive.py", f"{at}/{FILE}")
        until(lambda: not self.cluster["a"].exec(f"test -e {S1.path}/{FILE}").status, ROUND,
              "the server does not make it")
        self.there = self.made("a")
        self.assertEqual(self.program.output(), "")

    @staticmethod
    def asks(answer, file, verifier=OURS):
        return answer, {"do": "create", "file": file, "verifier": verifier}

    def own(self, answer, *before):
        for vers in VERSIONS:
            self.play(vers, "own", *before, self.asks(answer, vers), client="c2")

    def others(self, answer, *before):
        for vers in VERSIONS:
            self.play(vers, "other", *before, self.asks(answer, vers, OTHERS),
                      self.asks(answer, FILE, OTHERS), client="c2")

    def linux(self):
        self.program.expect("made", ROUND)

    def over(self):
        self.assertEqual(self.made("b"), self.there)
        self.assertEqual(self.cluster["b"].run(f"cat {S1.path}/{FILE}"), FILE)

    def test_crash(self):
        """What is asked for anew waits until the recovery is over, and is as if nothing had happened."""
        self.begin()
        self.kill("a")
        self.take("b")
        self.own("GRACE", *BEGIN)
        self.others("GRACE", *BEGIN)
        self.assertEqual(self.program.output(), "")
        self.end("b")
        self.others("EXIST")
        self.own("OK")
        self.linux()
        self.others("EXIST")
        self.over()

    def test_move(self):
        """A list tells that nobody else may want it back: it is there at once, while others recover."""
        self.begin()
        self.give("a")
        # Nobody has to wait for the end of its fence.
        self.kill("a")
        # That of NFSv4.0 does not say when it is through.
        self.assertEqual((self.awaited[S1], self.completes[S1]), (len(VERSIONS) + 1, False))
        self.take("b")
        self.own("OK", *BEGIN)
        self.linux()
        self.others("EXIST", *BEGIN)
        self.assertEqual(self.unit("b")["phase"], "recovering")
        self.over()
        self.end("b")
