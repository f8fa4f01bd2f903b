# SPDX-License-Identifier: GPL-2.0-only
"""Locking as fast as it goes while a filesystem is released and recovers, again and again.

In old kernels a release met blocked requests that were being granted, cancelled or
retried, and lockd locked up. All clients stay on one node here: a round is a move that
comes back at once, and no client may notice more than a delay.
"""

import re


from testbed import S1, S2, Case, until

SERVERS = ("a",)
CLIENTS = ("c1", "c2", "c3", "c4")
WEIGHT = 10
ROUNDS = 6
FENCE = 120
RECOVERY = 200
# What is done to others all the time. S2 is served, but nobody uses it.
STORM = """
echo $$ > /run/storm.pid
while :; do
    echo 10.77.0.101 > /proc/fs/nfsd/unlock_ip
    echo /srv/s2 > /proc/fs/nfsd/unlock_filesystem
    sleep 0.2
done
"""
LOST = re.compile(r"lockd: (failed to reclaim|spurious grace|.*unable to reclaim).*")


class Hammer(Case):
    def log(self, node):
        # Waiters are to form circles; lockd says so when it meets one late.
        return [line for line in super().log(node)
                if line != "lockd: unexpected error 35 in nlmsvc_grant_blocked!"]

    def write(self, file, text):
        self.cluster["a"].run(f"echo '{text}' > /proc/fs/nfsd/{file}")

    def unit(self):
        return next(line for line in self.cluster.status("a") if line.get("fsid") == S1.fsid)

    def step(self, program):
        return int(([0] + program.output().split())[-1])

    def progress(self):
        """Every process of every client gets on: each ends what it is at, and something more."""
        before = {program: self.step(program) for program in self.hammers}
        until(lambda: all(self.step(program) > before[program] + 2 for program in self.hammers),
              120, f"a process of a client hangs: {before}")

    def release(self, again):
        self.expect_released("a", S1, FENCE, shares=0)
        self.write("nlm_unlock", f"{S1.fsid} fence={FENCE}")
        if again:
            # Behind the fence there is nothing left to lose.
            self.write("unlock_ip", S1.ip)
            self.write("unlock_filesystem", S1.path)
        until(lambda: int(self.unit()["waits"]) >= len(CLIENTS), 60, "nobody waits")

    def others(self, fence):
        """S2 goes as well, and its fence ends as soon as it is there."""
        for seconds in fence, 0:
            self.expect_released("a", S2, seconds, locks=0, blocked=0, shares=0, files=0)
            self.write("nlm_unlock", f"5678 fence={seconds}")

    def recover(self):
        self.expect_recovering("a", S1, RECOVERY)
        self.write("nlm_set_igrace", f"{S1.fsid} {RECOVERY}")
        self.cluster.notify("a", S1)
        # A client reclaims one lock after the other in a thread of its own. It has begun when
        # the lock is there that the client always holds, and is done when the thread is gone.
        until(lambda: self.markers <= {inode for inode, how in self.cluster.locks("a", S1)
                                       if how == "held"}, 90, "a client does not reclaim")
        for client in CLIENTS:
            until(lambda: self.cluster[client].exec(
                "grep -lse '-reclaim$' /proc/[0-9]*/comm").status != 0, 90,
                f"{client} does not end reclaiming")
        self.log_expect("a", r"fsid=1234: recovery over, ended by hand: reclaimed=\d+ "
                        r"refused=0 waits=\d+")
        self.assertGreaterEqual(int(self.unit()["reclaimed"]), len(CLIENTS))
        self.cluster.end_recovery("a", S1)

    def start(self):
        cluster = self.cluster
        cluster.serve("a", S1)
        cluster.serve("a", S2)
        for client in CLIENTS:
            # What earlier tests had it log is none of this one.
            cluster[client].run(f"echo 'canary {self.id()}' > /dev/kmsg")
            cluster.mount(client, S1)
        holders = {client: cluster.spawn(client, "locks.py", "hold", "/mnt/s1", 1,
                                         "--prefix", f"marker-{client}-") for client in CLIENTS}
        for holder in holders.values():
            holder.expect("held 1", 150)
        self.markers = set(map(int, cluster["a"].run("stat -c %i /srv/s1/marker*").split()))
        self.assertEqual(len(self.markers), len(CLIENTS))
        waiter = cluster.spawn("c2", "locks.py", "wait", "/mnt/s1/marker-c1-0")
        waiter.expect("waiting", 150)
        self.hammers = [cluster.spawn(client, "locks.py", "hammer", "/mnt/s1", 3600, "--procs", 3,
                                      "--stuck", 150, "--seed", seed)
                        for seed, client in enumerate(CLIENTS)]
        cluster.save_clients("a", S1)
        cluster["a"].run(["sh", "-c", f"setsid sh -c '{STORM}' >/dev/null 2>&1 </dev/null &"])
        self.addCleanup(cluster["a"].exec, "kill $(cat /run/storm.pid)")
        return holders, waiter

    def test_releases_and_recoveries(self):
        """No hang, no lost wake-up, no error and no lock held twice, whatever is released."""
        holders, waiter = self.start()
        self.progress()
        for number in range(ROUNDS):
            self.release(again=number % 2)
            self.others(30)
            self.recover()
            self.progress()
        counts, errors = {}, []
        # All at once, or those who end are kept from it by those who go on.
        for program in self.hammers:
            program.signal()
        for client, program in zip(CLIENTS, self.hammers):
            summary = program.stop(300)
            if summary["errors"] or summary["hung"]:
                errors.append(f"{client}: {summary} {program.errors()[-2000:]}")
            for key, value in summary["counts"].items():
                counts[key] = counts.get(key, 0) + value
        print(f"    # {counts}")
        self.assertEqual(errors, [])
        for key in ("lock granted", "lock denied", "wait granted", "wait cancelled", "test held",
                    "unlock done"):
            self.assertGreater(counts.get(key, 0), 0, counts)
        self.assertEqual(waiter.output(), "waiting")
        until(lambda: "blocked" in [how for _, how in self.cluster.locks("a", S1)], 60,
              "the waiting lock request is gone from the server")
        holders["c1"].stop()
        # A client that was not called back asks again after 30 s only.
        waiter.expect("granted", 20)
        for client in CLIENTS[1:]:
            self.assertEqual(holders[client].stop()["errors"], {})
        for client in CLIENTS:
            lost = [line for line in self.log(client) if LOST.search(line)]
            self.assertEqual(lost, [], client)
