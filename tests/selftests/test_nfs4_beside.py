# SPDX-License-Identifier: GPL-2.0-only
"""NFSv3 and NFSv4 clients on one filesystem that moves: what both had is known, and only conflicts wait."""

import re

from nfs4cases import FENCE, LOCKS, ROUND, PlannedCase
from testbed import S1, until

WEIGHT = 2
CLIENTS = ("c1", "c2", "c3")
# A lock that nobody holds up. Others take until the recovery ends.
SOON = 20


class Beside(PlannedCase):
    def give(self, node):
        self.log_expect(node, rf"fsid=1234: released for {FENCE} s, dropped locks={LOCKS} .*",
                        rf"ip={re.escape(S1.ip)}: no floating address any more")
        said = self.cluster.ctl(node, "release", "s1", "--address", "--unexport", "--umount").text
        found = re.search(r"takeover waits (its time )?for 1 of them, and others only for what they "
                          rf"had, on {LOCKS} files( with {LOCKS} locks)?; of NLM clients locks={LOCKS} ",
                          said)
        self.assertTrue(found, said)
        self.awaited[S1] = 1

    def take_both(self, node, words=()):
        self.take(node, listed=[f"fsid=1234: manifest of {LOCKS} locks and shares"], words=words)

    def begin(self, vers):
        """Two who hold locks, one by NFSv3, and one who comes new, of each."""
        self.delegations(False)
        self.take("a")
        self.end("a")
        holders = self.holder("c1", vers), self.holder("c2", "3")
        self.cluster.mount("c3", S1, vers=vers)
        self.cluster.mount("c3", S1, vers="3", at="/mnt/v3")
        self.give("a")
        return holders

    def in_touch(self, client, there):
        """Whether a client that is up reaches the server."""
        verb = "del" if there else "replace"
        self.cluster[client].exec(f"ip route {verb} unreachable {S1.ip}/32")

    def goes_on(self, client, at, file):
        took = self.cluster.python(client, "locks.py", "first", f"{at}/{file}", timeout=ROUND)
        self.assertLess(float(took), SOON, f"{client} {at}/{file}")

    def waits(self, holder):
        """Rivals for the locks of a holder, by both versions, which get nothing."""
        rivals = [self.cluster.spawn("c3", "locks.py", "rival", at, LOCKS, "--prefix", holder,
                                     "--interval", "0.2") for at in ("/mnt/s1", "/mnt/v3")]
        for _ in rivals:
            before = int(self.unit("b")["waits"])
            until(lambda: int(self.unit("b")["waits"]) > before + 3, ROUND, "nobody waits")
        for rival in rivals:
            self.assertNotIn("round", rival.output())
        return rivals

    def got_nothing(self, rivals):
        for rival in rivals:
            self.rounds(rival, 2)
            summary = rival.stop()
            self.assertEqual((summary["grants"], summary["errors"]), (0, {}), rival.output())

    def out_of_touch(self, missing, there, left):
        """One of the two is out of touch while the filesystem moves."""
        self.in_touch(missing, False)
        self.addCleanup(self.in_touch, missing, True)
        # Whoever is told and does not answer is waited for.
        self.take_both("b", words=("--no-notify",))
        if missing == "c1":
            self.cluster.ctl("b", "notify", "--ip", S1.ip)
        self.check(there)
        until(lambda: (self.unit("b")["outstanding"], self.unit("b")["nfs4_outstanding"]) == left,
              ROUND, f"not {left} is outstanding: {self.unit('b')}")
        # A new lock of NFSv3 waits for all that NFSv4 clients may want back.
        self.goes_on("c3", "/mnt/s1", "new")
        if missing == "c2":
            self.goes_on("c3", "/mnt/v3", "newer")
        rivals = self.waits(missing)
        self.assertEqual(self.unit("b")["phase"], "recovering")
        self.in_touch(missing, True)
        return rivals

    def recovered(self, *holders):
        self.log_expect("b", r"fsid=1234: recovery over, nothing is outstanding: reclaimed=\d+ refused=0 "
                        rf"waits=\d+ manifest={LOCKS} outstanding=0")
        until(lambda: self.unit("b")["phase"] == "recovered", ROUND, "the recovery does not end")
        for holder in holders:
            self.check(holder)

    def test_nfs4_is_missing(self):
        """A client of NFSv4 is out of touch: of NFSv4 only who wants its files waits."""
        holders = self.begin("4.2")
        rivals = self.out_of_touch("c1", holders[1], ("0", "1"))
        self.recovered(*holders)
        self.got_nothing(rivals)
        self.over(holders)

    def test_nfs3_is_missing(self):
        """A client of NFSv3 is: only who wants its files waits, whatever he uses."""
        holders = self.begin("4.1")
        rivals = self.out_of_touch("c2", holders[0], (str(LOCKS), "0"))
        self.cluster.ctl("b", "notify", "--ip", S1.ip)
        self.recovered(*holders)
        self.got_nothing(rivals)
        self.over(holders)

    def over(self, holders):
        self.end("b")
        for holder in holders:
            self.assertEqual(holder.stop()["errors"], {})

    def test_no_delegation(self):
        """None is given while a client of NFSv3 may want a lock back: the server is not asked for what is
        done under one."""
        holders = self.begin("4.2")
        self.in_touch("c2", False)
        self.addCleanup(self.in_touch, "c2", True)
        self.delegate_again("b")
        self.take_both("b", words=("--no-notify",))
        self.check(holders[0])
        until(lambda: self.unit("b")["nfs4_outstanding"] == "0", ROUND, "it does not reclaim")
        self.goes_on("c3", "/mnt/s1", "new")
        states = "cat /proc/fs/nfsd/clients/*/states"
        self.assertNotIn("type: deleg", self.cluster["b"].run(states))
        self.in_touch("c2", True)
        self.cluster.ctl("b", "notify", "--ip", S1.ip)
        self.recovered(*holders)
        # Now there are, so it was not for another reason.
        opener = self.cluster.spawn("c3", "locks.py", "hold", "/mnt/s1", 1, "--prefix", "later")
        opener.expect("held 1", ROUND)
        self.assertIn("type: deleg", self.cluster["b"].run(states))
        self.assertEqual(opener.stop()["errors"], {})
        self.over(holders)

    def test_again(self):
        """It goes again before all is back: of those who are missing no list tells then."""
        holders = self.begin("4.0")
        self.in_touch("c1", False)
        self.addCleanup(self.in_touch, "c1", True)
        self.take_both("b")
        self.check(holders[1])
        self.log_expect("b", rf"fsid=1234: released for {FENCE} s, dropped locks={LOCKS} .*",
                        rf"ip={re.escape(S1.ip)}: no floating address any more")
        said = self.cluster.ctl("b", "release", "s1", "--address", "--unexport", "--umount").text
        self.assertIn("manifest=none", said)
        self.assertNotIn("nfs4=", said)
        self.awaited[S1] = None
        self.take("a")
        self.in_touch("c1", True)
        for holder in holders:
            self.check(holder)
        self.end_late("a")
        for holder in holders:
            self.assertEqual(holder.stop()["errors"], {})
