# SPDX-License-Identifier: GPL-2.0-only
"""NFSv4 opens that deny others access: who has one has it again, and who is denied stays denied."""

from nfs4cases import ROUND, PlannedCase
from testbed import S1

# Both kernels do the same here, or test_nfs4.py sees it.
ONE_KERNEL = True
WEIGHT = 2


# Clients that have closed a file whose open nfsd has not forgotten yet.
CLOSED = "cat /proc/fs/nfsd/clients/*/states | grep -c ' closed, '"


class Deny4(PlannedCase):
    BY_NAME_ONLY = ("test_moves_41",)

    def served(self, vers):
        """a serves a file that one client has open for reading, and nobody else may write."""
        self.take("a")
        self.end("a")
        self.cluster["a"].run(f"touch {S1.path}/f && sync")
        holder = self.cluster.spawn("c1", "nfs4.py", "hold", S1.ip, S1.path, "f", "read", "write",
                                    "--version", vers)
        holder.expect("held", ROUND)
        self.denied()
        return holder

    def attempt(self, access, deny="none"):
        return self.cluster.python("c2", "nfs4.py", "try", S1.ip, S1.path, "f", access, deny).strip()

    def denied(self):
        self.assertEqual(self.attempt("write"), "SHARE_DENIED")
        self.assertEqual(self.attempt("read", "read"), "SHARE_DENIED")
        self.assertEqual(self.attempt("read"), "OK")

    def back(self, node, holder):
        """It is open again on a node; nobody else opened it before the recovery was over."""
        holder.expect("reclaimed", ROUND)
        # With that it may be over.
        if not self.completes.get(S1):
            self.assertIn(self.attempt("write"), ("GRACE", "DELAY"))
        self.end(node)
        self.denied()

    def closed(self, holder, reclaimed):
        self.assertEqual(holder.stop(), {"reclaimed": reclaimed, "lost": None})
        self.assertEqual(self.attempt("write"), "OK")

    def crash(self, vers):
        holder = self.served(vers)
        self.kill("a")
        self.take("b")
        self.back("b", holder)
        self.closed(holder, 1)

    def moves(self, vers):
        holder = self.served(vers)
        for source, target in ("a", "b"), ("b", "a"):
            # Of those who have been denied, which nfsd keeps for a lease, and the export with it.
            self.assertNotEqual(self.cluster[source].exec(CLOSED).text.strip(), "0")
            self.give(source)
            self.assertEqual(self.cluster[source].exec(CLOSED).text.strip(), "0")
            self.take(target)
            self.back(target, holder)
        self.closed(holder, 2)

    def test_crash(self):
        self.crash("4.0")

    def test_crash_41(self):
        self.crash("4.1")

    def test_moves(self):
        self.moves("4.0")

    def test_moves_41(self):
        self.moves("4.1")
