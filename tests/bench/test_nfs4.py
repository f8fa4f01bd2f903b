# SPDX-License-Identifier: GPL-2.0-only
"""What nfs4.py makes of what it has measured."""

import unittest

from nfs4_judge import targets, text, verdict
from stalls import beyond, longest, touching, trips, within

# From a dead node to the next: turns of 0.1 s, one of 2 s that spans it, and one of 0.5 s later.
LOG = """\
1.0 101.0 0.1
1.2 101.2 0.1
1.4 101.4 2.0
3.5 103.5 0.1
3.7 103.7 0.5
4.5 104.5 0.1
"""
ROW = {"delegations": "on", "size": "small", "vers": "4.2", "who": "ours", "way": "crash", "of": 10, "files": 10,
       "wanted": 5, "given": 5, "umount": True, "reclaimed": 20, "refused": 0, "waits": 3, "commands": 0.5,
       "writer": 0.2, "trips": [200, 300], "bystander": 0.15, "before": 0.1, "opens": 10, "delegated": 5, "rival": 0, "tried": 10,
       "locks": 10, "errors": {"writer": {}, "holders": {}}, "took": 40.0}
STOCK = {**ROW, "who": "stock", "locks": 0, "rival": 10, "errors": {"writer": {"fsync EIO": 3}}, "writer": None}


class Stalls(unittest.TestCase):
    def test_beyond(self):
        """From the moment at which the address is up, and that of a later one if it is longer."""
        for up, until, expected in ((103.3, 103.6, 0.1), (102.0, 103.6, 1.4), (103.3, 110, 0.5), (104.45, 110, 0.15),
                                    (110, 120, None)):
            with self.subTest(up=up, until=until):
                found = beyond(trips(LOG), up, until)
                self.assertEqual(found and round(found, 3), expected)

    def test_errors(self):
        """What failed did not get through, and what never came back counts for as long as it took."""
        failed = trips(LOG.replace("0.5", "0.5 fsync errno=5"))
        self.assertAlmostEqual(beyond(failed, 103.65, 103.7), 0.95)
        ended = trips(LOG + "5.0 105.0 60.0 unfinished\n")
        self.assertAlmostEqual(longest(touching(ended, 104.9, 106)), 60)
        self.assertIsNone(beyond(trips("5.0 105.0 60.0 unfinished\n"), 105, 106))

    def test_windows(self):
        """Before a move only what was over by then; during it, also what was under way."""
        self.assertEqual(len(within(trips(LOG), 101.1, 103)), 1)
        self.assertAlmostEqual(longest(touching(trips(LOG), 103, 103.55)), 2)
        self.assertEqual(touching(trips(LOG), 103.45, 103.5), [])


class Verdict(unittest.TestCase):
    def test_good(self):
        self.assertEqual(verdict({"moves": [ROW, STOCK], "back": {"4.2": {"wrong": None}},
                                  "idle": {"lock": {"ratio": 1.02}}, "many": {"wrong": []}}), [])

    def test_moves(self):
        for change, said in (
                ({"locks": 9}, "9 of 10 locks"), ({"locks": 11}, "11 of 10 locks"), ({"opens": 9}, "9 of 10 opens"),
                ({"delegated": 4}, "4 of 5 delegated"), ({"given": 4, "delegated": 4}, "only 4"),
                ({"errors": {"rival": {"open EIO": 1}}}, "rival has got errors"), ({"rival": 1}, "the rival got 1"),
                ({"tried": 9}, "tried 9 of 10"), ({"refused": 1}, "1 reclaims"), ({"umount": False}, "unmounted"),
                ({"writer": None}, "nothing could be written"), ({"writer": 0.31}, "stood still for 0.31"),
                ({"bystander": 0.21}, "bystander"), ({"failed": "c1: hangs"}, "c1: hangs")):
            with self.subTest(change):
                (line,) = verdict({"moves": [{**ROW, **change}]})
                self.assertIn(said, line)
                self.assertTrue(line.startswith("ours, crash, NFSv4.2, delegations on, small: "))

    def test_not_targets(self):
        """The writer's wait has one only after a crash, with few locks; stock servers have none at all."""
        for change in ({"way": "planned"}, {"size": "large"}):
            self.assertEqual(verdict({"moves": [{**ROW, **change, "writer": 3.0}]}), [])
        self.assertEqual(verdict({"moves": [{**STOCK, "failed": "hangs"}]}), [])

    def test_others(self):
        for results in ({"back": {"4.0": {"wrong": "9 of 10"}}}, {"idle": {"lock": {"ratio": 1.021}}},
                        {"many": {"wrong": ["999 of 1000"]}}):
            with self.subTest(results):
                self.assertEqual(len(verdict(results)), 1)

    def test_targets(self):
        worse = {**ROW, "writer": 0.4, "bystander": 0.5}
        said = "\n".join(targets([ROW, worse, STOCK, {**ROW, "failed": "hangs"}]))
        self.assertIn("at most: 0.40 s", said)
        self.assertIn("at most: 0.40 s (target 0.1 s)", said)
        self.assertEqual(targets([STOCK]), [])

    def test_text(self):
        """A stock row that failed is nobody's fault, but not kept quiet."""
        said = text({"kernel": "7.2", "moves": [ROW, STOCK, {**STOCK, "failed": "c1: hangs"}]})
        self.assertIn("10 of 10", said)
        self.assertIn("0 of 10", said)
        self.assertIn("not measured: stock, crash, NFSv4.2, delegations on, small: c1: hangs", said)


if __name__ == "__main__":
    unittest.main()
