# SPDX-License-Identifier: GPL-2.0-only
"""NFSv4 opens that deny others access: who has one has it again, and who is denied stays denied."""

from nfs4cases import ROUND, VERSIONS, PlannedCase
from testbed import S1

# Both kernels do the same here, or test_nfs4.py sees it.
ONE_KERNEL = True
WEIGHT = 2
# Clients that have closed a file whose open nfsd has not forgotten yet.
CLOSED = "cat /proc/fs/nfsd/clients/*/states | grep -c ' closed, '"


class Deny4(PlannedCase):
    def begin(self):
        """a serves files, each of which a client of one version has open for reading, and nobody else may
        write; they have its name."""
        self.take("a")
        self.end("a")
        self.cluster["a"].run(f"cd {S1.path} && touch {' '.join(VERSIONS)} && sync")
        self.held = [self.cluster.spawn("c1", "nfs4.py", "hold", S1.ip, S1.path, vers, "read", "write",
                                        "--version", vers) for vers in VERSIONS]
        self.expect_all("held")
        self.denied()

    def expect_all(self, word):
        for holder in self.held:
            holder.expect(word, ROUND)

    def attempts(self, access, deny="none"):
        """What becomes of such opens, {file: status}."""
        return {file: self.cluster.python("c2", "nfs4.py", "try", S1.ip, S1.path, file, access, deny).strip()
                for file in VERSIONS}

    def all_are(self, status, *attempt):
        self.assertEqual(self.attempts(*attempt), dict.fromkeys(VERSIONS, status))

    def denied(self):
        self.all_are("SHARE_DENIED", "write")
        self.all_are("SHARE_DENIED", "read", "read")
        self.all_are("OK", "read")

    def back(self, node):
        """They are open again on a node; nobody else opened them before the recovery was over."""
        self.expect_all("reclaimed")
        for file, status in self.attempts("write").items():
            # If it is known that its holder has completed its reclaims, nobody waits any more.
            listed = self.awaited.get(S1) and file != "4.0"
            self.assertIn(status, ("GRACE", "DELAY", *(["SHARE_DENIED"] if listed else [])), file)
        self.end(node)
        self.denied()

    def closed(self, reclaimed):
        for holder in self.held:
            self.assertEqual(holder.stop(), {"reclaimed": reclaimed, "lost": None})
        self.all_are("OK", "write")

    def test_crash(self):
        self.begin()
        self.kill("a")
        self.take("b")
        self.back("b")
        self.closed(1)

    def test_moves(self):
        self.begin()
        for source, target in ("a", "b"), ("b", "a"):
            # Of those who have been denied, which nfsd keeps for a lease, and the export with it.
            self.assertNotEqual(self.cluster[source].exec(CLOSED).text.strip(), "0")
            self.give(source)
            self.assertEqual(self.cluster[source].exec(CLOSED).text.strip(), "0")
            self.take(target)
            self.back(target)
        self.closed(2)
