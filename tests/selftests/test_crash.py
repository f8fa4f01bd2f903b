# SPDX-License-Identifier: GPL-2.0-only
"""A node dies: another takes its filesystem over, and gives it back later."""

from testbed import S1, S2, Case, until

CLIENTS = ("c1", "c2", "c3")
WEIGHT = 5
LOCKS = 10
HOLDERS = ("c1", "c2")
FENCE = 300
RECOVERY = 200
# A VM boots meanwhile, but a client that was told to wait does so for 5 s.
LONGEST_STALL = 5.0


class Crash(Case):
    def takeover(self, node):
        """What the cluster manager does on the node that is to serve S1."""
        every = LOCKS * len(HOLDERS)
        self.expect_recovering(node, S1, RECOVERY)
        self.cluster.takeover(node, S1, RECOVERY)
        until(lambda: self.cluster.status(node)[0].get("reclaimed") == str(every), 150,
              f"{every} locks are not reclaimed on {node}")
        self.log_expect(node, rf"fsid=1234: recovery over, ended by hand: reclaimed={every} "
                        r"refused=0 waits=\d+")
        self.cluster.end_recovery(node, S1)
        self.assertEqual([how for _, how in self.cluster.locks(node, S1)], ["held"] * every)

    def rounds(self, rival, more):
        def done():
            return sum(line.startswith("round") for line in rival.output().splitlines())
        want = done() + more
        until(lambda: done() >= want, 120, "the rival does not get through its rounds")

    def test_crash_and_fail_back(self):
        """A node dies with the locks of two clients: all kept, also when they go back to it."""
        cluster = self.cluster
        cluster.serve("a", S1)
        cluster.serve("b", S2)
        for client in CLIENTS:
            cluster.mount(client, S1)
        cluster.mount("c3", S2)
        holders = [cluster.spawn(client, "locks.py", "hold", "/mnt/s1", LOCKS, "--prefix", client)
                   for client in HOLDERS]
        loop = cluster.spawn("c3", "locks.py", "loop", "/mnt/s2/bystander",
                             "--interval", "40", "--log", "/run/loop")
        for holder in holders:
            holder.expect(f"held {LOCKS}", 150)
        rivals = [cluster.spawn("c3", "locks.py", "rival", "/mnt/s1", LOCKS, "--prefix", client,
                                "--interval", "0.5") for client in HOLDERS]
        for rival in rivals:
            self.rounds(rival, 1)
        cluster.save_clients("a", S1)
        self.kill("a")
        self.takeover("b")
        for rival in rivals:
            self.rounds(rival, 2)
        for holder in holders:
            holder.signal("USR1")
            self.assertEqual(holder.expect("checked", 60), f"checked {LOCKS} errors 0")

        self.assertEqual(self.bed.revive(), ["a"])
        self.killed.discard("a")
        cluster["a"].run(f"echo 'canary {self.id()}' > /dev/kmsg")
        cluster.load("a")
        self.expected["a"] = []
        self.log_expect("a", "loaded")
        self.log_expect("b", rf"fsid=1234: released for {FENCE} s, "
                        rf"dropped locks={LOCKS * len(HOLDERS)} blocked=\d+ shares=0 files=\d+")
        cluster.release("b", S1, FENCE)
        self.takeover("a")
        for rival in rivals:
            self.rounds(rival, 2)
            summary = rival.stop()
            self.assertEqual(summary["grants"], 0, rival.output())
            self.assertEqual(summary["errors"], {})
        summary = loop.stop()
        print(f"    # bystander: {summary}")
        self.assertEqual(summary["errors"], {})
        self.assertLess(max(summary["max"], summary["unfinished"]), LONGEST_STALL)
        for holder in holders:
            self.assertEqual(holder.stop()["errors"], {})
