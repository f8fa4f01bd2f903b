# SPDX-License-Identifier: GPL-2.0-only
"""NFSv4 clients and servers that die, boot and change what they run, and some that hold much."""

import json
import re
import time

from nfs4cases import LOCKS, ROUND, Nfs4Case
from testbed import S1, S2, until

# Both kernels do the same here, or test_nfs4.py sees it.
ONE_KERNEL = True
WEIGHT = 3
# Four leases: who lives has reclaimed.
SHORT = 40
FILES, RANGES = 500, 1500


class Lives4(Nfs4Case):
    # As the third, and each takes as long as three others.
    BY_NAME_ONLY = ("test_many_40", "test_many_41")

    def serve(self):
        self.delegations(False)
        self.floating()
        self.cluster.serve("a", S1)

    def boot(self, node):
        """A server comes back, with its module and its floating address."""
        self.cluster.boot(node)
        self.cluster.server_up(node)
        self.cluster.end_grace(node)
        self.cluster.load(node)
        self.cluster.command(node, "floating_ips", f"+{S1.ip}")

    def test_dead_client(self):
        """Clients die with the node: the others go on, and they hold nobody up for ever."""
        self.serve()
        self.holders("c1")
        mounts = self.mounts("c2")
        holders = self.holders("c2", at=mounts)
        self.kill("c1")
        self.kill("a")
        self.takeover("b", SHORT)
        self.check_all(holders)
        self.log_expect("b", "fsid=1234: recovery over, time is up: reclaimed=[0-9]+ refused=0 .*")
        until(lambda: len(self.cluster.status("b")) == 1, 2 * SHORT, "the recovery does not end")
        for vers, at in mounts.items():
            self.cluster.python("c2", "locks.py", "first", f"{at}/c1-{vers}-0", timeout=2 * ROUND)
        self.stop_all(holders)

    def test_rebooted_client(self):
        """They do not reclaim, and what they ask for anew waits like everybody else's."""
        self.serve()
        self.holders("c1")
        self.kill("c1")
        self.kill("a")
        self.takeover("b")
        self.cluster.boot("c1")
        self.cluster.client_up("c1")
        holders = []
        for vers, at in self.mounts("c1").items():
            before = int(self.unit("b")["waits"])
            # Those before it ask again, but not so soon.
            holders.append(self.cluster.spawn("c1", "locks.py", "hold", at, LOCKS, "--prefix", f"c1-{vers}-"))
            until(lambda: int(self.unit("b")["waits"]) > before, ROUND, "it does not wait")  # noqa: B023
        self.assertEqual(self.cluster.locks("b", S1), [])
        self.end("b")
        for holder in holders:
            holder.expect(f"held {LOCKS}", 2 * ROUND)
        self.stop_all(holders)

    def test_rebooted_server(self):
        """The node dies that clients have just reclaimed on, in the middle of the recovery."""
        self.serve()
        holders = self.holders("c1")
        self.kill("a")
        self.takeover("b")
        self.check_all(holders)
        self.boot("a")
        self.kill("b")
        self.takeover("a")
        self.recovered("a", holders)

    def recovered(self, node, holders):
        """All have what they had, also when it may be anybody's."""
        self.check_all(holders)
        self.end(node)
        self.assertEqual(len(self.cluster.locks(node, S1)), LOCKS * len(holders))
        self.stop_all(holders)

    def test_loaded_anew(self):
        """The module goes and comes while clients work; then the node dies."""
        self.serve()
        holders = self.holders("c1")
        self.check_all(holders)
        self.cluster.unload("a")
        self.check_all(holders)
        self.cluster.load("a")
        self.check_all(holders)
        self.kill("a")
        self.takeover("b")
        self.recovered("b", holders)

    def booted(self, node):
        """The second in which nfsd was started, as it is in the short-hand name of each client."""
        asked = {"version": "4.0", "host": self.cluster[node].ip, "export": "", "name": f"second-{node}",
                 "steps": [{"do": "begin"}]}
        self.cluster["c2"].run(["python3", "/lab/bin/nfs4_batch.py"], input=json.dumps(asked).encode())
        said = self.cluster[node].run("cat /proc/fs/nfsd/clients/*/info")
        return {int(name, 16) & 0xFFFFFFFF for name in re.findall("^clientid: (.*)$", said, re.M)}

    def test_same_second(self):
        """nfsd of both nodes was started in the same second, and an NFSv4.0 client has its locks."""
        def started():
            for node in "a", "b":
                self.cluster[node].run(f"rpc.nfsd 0; date -s @{second} >/dev/null; "
                                       "rpc.nfsd -S nfs-failover -G 10 -L 10 4")
            return self.booted("a") == self.booted("b") == {second}
        self.serve()
        # nfsd answers nobody to whom nothing is exported.
        self.cluster.serve("b", S2)
        second = int(time.time())
        until(started, ROUND, "they are not started in the same second")
        for node in "a", "b":
            self.cluster[node].run(f"date -s @{time.time():.3f}")
            self.cluster.end_grace(node)
        holder = self.holder("c1", "4.0")
        self.kill("a")
        self.takeover("b")
        self.check(holder)
        self.end("b")
        self.assertEqual(len(self.cluster.locks("b", S1)), LOCKS)
        self.assertEqual(holder.stop()["errors"], {})

    def many(self, vers):
        """500 files that are open, with a lock each, and 1500 locks of one more."""
        self.serve()
        self.cluster.mount("c1", S1, vers=vers)
        kept = [(FILES, ()), (RANGES, ("--range", "--prefix", "ranges"))]
        holders = [self.cluster.spawn("c1", "locks.py", "hold", "/mnt/s1", count, *more)
                   for count, more in kept]
        for holder, (count, _) in zip(holders, kept):
            holder.expect(f"held {count}", 4 * ROUND)
        self.kill("a")
        self.takeover("b")
        until(lambda: len(self.cluster.locks("b", S1)) == FILES + RANGES, 2 * ROUND,
              "not everything is reclaimed")
        for holder, (count, _) in zip(holders, kept):
            self.check(holder, count)
        self.end("b")
        for holder in holders:
            self.assertEqual(holder.stop(ROUND)["errors"], {})

    def test_many_40(self):
        self.many("4.0")

    def test_many_41(self):
        self.many("4.1")

    def test_many_42(self):
        self.many("4.2")


class Bystanders4(Nfs4Case):
    # An emulated CPU does all that a takeover does, but a client that was told to wait does so again
    # and again until the recovery is over.
    LONGEST = 4.0

    def test_bystanders(self):
        """Clients of another filesystem of the node that takes over do not wait."""
        self.delegations(False)
        self.floating()
        self.floating(S2)
        self.cluster.serve("a", S1)
        self.cluster.serve("b", S2)
        holder = self.holder("c1", "4.2")
        loops = {}
        for vers in "3", "4.0", "4.2":
            file = self.cluster.mount("c2", S2, vers=vers, at=f"/mnt/v{vers}") + f"/by{vers}"
            # The first time takes longer: there is a record to make.
            self.cluster.python("c2", "locks.py", "once", file)
            loops[vers] = self.cluster.spawn("c2", "locks.py", "loop", file, "--open",
                                             "--interval", "50", "--log", f"/run/loop{vers}")

        def trips():
            return [int(self.cluster["c2"].run(f"cat /run/loop{vers} 2>/dev/null | wc -l"))
                    for vers in loops]
        until(lambda: min(trips()) > 1, ROUND, "they do not begin")
        self.kill("a")
        self.takeover("b")
        self.check(holder)
        self.end("b")
        until(lambda: min(trips()) > 11, ROUND, "they do not go on")
        for vers, loop in loops.items():
            summary = loop.stop()
            print(f"    # NFSv{vers}: {summary}")
            self.assertEqual(summary["errors"], {}, vers)
            self.assertGreater(summary["count"], 10, vers)
            self.assertLess(summary["max"], self.LONGEST, vers)
        self.assertEqual(holder.stop()["errors"], {})
