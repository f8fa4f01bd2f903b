# SPDX-License-Identifier: GPL-2.0-only
"""NFSv4: opens, locks and delegations of one filesystem, on a node that takes over."""

import re
import time

from nfs4cases import LOCKS, RECOVERY, ROUND, VERSIONS, Nfs4Case, PlannedCase
from testbed import S1, S2, until

# How long others wait who would be granted what was dropped.
FENCE = 20
# Of servers, in seconds.
LEASE = 10


class Crash4(Nfs4Case):
    def crash(self, vers, delegations=False):
        """A node dies; the client has all its locks, and its rival none of them."""
        self.delegations(delegations)
        self.floating()
        self.cluster.serve("a", S1)
        holder = self.holder("c1", vers)
        rival = self.rival("c2", "c1", vers)
        self.rounds(rival, 1)
        self.kill("a")
        self.takeover("b")
        self.check(holder)
        until(lambda: int(self.unit("b")["waits"]) > 0, ROUND, "the rival does not wait")
        self.end("b")
        self.assertEqual(len(self.cluster.locks("b", S1)), LOCKS)
        self.rounds(rival, 2)
        summary = rival.stop()
        self.assertEqual((summary["grants"], summary["errors"]), (0, {}), rival.output())
        self.assertEqual(holder.stop()["errors"], {})

    def test_crash_40(self):
        self.crash("4.0")

    def test_crash_41(self):
        self.crash("4.1")

    def test_crash_42(self):
        self.crash("4.2")

    def test_delegations(self):
        """What a client had delegated it has again, and gives it back while others wait, also on a node
        that was just started: nfsd waits for a lease, lockd's own grace period takes longer."""
        self.cluster["b"].run("rpc.nfsd 0; sysctl -q fs.nfs.nlm_grace_period=240; "
                              "rpc.nfsd -S nfs-failover 4")
        self.floating()
        self.cluster.serve("a", S1)
        holder = self.holder("c1", "4.2")
        # Its locks are inside the delegations, and the server does not know them.
        self.assertEqual(self.cluster.locks("a", S1), [])
        self.kill("a")
        self.takeover("b")
        self.check(holder)
        # Who is no client of nfsd's does not wait for its grace period.
        self.cluster["b"].run(f"exec 3<>{S1.path}/c10", timeout=40)
        self.check(holder)
        self.cluster.end_grace("b")
        rival = self.rival("c2", "c1", "4.2")
        self.end("b")
        self.rounds(rival, 2)
        self.assertEqual(len(self.cluster.locks("b", S1)), LOCKS)
        summary = rival.stop()
        self.assertEqual((summary["grants"], summary["errors"]), (0, {}), rival.output())
        self.assertEqual(holder.stop()["errors"], {})

    def test_shared_file(self):
        """Two clients have one file open for writing, and neither waits for the other."""
        self.floating()
        self.cluster.serve("a", S1)
        holders = [holder for half, client in enumerate(("c1", "c2"))
                   for holder in self.holders(client, "--range", "--half", half, name="shared")]
        self.kill("a")
        self.takeover("b")
        self.check_all(holders)
        self.assertEqual(len(self.cluster.locks("b", S1)), len(holders) * LOCKS)
        self.end("b")
        self.stop_all(holders)

    def test_known(self):
        """Clients have completed their reclaims on the node for something else."""
        self.delegations(False)
        self.cluster.serve("a", S1)
        self.cluster.serve("b", S2)
        holders = self.holders("c1")
        self.cluster["c1"].run("touch " + " ".join(f"{at}/{vers}" for vers, at in
                                                   self.mounts("c1", fs=S2).items()))
        self.kill("a")
        self.takeover("b")
        self.check_all(holders)
        self.end("b")
        self.stop_all(holders)

    def test_both(self):
        """NFSv3 and NFSv4 locks of one filesystem; a request of either waits for the other's."""
        self.delegations(False)
        self.floating()
        self.cluster.serve("a", S1)
        four = self.holders("c1")
        three = self.holder("c2", "3")
        self.cluster.save_clients("a", S1)
        self.kill("a")
        self.takeover("b")
        self.check_all(four)
        until(lambda: len(self.cluster.locks("b", S1)) == (len(four) + 1) * LOCKS, ROUND, "locks are missing")
        self.check(three)
        self.end("b")
        self.stop_all([*four, three])

    def test_one_file(self):
        """An NFSv4 and an NFSv3 client have locked one half of a file each; a file for each version."""
        self.delegations(False)
        self.floating()
        self.cluster.serve("a", S1)
        mounts = {"c1": self.mounts("c1"), "c2": dict.fromkeys(VERSIONS, self.cluster.mount("c2", S1))}
        holders = [holder for half, (client, at) in enumerate(mounts.items())
                   for holder in self.holders(client, "--range", "--half", half, name="half", at=at)]
        self.cluster.save_clients("a", S1)
        self.kill("a")
        self.takeover("b")
        until(lambda: len(self.cluster.locks("b", S1)) == len(holders) * LOCKS, ROUND, "locks are missing")
        self.end("b")
        rivals = [self.cluster.spawn(client, "locks.py", "rival", where, 2 * LOCKS, "--prefix",
                                     f"half-{vers}-", "--range", "--half", half, "--rounds", 1)
                  for half, client in enumerate(("c2", "c1")) for vers, where in mounts[client].items()]
        for rival in rivals:
            summary = rival.summary(ROUND)
            self.assertEqual((summary["tries"], summary["grants"], summary["errors"]), (LOCKS, 0, {}))
        self.check_all(holders)
        self.assertEqual(len(self.cluster.locks("b", S1)), len(holders) * LOCKS)
        self.stop_all(holders)


class Stock4(Nfs4Case):
    """What stock files do to NFSv4 state while the module is loaded."""

    def test_restarted(self):
        """nfsd is restarted: who is recorded by another name reclaims, and the next list lacks it."""
        self.delegations(False)
        self.cluster.serve("a", S1)
        # Before the address was one that moves.
        holder = self.holder("c1", "4.2")
        self.log_expect("a", rf"ip={re.escape(S1.ip)}: floating address")
        self.cluster.command("a", "floating_ips", f"+{S1.ip}")
        self.cluster.server_up("a")
        self.check(holder)
        self.cluster.wait_no_grace("a")
        self.assertEqual(len(self.cluster.locks("a", S1)), LOCKS)
        # It has given up all before its filesystem goes, so there is nothing to be found.
        self.assertEqual(holder.stop()["errors"], {})
        self.log_expect("a", "fsid=1234: released for 1 s, dropped locks=0 .*",
                        "fsid=1234: fence over, time is up: .*")
        said = self.cluster.command("a", "nlm_unlock", "1234 fence=1")
        self.assertIn("manifest=none", said)
        until(lambda: len(self.cluster.status("a")) == 1, 20, "the fence does not end")

    def test_restarted_after_move(self):
        """nfsd is restarted while a list is still there: who came later is not on it, and reclaims."""
        self.delegations(False)
        self.floating()
        self.cluster.serve("a", S1)
        listed = self.holder("c1", "3")
        self.cluster.save_clients("a", S1)
        self.expect_released("a", S1, FENCE, locks=LOCKS)
        self.cluster.release("a", S1, FENCE, manifest=True)
        self.expect_recovering("b", S1, RECOVERY)
        self.log_expect("b", f"fsid=1234: manifest of {LOCKS} locks and shares",
                        "fsid=1234: recovery over, nothing is outstanding: .*")
        self.cluster.takeover("b", S1, RECOVERY)
        until(lambda: self.unit("b")["phase"] == "recovered", ROUND, "the recovery does not end")
        holder = self.holder("c2", "4.2")
        self.cluster.server_up("b")
        self.check(holder)
        self.assertEqual(self.unit("b")["refused"], "0")
        self.assertEqual(holder.stop()["errors"], {})
        listed.stop()
        self.log_expect("a", "fsid=1234: fence over, time is up: .*")
        until(lambda: len(self.cluster.status("a")) == 1, 2 * FENCE, "the fence does not end")

    def test_restarted_two_names(self):
        """nfsd is restarted under a client that is there by its own address and by one that moves."""
        self.delegations(False)
        self.floating()
        self.cluster.serve("a", S1)
        self.cluster.serve("a", S2)
        holder = self.holder("c1", "4.2")
        at = self.cluster.mount("c1", S2, vers="4.2", ip=self.cluster["a"].ip, at="/mnt/own")
        own = self.cluster.spawn("c1", "locks.py", "hold", at, LOCKS)
        own.expect(f"held {LOCKS}", ROUND)
        self.cluster.server_up("a")
        for program in holder, own:
            self.check(program)
        names = self.cluster["a"].run("grep -h ^name: /proc/fs/nfsd/clients/*/info").splitlines()
        self.assertEqual(len(set(names)), 2, names)
        self.cluster.wait_no_grace("a")
        for program in holder, own:
            self.assertEqual(program.stop()["errors"], {})

    def test_revoked(self):
        """Nothing is, by unlock_filesystem or by the netlink command of exportfs -u of nfs-utils after 2.9.1:
        after an umount that would be the end of the node, some time later."""
        self.delegations(False)
        self.floating()
        self.cluster.serve("a", S1)
        holder = self.holder("c1", "4.2")
        for command in (f"echo {S1.path} > /proc/fs/nfsd/unlock_filesystem",
                        ["python3", "/lab/bin/unlock_export.py", S1.path]):
            self.log_expect("a", "revoked nothing of NFSv4 clients, which could crash this kernel .*")
            self.cluster["a"].run(command)
            states = self.cluster["a"].run("cat /proc/fs/nfsd/clients/*/states")
            self.assertNotIn("revoked", states)
        self.check(holder)
        self.assertEqual(len(self.cluster.locks("a", S1)), LOCKS)
        self.expect_released("a", S1, FENCE, locks=0)
        self.cluster.release("a", S1, FENCE, nfs4=True)
        unmounted = time.monotonic()
        self.assertTrue(self.cluster.expired)
        self.log_expect("a", "fsid=1234: fence over, time is up: .*")
        self.takeover("b")
        self.check(holder)
        self.end("b")
        # nfsd looks after what was revoked once in a lease, and there is nothing to be seen of it.
        time.sleep(max(0, unmounted + LEASE + 10 - time.monotonic()))
        until(lambda: len(self.cluster.status("a")) == 1, 2 * FENCE, "the fence does not end")
        self.assertEqual(holder.stop()["errors"], {})


class Planned4(PlannedCase):
    """Moves by command, there and back."""

    def reclaimed(self, node, count):
        """All is back, also the files that the rival had open. NFSv4.0 does not say so itself."""
        def done():
            unit = next((line for line in self.cluster.status(node) if line.get("fsid") == S1.fsid),
                        None)
            # By itself it is over when all have completed their reclaims.
            return unit is None or int(unit["reclaimed"]) >= count
        until(done, ROUND, "not all clients come back")

    def moves(self, vers):
        self.delegations(False)
        self.take("a")
        self.end("a")
        holder = self.holder("c1", vers)
        rival = self.rival("c2", "c1", vers)
        self.rounds(rival, 1)
        for source, target in (("a", "b"), ("b", "a"), ("a", "b")):
            self.give(source)
            self.assertEqual((self.awaited[S1], self.completes[S1]), (2, vers != "4.0"))
            self.take(target)
            self.check(holder)
            self.reclaimed(target, 3 * LOCKS)
            self.end(target)
            self.assertEqual(len(self.cluster.locks(target, S1)), LOCKS)
        self.rounds(rival, 2)
        summary = rival.stop()
        self.assertEqual((summary["grants"], summary["errors"]), (0, {}), rival.output())
        self.assertEqual(holder.stop()["errors"], {})

    def test_moves_40(self):
        self.moves("4.0")

    def test_moves_41(self):
        self.moves("4.1")

    def test_moves_42(self):
        self.moves("4.2")

    def test_leftovers(self):
        """Whom nfsd has of an earlier time with an address it forgets before that is here again."""
        self.delegations(False)
        self.take("a")
        self.end("a")
        self.cluster.mount("c1", S1, vers="4.2")
        clients = f"cat /proc/fs/nfsd/clients/*/info 2>/dev/null | grep -c @{S1.ip} || :"
        self.assertEqual(self.cluster["a"].run(clients).strip(), "1")
        # By hand, and without a release.
        self.cluster.address_down("a", S1.ip)
        self.cluster.unexport("a", S1)
        self.cluster.umount("a", S1)
        self.assertEqual(self.cluster["a"].run(clients).strip(), "1")
        self.cluster["c1"].run(f"ip route add unreachable {S1.ip}/32")
        self.addCleanup(self.cluster["c1"].exec, f"ip route del unreachable {S1.ip}/32")
        self.expect_recovering("a", S1, RECOVERY)
        self.log_expect("a", rf"ip={re.escape(S1.ip)}: floating address")
        said = self.cluster.ctl("a", "takeover", "s1", "--mount", "--export", "--address", "--expect-none").text
        self.assertIn("are expired ... done (1)", said)
        self.assertEqual(self.cluster["a"].run(clients).strip(), "0")
        self.end("a")
        self.cluster["c1"].run(f"ip route del unreachable {S1.ip}/32 && touch /mnt/s1/new", timeout=ROUND)

    def test_moves_delegations(self):
        """What is delegated goes along, and the locks inside it."""
        self.delegations(True)
        self.take("a")
        self.end("a")
        holder = self.holder("c1", "4.2")
        for source, target in (("a", "b"), ("b", "a")):
            self.assertEqual(self.cluster.locks(source, S1), [])
            self.give(source)
            self.assertEqual((self.awaited[S1], self.completes[S1]), (1, True))
            self.take(target)
            self.end(target)
            self.check(holder)
        # They are delegated there, too, and are recalled by a rival, which gets nothing.
        self.assertEqual(self.cluster.locks("a", S1), [])
        rival = self.rival("c2", "c1", "4.2")
        self.rounds(rival, 2)
        self.assertEqual(len(self.cluster.locks("a", S1)), LOCKS)
        summary = rival.stop()
        self.assertEqual((summary["grants"], summary["errors"]), (0, {}), rival.output())
        self.check(holder)
        self.assertEqual(holder.stop()["errors"], {})
