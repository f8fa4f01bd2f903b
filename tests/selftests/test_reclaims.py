# SPDX-License-Identifier: GPL-2.0-only
"""What passes for a reclaim, and what is settled."""

import time

from cases import BLOCKED, GRANTED, WAIT, ManifestCase, lock, unlock
from testbed import S1, S2, until

CLIENTS = ("c1",)
# It is about the module, whatever the kernel.
ONE_KERNEL = True
SHARE = {"do": "share", "fh": "g", "access": 1, "deny": 2, "owner": "me"}


class Reclaims(ManifestCase):
    def moved(self, *held, listed=None):
        """b recovers S1 with a manifest of what is held."""
        self.serve()
        self.files("a", S1, "f", "g")
        self.play("a", *held)
        self.release_only(r"locks=\d blocked=\d shares=\d files=\d", fence=15)
        self.carry(len(held) if listed is None else listed)

    def answers(self, *steps):
        answers = self.cluster.nlm("c1", [{**step, "host": self.cluster["b"].ip} for step in steps],
                                   handles=self.handles)[1]
        print(f"    # {answers} {self.unit('b', S1)}")
        return answers

    def done(self, settled=False):
        if settled:
            self.over("b")
        self.log_expect("b", "fsid=1234: recovery over, ended by hand: .*")
        self.cluster.end_recovery("b", S1)
        self.give_up("a")

    def test_blocking_upgrade(self):
        """Who shares a lock with another does not get it for itself by a reclaim that
        may wait."""
        self.moved((GRANTED, lock("g", 9, 0, 10)))
        answers = self.answers(lock("f", 1, 0, 10, False), lock("f", 2, 0, 10, False),
                               lock("f", 1, 0, 10, reclaim=True, block=True),
                               # A third may share it: nobody has it exclusively.
                               lock("f", 3, 0, 10, False, do="test"))
        self.assertEqual(answers[:2] + answers[3:], [GRANTED] * 3)
        self.assertNotEqual(answers[2], GRANTED)
        self.done()

    def test_impossible_range(self):
        """A range that no lock can have is on no manifest."""
        self.moved((GRANTED, lock("f", 1, 0, 0)))
        answers = self.answers(lock("f", 9, 0xF0000000, 0x20000000, reclaim=True, vers=3),
                               lock("f", 1, 0, 0, reclaim=True))
        self.assertEqual(answers, [WAIT, GRANTED])
        self.done(settled=True)

    def settled_under(self, fs, held, *steps, listed=None):
        """What is given up is settled although something recovers by path, too."""
        self.moved(*held, listed=listed)
        self.log_expect("b", rf"path={fs.path} dev=\d+:\d+ ip={fs.ip}: recovering for 200 s")
        self.cluster.command("b", "resume_ip", f"{fs.ip} {fs.path} 200")
        self.addCleanup(self.cluster["b"].exec, ["python3", "/lab/bin/clean.py", "module"])
        self.answers(*steps)
        self.assertEqual(self.unit("b", S1)["outstanding"], "0")
        self.over("b")
        self.log_expect("b", rf"path={fs.path} .*: recovery over, ended by hand: .*")
        self.cluster.command("b", "resume_ip", f"{fs.ip} {fs.path} 0")
        self.done()

    def test_unlock(self):
        """A lock is given up, the first request for this filesystem."""
        self.settled_under(S2, [(GRANTED, lock("f", 1, 0, 10))], unlock("f", 1, 0, 10))

    def test_unshare(self):
        """A share is."""
        self.settled_under(S2, [(GRANTED, SHARE)], {**SHARE, "do": "unshare"})

    def test_cancel(self):
        """A lock is, by cancelling the request that it was unawares granted for."""
        self.settled_under(
            S2, [(GRANTED, lock("f", 1, 0, 10)), (BLOCKED, lock("f", 2, 0, 10, block=True)),
                 (GRANTED, unlock("f", 1, 0, 10)), (GRANTED, lock("g", 3, 0, 1)),
                 (GRANTED, unlock("g", 3, 0, 1))],
            {**lock("f", 2, 0, 10), "do": "cancel"}, listed=1)

    def test_same_filesystem(self):
        """A lock is, while the filesystem itself also recovers by its path."""
        self.settled_under(S1, [(GRANTED, lock("f", 1, 0, 10))], unlock("f", 1, 0, 10))

    def test_free_all(self):
        """All of a client's locks and shares are, at once: its own only, and only of that host."""
        other = {"caller": "another", "vers": 3}
        self.moved((GRANTED, lock("f", 1, 0, 10)), (GRANTED, lock("f", 2, 20, 10, False)),
                   (GRANTED, SHARE), (GRANTED, lock("f", 9, 40, 10, **other)))
        # b knows who it is, by another address of the server, from its first reclaim on.
        answers = self.answers(lock("f", 1, 0, 10, reclaim=True), {"do": "free_all"})
        self.assertEqual(answers[0], GRANTED)
        until(lambda: self.unit("b", S1)["outstanding"] == "1", 30, "nothing is settled")
        answers = self.answers(lock("f", 8, 0, 30), lock("f", 8, 40, 1))
        self.assertEqual(answers, [GRANTED, WAIT])
        self.done()

    def test_stronger_share(self):
        """A share is on the list with the modes it had, and not with more."""
        self.moved((GRANTED, SHARE))
        answers = self.answers({**SHARE, "deny": 3, "reclaim": True},
                               {**SHARE, "access": 3, "reclaim": True}, {**SHARE, "reclaim": True})
        self.assertEqual(answers, [WAIT, WAIT, GRANTED])
        self.done(settled=True)

    def test_prolonged(self):
        """A recovery goes on while somebody reclaims, and lasts twice its time at most."""
        self.serve()
        self.files("a", S1, "f")
        seconds, began = 20, time.monotonic()
        self.recover("a", seconds=seconds)
        again = {**lock("f", 1, 0, 10, reclaim=True), "host": self.cluster["a"].ip}
        seen = set()
        while unit := self.unit("a", S1):
            took = time.monotonic() - began
            self.assertLessEqual(int(unit["left"]), max(seconds - took, 10) + 5)
            self.assertLess(took, 2 * seconds + 5)
            new = {**again, "svid": 2, "start": 20, "reclaim": False}
            answers = self.cluster.nlm("c1", [again, new], handles=self.handles)[1]
            if self.unit("a", S1):
                seen.add(tuple(answers))
        # While the unit was there, nothing new was granted and every reclaim was.
        self.assertEqual(seen, {(GRANTED, WAIT)})
        self.assertGreater(time.monotonic() - began, 2 * seconds - 1)
        self.play("a", (GRANTED, lock("f", 2, 20, 10)))
        self.log_expect("a", r"fsid=1234: recovery over, time is up: reclaimed=\d+ refused=\d+ .*")
