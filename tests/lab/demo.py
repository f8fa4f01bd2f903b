#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Moves a filesystem from server a to server b in three ways, with NFSv3 and with NFSv4.2, and compares.

Client c1 holds locks on it and works on b's own filesystem as a bystander; client c2
is the rival who wants the same locks. Everything that is printed was measured in this run.
"""

import argparse
import itertools
import json
import sys
import time

from cluster import BUILD, S1, S2, Cluster, Lab, LabError, until, write_whole

OURS = "with nfs_failover"
LOCKS = 10
# lockd's own grace period when its server restarts: 0 is its default, 50 s.
STOCK_GRACE = 0
RECOVERY = 50


class Demo:
    def __init__(self, kernel):
        self.began = time.monotonic()
        self.cluster = Cluster(Lab("demo"), clients=["c1", "c2"])
        self.kernel = kernel

    def say(self, text):
        print(f"[{time.monotonic() - self.began:5.0f}s] {text}", flush=True)

    def start(self):
        self.say("booting servers a, b and clients c1, c2")
        self.cluster.start(self.kernel)
        # Only the restart below is to wait for lockd's default grace period.
        self.cluster.up(nlm_grace=1, nfs4_grace=90)
        release = self.cluster["a"].run("uname -r").strip()
        self.say(f"all run Linux {release}; nfsd serves on a and b")

    def held(self, node):
        """How many locks clients have on S1 there."""
        minor = self.cluster[node].run(f"stat -c '%Hd %Ld' {S1.path}").split()
        device = "{:02x}:{:02x}:".format(*map(int, minor))
        return sum(device in line for line in
                   self.cluster[node].run("cat /proc/locks").splitlines())

    def move(self, title, vers, give, take, settle):
        """One way of moving S1; returns what came of it."""
        cluster = self.cluster
        self.say(f"--- {title}, NFSv{vers}")
        cluster.serve("a", S1)
        cluster.serve("b", S2)
        for client in cluster.clients:
            cluster.mount(client, S1, vers=vers)
        cluster.mount("c1", S2, vers=vers)
        holder = cluster.spawn("c1", "locks.py", "hold", "/mnt/s1", LOCKS)
        bystander = cluster.spawn("c1", "locks.py", "loop", "/mnt/s2/bystander",
                                  "--interval", "20", "--log", "/run/bystander.log")
        holder.expect(f"held {LOCKS}")
        rival = cluster.spawn("c2", "locks.py", "rival", "/mnt/s1", LOCKS, "--interval", "0.3")
        rival.expect("round")
        cluster["c1"].run("truncate -s 0 /run/bystander.log")
        until(lambda: int(cluster["c1"].run("wc -l < /run/bystander.log")) >= 200, 120,
              "the bystander does not get going")
        self.say(f"c1 holds {LOCKS} locks on s1, c2 is refused them, a bystander locks on s2")

        start = time.monotonic()
        moved_at = float(cluster["c1"].run("date +%s.%N"))
        give()
        self.say("a has let go of s1")
        take()
        self.say("b serves s1, its clients have been told")
        new = cluster.spawn("c1", "locks.py", "first", "/mnt/s1/new", "--timeout", "200")
        settle()
        if new.wait(250):
            raise LabError(f"c1 could not take a new lock: {new.errors()}")
        first = time.monotonic() - start
        self.say(f"c1 could take a new lock on s1 after {first:.1f} s")
        rounds = rival.output().count("round")
        until(lambda: rival.output().count("round") > rounds + 1, 200, "the rival is stuck")
        summary = rival.stop()
        kept = self.held("b")
        ended = float(cluster["c1"].run("date +%s.%N"))
        bystander.stop(200)
        stalls = {
            when: json.loads(cluster["c1"].run(
                f"python3 /lab/bin/locks.py stalls /run/bystander.log --wall {window}"))
            for when, window in (("before", f"--to {moved_at}"),
                                 ("during", f"--from {moved_at} --to {ended}"))}
        during = stalls["during"]
        if during["errors"]:
            raise LabError(f"the bystander saw errors: {during}")
        result = {"way": title, "vers": vers, "locks": LOCKS, "kept": kept, "rival": summary["grants"],
                  "stall_before": stalls["before"]["max"],
                  "stall": max(during["max"], during["unfinished"] or 0),
                  "new_lock": round(first, 1)}
        self.say(f"kept {kept} of {LOCKS} locks, the rival got {summary['grants']}, "
                 f"the bystander's longest stall was {result['stall']:.2f} s "
                 f"({result['stall_before']:.2f} s before)")
        self.clean()
        return result

    def clean(self):
        """Back to where every way starts from."""
        for client in self.cluster.clients:
            self.cluster[client].run(["python3", "/lab/bin/clean.py", "client"])
        for server in self.cluster.servers:
            self.cluster[server].run(
                ["python3", "/lab/bin/clean.py", "server", self.cluster[server].ip], timeout=120)

    # The ways of moving. Giving up is the same for stock servers: mainline has it.

    def give_stock(self):
        self.cluster.save_clients("a", S1)
        for ip in S1.ips:
            self.cluster.address_down("a", ip)
        self.cluster.unexport("a", S1)
        self.cluster["a"].run(f"echo {S1.path} > /proc/fs/nfsd/unlock_filesystem")
        self.cluster.umount("a", S1)

    def give_expired(self):
        """With NFSv4, unlock_filesystem can take the node down later; its clients are expired."""
        for ip in S1.ips:
            self.cluster.address_down("a", ip)
        self.cluster.unexport("a", S1)
        self.cluster["a"].run("for ctl in /proc/fs/nfsd/clients/*/ctl; do echo expire >$ctl; done")
        self.cluster.umount("a", S1)

    def take_stock(self):
        self.cluster.mount_fs("b", S1)
        self.cluster.export("b", S1)
        for ip in S1.ips:
            self.cluster.address_up("b", ip)
        self.cluster.notify("b", S1)

    def take_restart(self):
        self.cluster.mount_fs("b", S1)
        self.cluster.export("b", S1)
        self.say("restarting nfsd and lockd on b, which starts their grace period")
        self.cluster.server_up("b", nlm_grace=STOCK_GRACE, nfs4_grace=90)
        for ip in S1.ips:
            self.cluster.address_up("b", ip)
        self.cluster.notify("b", S1)

    def settled(self):
        pass

    def recovered(self):
        """All reclaims are in, which ends the recovery."""
        until(lambda: self.cluster.status("b")[0].get("phase") == "recovered", 30,
              "the locks are not reclaimed")
        self.say("all locks are reclaimed, the recovery is over")

    def completed(self):
        """All clients that had something say that they are through, which ends the recovery."""
        until(lambda: self.cluster.status("b")[0]["kind"] == "totals", 2 * RECOVERY,
              "the recovery does not end")
        self.say("all clients are through with their reclaims, the recovery is over")

    def stock(self):
        for vers, give in ("3", self.give_stock), ("4.2", self.give_expired):
            yield self.move("stock, no grace period", vers, give, self.take_stock, self.settled)
        for vers, give in ("3", self.give_stock), ("4.2", self.give_expired):
            yield self.move("stock, nfsd restarted", vers, give, self.take_restart, self.settled)

    def ours(self):
        self.cluster.server_up("b", nlm_grace=1, nfs4_grace=10)
        self.cluster.wait_no_grace("b")
        for server in self.cluster.servers:
            self.cluster.load(server)
        self.say("nfs_failover.ko is loaded on a and b")
        yield self.move(
            OURS, "3", lambda: self.cluster.release("a", S1, manifest=True),
            lambda: self.cluster.takeover("b", S1, RECOVERY), self.recovered)
        # It comes back to a without a recovery, so what clients have there is not all that they had.
        for server in self.cluster.servers:
            self.cluster[server].run(
                ["python3", "/lab/bin/clean.py", "server", self.cluster[server].ip, "module"], timeout=180)
            self.cluster.load(server)
        for server, fs in itertools.product(self.cluster.servers, (S1, S2)):
            self.cluster.command(server, "floating_ips", f"+{fs.ip}")
        yield self.move(OURS, "4.2", lambda: self.cluster.release("a", S1, nfs4=True),
                        lambda: self.cluster.takeover("b", S1, RECOVERY, clients=self.cluster.expired),
                        self.completed)

    def run(self):
        self.start()
        for server in self.cluster.servers:
            # Locks that clients keep to themselves cannot be counted.
            self.cluster[server].run("sysctl -q fs.leases-enable=0")
        return [*self.stock(), *self.ours()]


def table(results):
    head = ("way of moving s1 from a to b", "NFS", "locks kept", "rival got a lock",
            "bystander's longest stall", "(before)", "new lock after")
    rows = [head] + [
        (r["way"], r["vers"], f"{r['kept']} of {r['locks']}", f"yes, {r['rival']}" if r["rival"] else "never",
         f"{r['stall']:.2f} s", f"{r['stall_before']:.2f} s", f"{r['new_lock']} s")
        for r in results]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
             for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="7.2")
    options = parser.parse_args()
    demo = Demo(options.kernel)
    try:
        results = demo.run()
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        return 69
    finally:
        demo.cluster.lab.close()
    target = BUILD / "demo.json"
    write_whole(target, json.dumps(results, indent=1) + "\n")
    print(f"\n{table(results)}\n\n(the same as JSON: {target})")
    restarted, ours = results[2:4], results[4:]
    good = all(our["kept"] == LOCKS and not our["rival"] and stock["stall"] > 10 * our["stall"]
               for stock, our in zip(restarted, ours))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
