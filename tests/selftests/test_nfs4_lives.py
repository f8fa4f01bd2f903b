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
        """A client dies with the node: the others go on, and it holds nobody up for ever."""
        self.serve()
        self.holder("c1", "4.2")
        holder = self.holder("c2", "4.2")
        self.kill("c1")
        self.kill("a")
        self.takeover("b", SHORT)
        self.check(holder)
        self.log_expect("b", "fsid=1234: recovery over, time is up: reclaimed=[0-9]+ refused=0 .*")
        until(lambda: len(self.cluster.status("b")) == 1, 2 * SHORT, "the recovery does not end")
        self.cluster.python("c2", "locks.py", "first", "/mnt/s1/c10", timeout=2 * ROUND)
        self.assertEqual(holder.stop()["errors"], {})

    def test_rebooted_client(self):
        """It does not reclaim, and what it asks for anew waits like everybody else's."""
        self.serve()
        self.holder("c1", "4.2")
        self.kill("c1")
        self.kill("a")
        self.takeover("b")
        self.cluster.boot("c1")
        self.cluster.client_up("c1")
        self.cluster.mount("c1", S1, vers="4.2")
        holder = self.cluster.spawn("c1", "locks.py", "hold", "/mnt/s1", LOCKS, "--prefix", "c1")
        until(lambda: int(self.unit("b")["waits"]) > 0, ROUND, "it does not wait")
        self.assertEqual(self.cluster.locks("b", S1), [])
        self.end("b")
        holder.expect(f"held {LOCKS}", 2 * ROUND)
        self.assertEqual(holder.stop()["errors"], {})

    def test_rebooted_server(self):
        """The node dies that clients have just reclaimed on, in the middle of the recovery."""
        self.serve()
        holder = self.holder("c1", "4.2")
        self.kill("a")
        self.takeover("b")
        self.check(holder)
        self.boot("a")
        self.kill("b")
        self.takeover("a")
        self.check(holder)
        self.end("a")
        self.assertEqual(len(self.cluster.locks("a", S1)), LOCKS)
        self.assertEqual(holder.stop()["errors"], {})

    def loaded_anew(self, vers):
        """The module goes and comes while the client works; then the node dies."""
        self.serve()
        holder = self.holder("c1", vers)
        self.check(holder)
        self.cluster.unload("a")
        self.check(holder)
        self.cluster.load("a")
        self.check(holder)
        self.kill("a")
        self.takeover("b")
        self.check(holder)
        self.end("b")
        self.assertEqual(len(self.cluster.locks("b", S1)), LOCKS)
        self.assertEqual(holder.stop()["errors"], {})

    def test_loaded_anew_40(self):
        self.loaded_anew("4.0")

    def test_loaded_anew_41(self):
        self.loaded_anew("4.1")

    def test_loaded_anew_42(self):
        self.loaded_anew("4.2")

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

    def test_many(self):
        """500 files that are open, with a lock each, and 1500 locks of one more."""
        self.serve()
        self.cluster.mount("c1", S1, vers="4.2")
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
