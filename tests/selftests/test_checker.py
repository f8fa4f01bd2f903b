# SPDX-License-Identifier: GPL-2.0-only
"""No lock is lost and none had twice, whatever becomes of the manifest and of the clients.

Applications on both clients lock, use what they locked and check that nobody else did, see
checker.py, while their filesystem moves, a few times in each test.
"""

import errno
import json
import os
import re
import time
from unittest import mock

from checker import Checker
from testbed import CONTROL, S1, S2, Case, until

# Seconds. A fence cannot be ended once the manifest was read, so the way back and the end of a
# test wait; but a manifest that is to be believed has to arrive in that time.
WEIGHT = 4
FENCE = 60
SHORT = 15
RECOVERY = 150
FENCE_OVER = re.compile(r"nfs_failover: fsid=\d+: fence over, time is up: reclaimed=0 refused=0 ")
# For a client that does not come back, and all that want what it had.
DEAD = 25
MARKERS = 3
MANIFEST = f"{S1.path}/.nsm/manifest"


class CheckerCase(Case):
    def serve(self):
        self.at, self.away = "a", "b"
        self.cluster.serve("a", S1)
        for client in self.cluster.clients:
            self.cluster.mount(client, S1)
        # Always held, so that it can be seen on the server who has reclaimed.
        self.markers = {client: self.cluster.spawn(client, "locks.py", "hold", "/mnt/s1", MARKERS,
                                                   "--prefix", f"marker-{client}-")
                        for client in self.cluster.clients}
        self.checker = Checker(self.cluster, self.cluster.clients, S1)
        for holder in self.markers.values():
            holder.expect(f"held {MARKERS}", 150)
        self.inodes = {client: set(map(int, self.cluster["a"].run(
            f"stat -c %i {S1.path}/marker-{client}-*").split())) for client in self.markers}
        self.checker.progress()

    def log(self, node):
        # Some moves take longer than the fence of the one before.
        return [line for line in super().log(node) if not FENCE_OVER.match(line)]

    def unit(self, node, fs=S1):
        """What failover_status says about a filesystem; {} if nothing."""
        return next((line for line in self.cluster.status(node) if line.get("fsid") == fs.fsid),
                    {})

    def held(self, client):
        """Whether all markers of a client are locked where the filesystem is."""
        held = [inode for inode, how in self.cluster.locks(self.at, S1) if how == "held"]
        return self.inodes[client] <= set(held)

    def move(self, manifest=True, load=None, seconds=RECOVERY):
        """Move, until clients have been told. load: as in Cluster.takeover()."""
        source, self.at, self.away = self.at, self.away, self.at
        fence = SHORT if load else FENCE
        self.expect_released(source, S1, fence, shares=0)
        self.expect_recovering(self.at, S1, r"\d+")
        dropped = self.cluster.release(source, S1, fence, manifest)
        self.assertIn("manifest=complete", dropped)
        if manifest and not load:
            self.log_expect(self.at, r"fsid=1234: manifest of \d+ locks and shares")
        self.cluster.takeover(self.at, S1, seconds, load)
        self.assertEqual(self.unit(source).get("refused", "0"), "0")

    def reclaimed(self):
        """Recovering with a manifest is over by itself, when everybody has everything back."""
        self.log_expect(self.at, r"fsid=1234: recovery over, nothing is outstanding: "
                        r"reclaimed=\d+ refused=0 waits=\d+ manifest=\d+ outstanding=0")
        deadline = time.monotonic() + RECOVERY - 15
        while self.unit(self.at).get("phase") == "recovering":
            self.assertLess(time.monotonic(), deadline, "the recovery is not over\n" + self.rest())
            time.sleep(0.2)
        unit = self.unit(self.at)
        self.assertEqual(unit.get("outstanding"), "0", unit)
        self.assertGreaterEqual(int(unit["reclaimed"]), MARKERS, unit)
        self.all_there()

    def rest(self):
        """What is outstanding, and what everybody has, to be read by people."""
        there = self.cluster.command(self.at, "lock_manifest", S1.fsid)
        return "\n".join([there, *(f"{node}:\n" + self.cluster[node].run("cat /proc/locks") for
                                   node in [self.at, *self.checker.alive()])])

    def end(self):
        """Recovering without ends by hand, when no client is still reclaiming."""
        clients = self.checker.alive()
        until(lambda: all(map(self.held, clients)), 90, "a client does not reclaim")
        for client in clients:
            until(lambda: self.cluster[client].exec(
                "grep -lse '-reclaim$' /proc/[0-9]*/comm").status != 0, 90,
                f"{client} does not end reclaiming")
        unit = self.unit(self.at)
        self.assertEqual(unit.get("phase"), "recovering")
        self.assertNotIn("manifest", unit)
        self.assertGreaterEqual(int(unit["reclaimed"]), MARKERS * len(clients))
        self.log_expect(self.at, r"fsid=1234: recovery over, ended by hand: reclaimed=\d+ "
                        r"refused=0 waits=\d+")
        # Where a manifest of it was read before, it cannot be ended before that fence is over.
        until(lambda: self.cluster.write(self.at, "nlm_set_igrace", "1234 0")[0] != "EBUSY",
              FENCE + 30, "the recovery cannot be ended")
        self.assertEqual(self.unit(self.at), {})
        self.all_there()

    def all_there(self):
        for client in self.checker.alive():
            self.assertTrue(self.held(client), f"{client} has lost locks")
        self.checker.progress()
        self.assertEqual(self.checker.audit(self.at), [])

    def offer(self, text, *errors):
        """Something to do instead of load_manifest(): give the kernel a text that it refuses
        with one of the errors, or takes if there is none."""
        def load(node, _):
            result = self.cluster[node].exec(["sh", "-c", f"cat > {CONTROL}/lock_manifest"],
                                             input=text().encode())
            said = result.err.decode()
            if not errors:
                self.assertEqual((result.status, said), (0, ""))
            else:
                self.assertIn(said.strip().rpartition(": ")[2], map(os.strerror, errors))
        return load

    def there(self):
        """The manifest that came with the filesystem."""
        return self.cluster[self.at].run(f"cat {MANIFEST}") + "\n"

    def new_lock(self):
        """A lock that nobody wants is granted although the filesystem recovers."""
        self.cluster.python("c1", "locks.py", "first", "/mnt/s1/new", "--timeout", 30)
        unit = self.unit(self.at)
        self.assertEqual(unit.get("phase"), "recovering", unit)
        self.assertGreater(int(unit["outstanding"]), 0, unit)

    def verdict(self):
        verdict = self.checker.stop()
        print(f"    # {verdict}")
        self.assertEqual(verdict.problems, [], "\n".join(verdict.problems))
        self.assertEqual((verdict.doubles, verdict.lost, verdict.errors), (0, 0, 0))
        self.assertGreater(verdict.granted, 20)
        for client in self.checker.alive():
            self.assertEqual(self.markers[client].stop()["errors"], {})


class Planned(CheckerCase):
    def test_with_manifest(self):
        """With the manifest: all locks move, four times, and the recovery ends by itself."""
        self.serve()
        for _ in range(4):
            self.move()
            self.reclaimed()
        self.verdict()


class Doubtful(CheckerCase):
    BY_NAME_ONLY = True

    def test_without_manifest(self):
        """Without: all locks move, three times, and new ones wait until that is over."""
        self.serve()
        for _ in range(3):
            self.move(manifest=False)
            self.end()
        self.verdict()

    def test_truncated(self):
        """A manifest that was cut off is refused, wherever, and the recovery goes on without."""
        def cut(where):
            def load(node, fs):
                self.cluster[node].run(f"cd {fs.path}/.nsm && {where} manifest > cut && "
                                       "test -s cut && mv cut manifest")
                result = self.cluster[node].exec(f"sh /lab/bin/manifest-load.sh {fs.path}")
                self.assertNotEqual(result.status, 0)
                self.assertIn(os.strerror(errno.EINVAL), result.err.decode())
            return load
        self.serve()
        for where in ("head -n -1", "head -c 1000", "grep -v -m 1 ^lock"):
            self.move(load=cut(where))
            self.end()
        self.verdict()

    def test_stale(self):
        """A manifest that is older than a lock is refused by whoever had the filesystem."""
        self.serve()
        old, load_manifest = [], self.cluster.load_manifest

        def keep(node, fs):
            old.append(self.there())
            load_manifest(node, fs)

        def offer_old(node, fs):
            # The one that somebody used, and one that nobody has.
            for text in old[0], old[-1]:
                self.offer(lambda text=text: text, errno.ESTALE, errno.ETIMEDOUT)(node, fs)
            old.append(self.there())
        with mock.patch.object(self.cluster, "load_manifest", keep):
            self.move()
        self.reclaimed()
        for _ in range(3):
            self.move(load=offer_old)
            self.end()
        self.verdict()

    def test_foreign(self):
        """What is about another filesystem is refused, or is nothing to this one."""
        self.serve()
        self.cluster.serve("a", S2)
        self.cluster.mount("c1", S2)
        other = self.cluster.spawn("c1", "locks.py", "hold", "/mnt/s2", 5)
        other.expect("held 5", 150)
        self.move(load=self.offer(lambda: self.there().replace("fsid=1234", "fsid=5678"),
                                  errno.EINVAL))
        self.end()
        self.move(load=self.offer(lambda: re.sub("^unit fsid=1234", "unit fsid=5678",
                                                 self.there(), flags=re.M), errno.EINVAL))
        self.end()
        self.other_moves(5)
        self.assertEqual(other.stop()["errors"], {})
        self.verdict()

    def other_moves(self, locks):
        """S2 moves along with S1; b is given its manifest while only S1 recovers there."""
        self.expect_released("a", S2, 90, locks=locks, blocked=0, shares=0)
        text = []

        def load(node, _):
            self.offer(lambda: text[0], errno.ENOENT)(node, S1)
        self.cluster.release("a", S2, 90, True)
        self.cluster.mount_fs("a", S2)
        text.append(self.cluster["a"].run(f"cat {S2.path}/.nsm/manifest; umount {S2.path}") + "\n")
        self.move(load=load)
        self.end()
        for node in "b", "a":
            if node == "a":
                self.expect_released("b", S2, FENCE, locks=locks, blocked=0, shares=0)
                self.cluster.release("b", S2, FENCE, True)
            self.expect_recovering(node, S2, r"\d+")
            self.log_expect(node, rf"fsid=5678: manifest of {locks} locks and shares",
                            rf"fsid=5678: recovery over, nothing is outstanding: reclaimed={locks} "
                            rf"refused=0 waits=0 manifest={locks} outstanding=0")
            self.cluster.takeover(node, S2, RECOVERY)
            until(lambda: self.unit(node, S2).get("outstanding") == "0", RECOVERY,
                  "the other filesystem does not recover")


class Clients(CheckerCase):
    BY_NAME_ONLY = True

    def test_dead(self):
        """Only what a dead client held is waited for, and that only for some time."""
        self.serve()
        self.kill("c2")
        self.checker.killed("c2")
        rival = self.cluster.spawn("c1", "locks.py", "rival", "/mnt/s1", MARKERS, "--prefix",
                                   "marker-c2-", "--interval", "0.2")
        rival.expect("round 1")
        self.move(seconds=DEAD)
        self.new_lock()
        self.assertNotIn("GOT", rival.output())
        self.log_expect(self.at, r"fsid=1234: recovery over, time is up: reclaimed=\d+ refused=0 "
                        r"waits=\d+ manifest=\d+ outstanding=\d+")
        until(lambda: not self.unit(self.at), DEAD + 60, "the recovery is not over")
        rival.expect("GOT", 30)
        self.assertEqual(rival.stop()["errors"], {})
        self.all_there()
        for _ in range(2):
            self.move()
            self.reclaimed()
        # Who is still being told something old would reclaim when no recovery is going on.
        for node in self.cluster.servers:
            left = self.cluster[node].exec(f"pgrep -fc '^sm-notify -f -v {S1.ip} '").text
            self.assertLessEqual(int(left), 1)
        self.verdict()

    def test_early(self):
        """A lock that was granted before its client was told of the move moves on like others."""
        self.serve()
        notify, early = self.cluster.notify, []

        def late(node, fs):
            early.append(self.cluster.spawn("c1", "locks.py", "hold", "/mnt/s1", 1, "--prefix",
                                            f"early-{len(early)}-"))
            early[-1].expect("held 1", 60)
            notify(node, fs)
        with mock.patch.object(self.cluster, "notify", late):
            for _ in range(3):
                self.move()
                self.reclaimed()
                rival = json.loads(self.cluster.python(
                    "c2", "locks.py", "rival", "/mnt/s1", 1, "--prefix", "early-0-", "--rounds",
                    1).splitlines()[-1])
                self.assertEqual((rival["grants"], rival["errors"]), (0, {}))
        for holder in early:
            self.assertEqual(holder.stop()["errors"], {})
        self.verdict()

    def test_slow(self):
        """A client that is cut off while its filesystem moves has its locks when it is back."""
        self.serve()
        for _ in range(3):
            self.cluster["c2"].link(False)
            try:
                self.move(seconds=2 * RECOVERY)
                until(lambda: self.held("c1"), 60, "c1 does not reclaim")
                self.new_lock()
                self.assertFalse(self.held("c2"))
            finally:
                self.cluster["c2"].link(True)
            # It has missed that; whoever manages addresses says it again some time after.
            self.cluster.announce(self.at, S1.ip)
            self.reclaimed()
        self.verdict()
