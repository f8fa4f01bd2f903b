# SPDX-License-Identifier: GPL-2.0-only
"""A recovery that knows what was held: only what conflicts waits, and the last lock ends it."""

import re

from cases import BLOCKED, DENIED, FENCE, GRANTED, RECOVERY, WAIT, ManifestCase, lock, unlock
from testbed import S1, until

END = 2 ** 63 - 1


class Manifest(ManifestCase):
    def test_move(self):
        """A move with a manifest ends by itself; whoever conflicts with nothing does not wait."""
        self.serve()
        for client in "c1", "c2":
            self.cluster.mount(client, S1)
        holder, rival = self.hold("c1", "/mnt/s1"), self.rival("c2", "/mnt/s1")
        waiter = self.cluster.spawn("c2", "locks.py", "wait", "/mnt/s1/lock0")
        waiter.expect("waiting")
        until(lambda: "blocked" in [how for _, how in self.cluster.locks("a", S1)], 60,
              "no lock request waits")
        self.expect_released("a", S1, FENCE, locks=10, blocked=1)
        self.cluster.release("a", S1, FENCE, manifest=True)
        self.expect_recovering("b", S1, RECOVERY)
        self.taken("b", 10)
        self.cluster.takeover("b", S1, RECOVERY)
        self.over("b", "reclaimed=10 refused=0 waits=[0-9]+")
        self.assertEqual(self.unit("b", S1)["outstanding"], "0")
        first = self.cluster.spawn("c1", "locks.py", "first", "/mnt/s1/new", "--timeout", "20")
        self.assertEqual(first.wait(), 0, first.output())
        self.rounds(rival, 2)
        self.got_nothing(rival)
        self.assertEqual(waiter.output(), "waiting")
        self.got_all_back(holder)
        waiter.expect("granted", 40)
        self.give_up("a")

    def test_text(self):
        """What is held is listed exactly: by whom, of which file, from where to where."""
        self.serve()
        self.files("a", S1, "f", "g")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)), (GRANTED, lock("f", 1, 10, 10)),
                  (GRANTED, lock("f", 1, 5, 10, False)), (GRANTED, lock("f", 2, 40, 0, False)),
                  (BLOCKED, lock("f", 3, 45, 1, block=True)),
                  (GRANTED, {"do": "share", "fh": "g", "access": 1, "deny": 2, "owner": "me"}))
        server, client = self.cluster["a"].ip, self.cluster["c1"].ip
        who = {name: f"fsid=1234 fh={self.handles[name]} client={client} name=c1 server={server}"
               for name in "fg"}
        locks = [f"lock {who['f']} svid=1 type=write start=0 end=4",
                 f"lock {who['f']} svid=1 type=read start=5 end=14",
                 f"lock {who['f']} svid=1 type=write start=15 end=19",
                 f"lock {who['f']} svid=2 type=read start=40 end={END}"]
        held = self.cluster["a"].run("cat /proc/fs/nfsd/lock_manifest").splitlines()
        self.assertRegex(held[1], r"^unit all phase=held taken=\d+\.\d{9}$")
        self.assertEqual(sorted(held[2:-1]), sorted(locks))
        self.assertEqual(held[-1], "end locks=4 blocked=0 shares=0")
        self.release_only("locks=4 blocked=1 shares=1 files=2")
        lines = self.manifest("a").splitlines()
        self.assertEqual(lines[0], "nfs-failover-manifest 1")
        self.assertRegex(lines[1], rf"^unit fsid=1234 phase=released taken=\d+\.\d{{9}} "
                         rf"valid=({FENCE - 1}|{FENCE})$")
        self.assertEqual(lines[2:], locks + [
            f"blocked {who['f']} svid=3 type=write start=45 end=45",
            f"share {who['g']} owner={b'me'.hex()} access=1 mode=2",
            "end locks=4 blocked=1 shares=1"])
        # Reading in small pieces, and all of it: the unit, and what is held now.
        text = self.cluster["a"].run("dd if=/proc/fs/nfsd/lock_manifest bs=7 status=none")
        self.assertEqual(text.splitlines()[2:len(lines)], lines[2:])
        self.assertEqual(text.splitlines()[-1], "end locks=0 blocked=0 shares=0")
        # What is given up here is not taken along.
        self.play("a", (GRANTED, unlock("f", 1, 7, 20)),
                  (GRANTED, {"do": "unshare", "fh": "g", "owner": "me", "deny": 2}))
        lines = self.manifest("a").splitlines()
        self.assertEqual(lines[2:4], [locks[0], f"lock {who['f']} svid=1 type=read start=5 end=6"])
        self.assertEqual(lines[-1], "end locks=3 blocked=1 shares=0")
        self.give_up("a")

    def test_verdicts(self):
        """Reclaims are checked against the list, new requests against what is outstanding."""
        self.serve()
        self.files("a", S1, "f", "g", "h")
        # From here on it is b that answers for the address.
        self.cluster["b"].run(f"ip addr add {S1.ip}/32 dev lo")
        self.addCleanup(self.cluster["b"].exec, f"ip addr del {S1.ip}/32 dev lo")
        self.play("a", (GRANTED, lock("f", 1, 0, 100)), (GRANTED, lock("g", 1, 0, 10, False)),
                  (GRANTED, lock("g", 2, 5, 10, False)),
                  (GRANTED, {"do": "share", "fh": "h", "access": 1, "deny": 2, "owner": "me"}))
        self.release_only("locks=3 blocked=0 shares=1 files=3")
        self.carry(4)
        back = {"reclaim": True}
        share = {"do": "share", "fh": "h", "access": 1, "deny": 2}
        self.play(
            "b",
            # Not on the list: another process, file, range, type.
            (WAIT, lock("f", 2, 0, 10, **back)), (WAIT, lock("h", 1, 0, 10, **back)),
            (WAIT, lock("f", 1, 50, 51, **back)), (WAIT, lock("f", 1, 0, 0, **back)),
            (WAIT, lock("g", 1, 0, 10, **back)), (WAIT, {**share, "owner": "you", **back}),
            # Conflicts with what is outstanding, or does not.
            (WAIT, lock("f", 2, 99, 1)), (GRANTED, lock("f", 2, 100, 10)),
            # Who was granted that before it was told to reclaim reclaims it like all it has.
            (GRANTED, lock("f", 2, 100, 10, **back)), (WAIT, lock("f", 2, 100, 11, **back)),
            (WAIT, lock("f", 2, 0, 1, False, "test")),
            (GRANTED, lock("f", 2, 100, 1, False, "test")),
            (GRANTED, lock("g", 3, 0, 20, False)), (WAIT, lock("g", 3, 14, 1)),
            (GRANTED, lock("g", 3, 15, 1)), (WAIT, {**share, "owner": "you", "access": 2}),
            # It made that shared and may not know yet; but others may want to share it, too.
            (GRANTED, lock("g", 3, 15, 1, False)), (GRANTED, lock("g", 3, 15, 1, **back)),
            (WAIT, lock("g", 3, 14, 2, **back)),
            (GRANTED, {**share, "owner": "they"}),
            (GRANTED, {**share, "fh": "f", "owner": "you"}),
            # Parts pass, and weaker ones. What is back is lockd's business.
            (GRANTED, lock("f", 1, 0, 10, **back)), (DENIED, lock("f", 2, 0, 10)),
            (GRANTED, lock("f", 1, 50, 10, False, **back)), (GRANTED, lock("f", 2, 50, 10, False)),
            (WAIT, lock("f", 2, 10, 1)), (WAIT, lock("f", 2, 60, 1)),
            # Given up, never to be asked for.
            (GRANTED, unlock("f", 1, 60, 40)), (GRANTED, lock("f", 2, 60, 40)),
            (WAIT, lock("f", 2, 49, 1)), (GRANTED, lock("f", 1, 10, 40, **back)),
            (GRANTED, {**share, "owner": "me", **back}),
            (DENIED, {**share, "owner": "you", "access": 2}),
            # In one piece with what was next to it.
            (GRANTED, lock("g", 1, 10, 5, False)), (WAIT, lock("g", 1, 0, 16, False, **back)),
            (GRANTED, lock("g", 1, 0, 15, False, **back)))
        unit = self.unit("b", S1)
        self.assertEqual((unit["phase"], unit["outstanding"], unit["unlisted"], unit["refused"]),
                         ("recovering", "1", "9", "9"))
        self.assertRegex(self.manifest("b"), r"(?s)svid=2 type=read start=5 end=14\nend locks=1 ")
        self.play("b", (GRANTED, unlock("g", 2, 0, 0)))
        self.over("b", "reclaimed=6 refused=9 waits=[0-9]+ released=0 address=0 unlisted=9 conflict=0")
        # A client that missed the answer asks again; one that is not on the list is late.
        self.play("b", (GRANTED, lock("f", 1, 0, 10, **back)), (WAIT, lock("f", 2, 0, 10, **back)),
                  (GRANTED, lock("h", 9, 0, 0)), (GRANTED, lock("h", 9, 0, 0, **back)))
        self.log_expect("b", "fsid=1234: recovery over, ended by hand: .*")
        self.cluster.end_recovery("b", S1)
        self.give_up("a")

    def test_cancelled(self):
        """Who was granted a lock unawares, and cancels the request for it, has none."""
        self.serve()
        names = "f", "g"
        self.files("a", S1, *names, "h")
        # The second of each waits, and does not answer when it is told that it has the lock.
        for name in names:
            self.play("a", (GRANTED, lock(name, 1, 0, 10)),
                      (BLOCKED, lock(name, 2, 0, 10, block=True)), (GRANTED, unlock(name, 1, 0, 10)))
        self.play("a", (GRANTED, lock("h", 2, 0, 10, False)))
        until(lambda: [how for _, how in self.cluster.locks("a", S1)].count("held") == 3, 60,
              "nobody gets the locks")
        self.release_only(r"locks=3 blocked=\d shares=0 files=3", fence=FENCE)
        give_up = {"do": "cancel"}
        self.play("a", (GRANTED, {**lock("f", 2, 0, 10), **give_up}))
        self.carry(2)
        # It may know that it has more, or another, than it waited for.
        self.play("b", (GRANTED, {**lock("g", 2, 0, 5), **give_up}), (WAIT, lock("g", 3, 0, 1)),
                  (GRANTED, {**lock("h", 2, 0, 10), **give_up}), (WAIT, lock("h", 3, 0, 1)),
                  (GRANTED, {**lock("g", 2, 0, 10), **give_up}), (GRANTED, lock("g", 3, 0, 1)),
                  (GRANTED, lock("h", 2, 0, 10, False, reclaim=True)))
        self.over("b", "reclaimed=1 refused=0 waits=2")
        self.log_expect("b", "fsid=1234: recovery over, ended by hand: .*")
        self.cluster.end_recovery("b", S1)
        self.give_up("a")

    def test_many_waiters(self):
        """More requests wait for one lock than there is room for at first: all taken down."""
        self.serve()
        self.files("a", S1, "f")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)),
                  *((BLOCKED, lock("f", svid, 0, 10, block=True)) for svid in range(100, 500)))
        self.release_only("locks=1 blocked=400 shares=0 files=1")
        self.assertEqual(self.manifest("a").splitlines()[-1], "end locks=1 blocked=400 shares=0")
        self.give_up("a")

    def test_empty(self):
        """Nothing was held: nobody waits. Only root may know and tell."""
        self.serve()
        for how in "<", ">":
            refused = self.cluster["a"].exec("setpriv --reuid 65534 --clear-groups sh -c "
                                             f"'{how}/proc/fs/nfsd/lock_manifest'")
            self.assertIn("Permission denied", refused.err.decode())
        self.files("a", S1, "f")
        self.release_only("locks=0 blocked=0 shares=0 files=0")
        manifest = self.manifest("a")
        self.assertEqual(manifest.splitlines()[2:], ["end locks=0 blocked=0 shares=0"])
        self.recover("b")
        self.taken("b", 0)
        self.assertEqual(self.offer("b", manifest), "")
        self.over("b")
        self.give_up("a")

    def test_again(self):
        """Releasing twice keeps the list; what was not reclaimed goes on to the next node."""
        self.serve()
        self.files("a", S1, "f")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)), (GRANTED, lock("f", 2, 20, 10)))
        self.release_only("locks=2 blocked=0 shares=0 files=1")
        self.release_only("locks=0 blocked=0 shares=0 files=0")
        manifest = self.manifest("a")
        self.assertIn("end locks=2 blocked=0 shares=0", manifest)
        self.cluster.unexport("a", S1)
        self.cluster.umount("a", S1)
        self.cluster.mount_fs("b", S1)
        self.recover("b")
        self.taken("b", 2)
        self.assertEqual(self.offer("b", manifest), "")
        self.cluster.export("b", S1)
        self.play("b", (GRANTED, lock("f", 1, 0, 10, reclaim=True)))
        self.expect_released("b", S1, FENCE, locks=1, blocked=0)
        said = self.cluster.command("b", "nlm_unlock", f"1234 fence={FENCE}")
        self.assertIn("locks=1 blocked=0 shares=0 files=1 manifest=complete", said)
        lines = self.manifest("b").splitlines()
        self.assertEqual([re.sub(".* svid", "svid", line) for line in lines[2:]],
                         ["svid=1 type=write start=0 end=9", "svid=2 type=write start=20 end=29",
                          "end locks=2 blocked=0 shares=0"])
        self.give_up("a")
        self.give_up("b")
        # Recovering without a list: who has not reclaimed yet is not known.
        self.recover("b")
        self.expect_released("b", S1, 5, locks=0)
        said = self.cluster.command("b", "nlm_unlock", "1234 fence=5")
        self.assertIn("manifest=none", said)
        self.give_up("b")
