# SPDX-License-Identifier: GPL-2.0-only
"""A takeover that dies half-way, and what happens next is something else."""

from cases import FENCE, GRANTED, RECOVERY, WAIT, ManifestCase, lock, unlock
from cluster import CONTROL
from testbed import S1, until

CLIENTS = ("c1",)
# It is about the module, whatever the kernel.
ONE_KERNEL = True


class Handover(ManifestCase):
    def given_to_b(self, fence, seconds=RECOVERY):
        """b recovers S1 with a's manifest, and its takeover has died before the export."""
        self.serve()
        self.files("a", S1, "f")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)))
        self.release_only("locks=1 blocked=0 shares=0 files=1", fence=fence)
        manifest = self.manifest("a")
        self.cluster.unexport("a", S1)
        self.cluster.umount("a", S1)
        self.recover("b", seconds=seconds)
        self.taken("b", 1)
        self.assertEqual(self.offer("b", manifest), "")

    def released_by_b(self, dropped, fence):
        self.log_expect("b", rf"fsid=1234: released for {fence} s, dropped {dropped}")
        return self.cluster.command("b", "nlm_unlock", f"1234 fence={fence}")

    def no_list(self):
        """Somebody locks on b, which serves S1 by now: what it holds then is no list."""
        self.cluster.mount_fs("b", S1)
        self.cluster.export("b", S1)
        self.play("b", (GRANTED, lock("f", 2, 50, 10)))
        self.assertIn("manifest=none", self.released_by_b("locks=1 .*", 1))
        self.give_up("a")
        self.give_up("b")

    def test_goes_on(self):
        """b gives it on to the next node: what its clients did not get back is on the list."""
        self.given_to_b(FENCE)
        said = self.released_by_b("locks=0 .*", 5)
        self.assertIn("manifest=complete", said)
        self.assertIn("svid=1 type=write start=0 end=9", self.manifest("b"))
        self.give_up("a")
        self.give_up("b")

    def test_next_node(self):
        """The node after b lets the holder have its lock back, and nobody else have it."""
        self.given_to_b(60)
        self.released_by_b("locks=0 .*", 60)
        # a is that node: it knows of its own release only, which is older.
        listed = self.manifest("b")
        self.cluster.mount_fs("a", S1)
        self.recover("a")
        self.taken("a", 1)
        self.assertEqual(self.offer("a", listed), "")
        self.cluster.export("a", S1)
        self.play("a", (WAIT, lock("f", 2, 0, 10)), (GRANTED, lock("f", 1, 0, 10, reclaim=True)))
        self.over("a")
        self.end("a", S1, 1)
        self.give_up("b")

    def test_nobody_came(self):
        """b's recovery ended without anybody having come: what it held then is no list."""
        self.given_to_b(FENCE, seconds=5)
        self.log_expect("b", "fsid=1234: recovery over, time is up: .*")
        until(lambda: not self.unit("b", S1), 60, "the recovery does not end")
        self.assertIn("manifest=none", self.released_by_b("locks=0 .*", 5))
        self.give_up("a")
        self.give_up("b")

    def test_set_again(self):
        """A recovery that is set again has no list: what was outstanding on the first one's is owed."""
        self.given_to_b(FENCE)
        self.recover("b")
        self.end("b", S1, 0)
        self.no_list()

    def test_nobody_came_before(self):
        """Who locks after a recovery to which nobody came has one lock on the list, and the others
        have none: it is no list, until clients have had the time to reclaim."""
        self.given_to_b(FENCE, seconds=5)
        self.log_expect("b", "fsid=1234: recovery over, time is up: .*")
        until(lambda: not self.unit("b", S1), 60, "the recovery does not end")
        self.no_list()
        self.recover("b")
        self.play("b", (GRANTED, lock("f", 1, 0, 10, reclaim=True)))
        self.end("b", S1, 1)
        self.assertIn("manifest=complete", self.released_by_b("locks=1 .*", 1))
        self.give_up("b")

    def test_fence_over(self):
        """What a release dropped is on no list once its fence is over, whoever locks then: the next
        release says so, until clients have had the time to reclaim."""
        self.serve()
        self.files("a", S1, "f")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)))
        self.release_only("locks=1 blocked=0 shares=0 files=1", fence=1)
        self.give_up("a")
        self.release_only("locks=0 .*", fence=1, manifest="none")
        self.give_up("a")
        self.play("a", (GRANTED, lock("f", 2, 50, 10)))
        self.release_only("locks=1 .*", fence=1, manifest="none")
        self.give_up("a")
        self.recover("a")
        self.play("a", (GRANTED, lock("f", 1, 0, 10, reclaim=True)))
        self.end("a", S1, 1)
        self.release_only("locks=1 .*", fence=1)
        self.give_up("a")

    def test_dropped_without_fence(self):
        """The same after a release without a fence."""
        self.serve()
        self.files("a", S1, "f")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)))
        self.expect_released("a", S1, 0, locks=1)
        self.cluster.command("a", "nlm_unlock", "1234 fence=0")
        self.release_only("locks=0 .*", fence=1, manifest="none")
        self.give_up("a")

    def test_released_again(self):
        """What a second release may have dropped is on no list, nor on that of the next release."""
        self.serve()
        self.files("a", S1, "f")
        self.release_only("locks=0 .*", fence=FENCE)
        # Whose filesystem that is, is not asked: nobody knows what is not reclaimed yet.
        elsewhere = r"path=/ dev=\S+ ip=10.9.9.9: "
        self.log_expect("a", elsewhere + "recovering for 60 s")
        self.cluster.command("a", "resume_ip", "10.9.9.9 / 60")
        self.release_only("locks=0 .*", fence=FENCE, manifest="none")
        self.log_expect("a", elsewhere + "recovery over, ended by hand: .*")
        self.cluster.command("a", "resume_ip", "10.9.9.9 / 0")
        self.give_up("a")
        self.release_only("locks=0 .*", fence=1, manifest="none")
        self.give_up("a")

    def taken_away(self):
        return self.cluster.status("a")[-1]["taken_away"]

    def test_taken_away(self):
        """What a stock release takes away is on no list, until clients have had the time to reclaim,
        and the status says so. One that takes nothing away costs no list."""
        self.serve()
        self.files("a", S1, "f")
        held = lock("f", 1, 0, 10)
        for file, text in ("unlock_ip", self.cluster["a"].ip), ("unlock_filesystem", S1.path):
            # That is nobody's address, and nothing is held there.
            for nothing in f"{S1.ip} > {CONTROL}/unlock_ip", f"/tmp > {CONTROL}/unlock_filesystem":
                self.cluster["a"].run(f"echo {nothing}")
            self.play("a", (GRANTED, held))
            self.release_only("locks=1 .*", fence=1)
            self.give_up("a")
            self.recover("a")
            self.play("a", (GRANTED, {**held, "reclaim": True}))
            self.end("a", S1, 1)
            self.assertEqual(self.taken_away(), "0")
            self.cluster["a"].run(f"echo {text} > {CONTROL}/{file}")
            self.assertNotEqual(self.taken_away(), "0")
            self.release_only("locks=0 .*", fence=1, manifest="none")
            self.give_up("a")
            # Nobody comes to that one.
            self.recover("a")
            self.end("a", S1, 0)
            self.assertNotEqual(self.taken_away(), "0")
            self.recover("a")
            self.play("a", (GRANTED, {**held, "reclaim": True}), (GRANTED, unlock("f", 1, 0, 10)))
            self.end("a", S1, 1)
            self.assertEqual(self.taken_away(), "0")

    def test_called_off(self):
        """a takes over again without a manifest: nobody gets anything new before that is void."""
        self.given_to_b(20)
        self.expect_recovering("a", S1, r"\d+")
        self.cluster.mount_fs("a", S1)
        self.cluster.command("a", "nlm_set_igrace", "1234 1")
        self.cluster.export("a", S1)
        self.play("a", (GRANTED, lock("f", 1, 0, 10, reclaim=True)), (WAIT, lock("f", 2, 20, 10)))
        self.log_expect("a", "fsid=1234: recovery over, time is up: .*")
        until(lambda: not self.unit("a", S1), 60, "the recovery does not end")
        self.end("b", S1, 0)

    def test_called_off_reboot(self):
        """a has restarted, takes over again and grants a lock: the old manifest is not used by b,
        whose recovery has not ended yet."""
        self.given_to_b(400, seconds=400)
        self.kill("a")
        self.cluster.boot("a")
        self.cluster.server_up("a")
        self.cluster.wait_no_grace("a")
        self.cluster.load("a")
        self.cluster.mount_fs("a", S1)
        self.cluster.command("a", "nlm_set_igrace", "1234 1")
        self.cluster.command("a", "nlm_set_igrace", "1234 0")
        self.cluster.export("a", S1)
        self.play("a", (GRANTED, lock("f", 2, 20, 10)))
        self.kill("a")
        self.cluster.mount_fs("b", S1)
        self.recover("b")
        self.assertNotIn("manifest", self.unit("b", S1))
        self.cluster.export("b", S1)
        # The holder of the new lock comes to reclaim, but somebody else is faster.
        self.play("b", (WAIT, lock("f", 3, 20, 10)), (GRANTED, lock("f", 2, 20, 10, reclaim=True)))
        self.end("b", S1, 1)
