# SPDX-License-Identifier: GPL-2.0-only
"""What the checker makes of histories."""

import unittest
from collections import Counter
from types import SimpleNamespace

from applications import Clocks, Measured
from checker import Checker, Verdict
from lockhistory import Record, double_holders, excludes, wrongly_denied
from opens import delegations, opens
from writehistory import wrong_reads

BOUND = 0.1


def records(*lines):
    return [Record.parse(line, 0) for line in lines]


class Opens(unittest.TestCase):
    def test_excludes(self):
        for kind, other, expected in (
                ("read/none", "write/none", False), ("read/write", "write/none", True),
                ("write/none", "read/write", True), ("read/write", "read/write", False),
                ("both/none", "read/read", True), ("read/read", "write/none", False),
                ("write/write", "write/write", True), ("W", "R", True), ("R", "R", False)):
            with self.subTest(kind=kind, other=other):
                self.assertEqual(excludes(kind, other), expected)

    def test_double(self):
        """Held from the answer to the close, over reclaims, but not longer than it was lost."""
        ours = records("1 2 x open granted f 0 0 read/write 1", "5 6 x reclaim granted f 0 0 read/write 1",
                       "9 9.1 x close done f 0 0 read/write 1")
        for line, found in (("3 4 y open granted f 0 0 write/none 1", 1),
                            ("7 8 y open granted f 0 0 write/none 1", 1),
                            ("3 4 y open granted f 0 0 read/none 1", 0),
                            ("3 4 y open denied f 0 0 write/none 1", 0),
                            ("3 4 y open granted g 0 0 write/none 1", 0),
                            ("9 9.2 y open granted f 0 0 write/none 1", 0)):
            end = records(f"20 20.1 y close done {line.split()[5]} 0 0 {line.split()[8]} 1")
            with self.subTest(line):
                self.assertEqual(len(double_holders(ours + records(line) + end, BOUND)), found)
        lost = records("1 2 x open granted f 0 0 read/write 1", "5 6 x reclaim lost f 0 0 read/write 1",
                       "7 8 y open granted f 0 0 write/none 1", "9 9.1 y close done f 0 0 write/none 1")
        self.assertEqual(double_holders(lost, BOUND), [])

    def test_wrongly_denied(self):
        denied = records("5 5.1 y open denied f 0 0 write/none 1")
        for lines, wrong in (
                ([], 1),
                (["1 2 x open granted f 0 0 read/write 1"], 0),
                (["1 2 x open granted f 0 0 read/none 1"], 1),
                (["1 2 x open granted g 0 0 read/write 1"], 1),
                (["1 2 x open granted f 0 0 read/write 1", "3 4 x close done f 0 0 read/write 1"], 1),
                (["1 2 x open granted f 0 0 read/write 1", "3 5.05 x close done f 0 0 read/write 1"], 0),
                (["1 2 x open granted f 0 0 read/write 1", "3 4 x reclaim granted f 0 0 read/write 1"], 0),
                (["1 2 x open granted f 0 0 read/write 1", "3 4 x reclaim lost f 0 0 read/write 1"], 1),
                # Only asked for meanwhile, and granted later.
                (["5 7 x open granted f 0 0 read/write 1"], 0),
                (["5.3 7 x open granted f 0 0 read/write 1"], 1),
                # The answer to the first of two requests may have been lost.
                (["4 6 x open denied f 0 0 read/write 2"], 0),
                (["4 6 x open denied f 0 0 read/write 1"], 1)):
            with self.subTest(lines):
                found = wrongly_denied(records(*lines) + denied, BOUND)
                self.assertEqual([record.who for record in found].count("y"), wrong)

    def test_states(self):
        """Names are found by inode: what was reclaimed has none on its server."""
        text = """\
- 0x0000000174f1a3b25a6b7c8d: { type: open, access: r-, deny: -w, superblock: "fe:10:13", \
filename: "/", owner: "c1.v40.0" }
- 0x01: { type: open, access: rw, deny: --, superblock: "fe:10:12", filename: "/hammer0", owner: "open id:x" }
- 0x02: { type: open, access: rw, deny: --, closed, owner: "c1.v40.1" }
- 0x03: { type: deleg, access: w, superblock: "fe:10:14", filename: "delegated/d7" }
- 0x04: { type: deleg, access: ra, superblock: "fe:10:15", filename: "/" }
- 0x05: { type: deleg, access: w, superblock: "fe:10:16", filename: "/other" }
"""
        names = {"13": "deny1", "14": "d7", "15": "d8"}
        self.assertEqual(opens(text, names), {"deny1 read/write c1.v40.0": 1})
        self.assertEqual(delegations(text, names), [("w", "d7"), ("r", "d8")])


class Drifting(Clocks):
    """One that goes wrong by a tenth, measured each ten seconds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        super().__init__(None, ["c1", "c2", "c3"])

    def _measure(self, client):
        at = 10 * len(self.measured[client])
        return Measured(at, at / 10 if client == "c1" else 0, self.errors[len(self.measured[client])])


class Drift(unittest.TestCase):
    def test_ahead(self):
        clocks = Drifting(0.01, 0.01, 0.01)
        clocks.measure(["c1"])
        clocks.measure(["c1"])
        for at, ahead in (-5, 0), (0, 0), (5, 0.5), (10, 1), (17, 1.7), (20, 2), (25, 2):
            with self.subTest(at):
                self.assertAlmostEqual(clocks.ahead("c1", at), ahead)
        self.assertEqual(clocks.ahead("c2", 17), 0)

    def test_bound(self):
        """The worst of the whole time, of the two clients of which it is worst."""
        clocks = Drifting(0.01, 0.04, 0.02, 0.02)
        self.assertAlmostEqual(clocks.bound, 0.02)
        for _ in range(3):
            clocks.measure(["c1", "c2"])
        self.assertAlmostEqual(clocks.bound, 1.04 + 0.04)


class Floors(unittest.TestCase):
    """How little may have been tried in a run that says that nothing was wrong."""

    def problems(self, audits=10, rounds=10, without=3, contested=10, inside=3):
        checker = Checker.__new__(Checker)
        checker.reads, checker.audits, checker.clocks = [], audits, SimpleNamespace(bound=BOUND)
        checker.delegations = SimpleNamespace(seen=Counter(), returned=lambda: 1, recalled=1, rounds=rounds,
                                              without=without)
        checker.kept = SimpleNamespace(contested=contested, were_inside=inside, skipped=0)
        verdict = Verdict()
        checker._delegations(verdict)
        return verdict.problems

    def test_delegations(self):
        self.assertEqual(self.problems(), [])
        for change, said in ({"without": 4}, "too many recoveries"), ({"contested": 9}, "only 9 files"), \
                ({"inside": 2}, "too few"), ({"contested": 0, "inside": 0, "audits": 0}, "too few"):
            with self.subTest(change):
                (problem,) = self.problems(**change)
                self.assertIn(said, problem)
    def test_clocks(self):
        checker, verdict = Checker.__new__(Checker), Verdict()
        for bound, problems in (0.25, 0), (0.26, 1):
            checker.clocks = SimpleNamespace(bound=bound)
            checker._clocks(verdict)
            self.assertEqual(len(verdict.problems), problems)
        self.assertIn("clocks agree within 260 ms", str(verdict))

    def test_short(self):
        self.assertEqual(self.problems(audits=2, rounds=2, without=1, contested=2, inside=1), [])


class Writes(unittest.TestCase):
    def test_reads(self):
        writes = records("1 2 x write done f 0 1 W 11", "3 4 x write done f 0 1 W 12",
                         "5 6 x write EIO f 0 1 W 13", "7 8 x write done f 0 1 W 14")
        for line, wrong in (("4.5 4.6 y read done f 0 0 R 12", 0), ("4.5 4.6 y read done f 0 0 R 11", 1),
                            ("4.5 4.6 y read done f 1 1 R 11", 1), ("4.5 4.6 y read done f 0 0 R -", 1),
                            ("3.5 3.6 y read done f 0 0 R 11", 0), ("3.5 3.6 y read done f 0 0 R 12", 0),
                            ("4.05 4.06 y read done f 0 0 R 11", 0),
                            ("4.5 4.6 y read done f 0 0 R 14", 1), ("0 0.5 y read done f 0 0 R -", 0),
                            ("7.5 7.6 y read done f 0 0 R 12", 0), ("9 9.1 y read done f 0 0 R 12", 1),
                            ("9 9.1 y read done g 0 0 R 12", 1),
                            ("6.5 6.6 y read done f 0 0 R 12", 0), ("6.5 6.6 y read done f 0 0 R 13", 0),
                            ("9 9.1 y read EIO f 0 0 R -", 0)):
            with self.subTest(line):
                self.assertEqual(len(wrong_reads(writes + records(line), BOUND)), wrong)


if __name__ == "__main__":
    unittest.main()
