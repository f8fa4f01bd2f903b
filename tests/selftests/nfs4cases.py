# SPDX-License-Identifier: GPL-2.0-only
"""Cases of NFSv4 that several test files are made of."""

import json
import re

from testbed import S1, Case, until

LOCKS = 10
# None is waited for: a machine may be slow.
RECOVERY = 300
# No list of clients is believed for longer, on however busy a machine; and it cannot be ended once
# somebody has asked for one.
FENCE = 40
# An NFSv4 client that was told to wait tries again after 15 s at most.
ROUND = 150
# To nfsd each is another client, even of one machine.
VERSIONS = ("4.0", "4.1", "4.2")


class Nfs4Case(Case):
    def floating(self, fs=S1):
        """The address is one, everywhere."""
        for node in self.cluster.servers:
            self.log_expect(node, rf"ip={re.escape(fs.ip)}: floating address")
            self.cluster.command(node, "floating_ips", f"+{fs.ip}")

    def delegations(self, on):
        """Whether servers give any."""
        for node in self.cluster.servers:
            self.cluster[node].run(f"sysctl -q fs.leases-enable={int(on)}")
            if not on:
                self.addCleanup(self.delegate_again, node)

    def delegate_again(self, node):
        if node not in self.killed:
            self.cluster[node].run("sysctl -q fs.leases-enable=1")

    def holder(self, client, vers, locks=LOCKS, fs=S1):
        at = self.cluster.mount(client, fs, vers=vers)
        holder = self.cluster.spawn(client, "locks.py", "hold", at, locks, "--prefix", client)
        holder.expect(f"held {locks}", 60)
        return holder

    def mounts(self, client, versions=VERSIONS, fs=S1):
        """Mounts of these versions, {version: where}."""
        return {vers: self.cluster.mount(client, fs, vers=vers, at=f"/mnt/{fs.name}-{vers}")
                for vers in versions}

    def holders(self, client, *words, locks=LOCKS, versions=VERSIONS, fs=S1, name=None, at=None):
        """A client of each version, with locks of its own. name: what their files begin with, before the
        version; at: what mounts() has returned. words: more for locks.py, which hold half of the locks."""
        holders = [self.cluster.spawn(client, "locks.py", "hold", where, locks * (2 if words else 1),
                                      "--prefix", f"{name or client}-{vers}-", *words)
                   for vers, where in (at or self.mounts(client, versions, fs)).items()]
        for holder in holders:
            holder.expect(f"held {locks}", ROUND)
        return holders

    def rival(self, client, holder, vers, locks=LOCKS):
        """Another client that tries to get the locks of a holder all the time."""
        self.cluster.mount(client, S1, vers=vers)
        return self.cluster.spawn(client, "locks.py", "rival", "/mnt/s1", locks, "--prefix", holder,
                                  "--interval", "0.2")

    def rounds(self, rival, more):
        def done():
            return sum(line.startswith("round") for line in rival.output().splitlines())
        want = done() + more
        until(lambda: done() >= want, ROUND, "the rival does not get through its rounds")

    def takeover(self, node, seconds=RECOVERY):
        self.expect_recovering(node, S1, seconds)
        self.cluster.takeover(node, S1, seconds)

    def unit(self, node):
        return next(line for line in self.cluster.status(node) if line.get("fsid") == S1.fsid)

    def end(self, node, fs=S1):
        self.log_expect(node, rf"fsid={fs.fsid}: recovery over, ended by hand: "
                        r"reclaimed=\d+ refused=0 .*")
        self.cluster.end_recovery(node, fs)

    def end_late(self, node, fs=S1):
        """The same where a list that was given away says that nothing is granted here for some time."""
        self.log_expect(node, rf"fsid={fs.fsid}: recovery over, ended by hand: "
                        r"reclaimed=\d+ refused=0 .*")
        end = f"echo {fs.fsid} 0 >/proc/fs/nfsd/nlm_set_igrace"
        until(lambda: self.cluster[node].exec(end).status == 0, 3 * FENCE, "the recovery goes on")

    def forget_raw(self, client):
        """Clients of play() on that node begin with nothing."""
        self.cluster[client].run("rm -f /run/nfs4-*")

    def play(self, vers, name, *rows, fs=S1, ip=None, client="c1"):
        """Requests of a client of our own, and the answers that they must get."""
        given = {"version": vers, "host": ip or fs.ip, "export": fs.path, "name": f"{name}-{vers}",
                 "steps": [step for _, step in rows]}
        answers = json.loads(self.cluster[client].run(["python3", "/lab/bin/nfs4_batch.py"],
                                                      input=json.dumps(given).encode()))
        wrong = [f"{vers} {step}: {got}, expected {want}"
                 for (want, step), got in zip(rows, answers, strict=True) if got != want]
        self.assertEqual(wrong, [])

    def check(self, holder, locks=LOCKS):
        """The application writes under its locks, as if nothing had happened."""
        holder.signal("USR1")
        self.assertEqual(holder.expect("checked", ROUND), f"checked {locks} errors 0")

    def check_all(self, holders):
        for holder in holders:
            self.check(holder)

    def stop_all(self, holders):
        for holder in holders:
            self.assertEqual(holder.stop()["errors"], {})


class PlannedCase(Nfs4Case):
    """Moves by command, there and back."""

    def setUp(self):
        super().setUp()
        # How many clients have something to get back where a filesystem comes next, and whether they
        # say when they have it.
        self.awaited, self.completes = {}, {}
        self.cluster.configure()
        for node in self.cluster.servers:
            self.cluster[node].run(
                f"sed -i '/^prefix/a grace = {RECOVERY}\\nfence = {FENCE}' /etc/nfs-failover.toml")

    def take(self, node, fs=S1, listed=(), words=()):
        """listed: what the log says of a manifest."""
        self.expect_recovering(node, fs, RECOVERY)
        self.log_expect(node, rf"ip={re.escape(fs.ip)}: floating address", *listed)
        if self.awaited.get(fs):
            self.log_expect(node, rf"fsid={fs.fsid}: waiting for {self.awaited[fs]} NFSv4 clients")
        self.cluster.ctl(node, "takeover", fs.name, "--mount", "--export", "--address",
                         "--expect-none", *words)

    def give(self, node, fs=S1):
        """Unmounted at the first try, and no list is left that tells half of it."""
        self.log_expect(node, rf"fsid={fs.fsid}: released for {FENCE} s, dropped locks=0 .*",
                        rf"ip={re.escape(fs.ip)}: no floating address any more")
        said = self.cluster.ctl(node, "release", fs.name, "--address", "--unexport", "--umount").text
        self.assertRegex(said, r"nfs4: .* done \(\d+")
        found = re.search(r"takeover waits (its time )?for (\d+) of them", said)
        self.awaited[fs] = found and int(found[2])
        self.completes[fs] = found and not found[1]
        self.assertRegex(said.splitlines()[-1],
                         f"now: {fs.name} is not mounted, not exported, .* is down")

    def end(self, node, fs=S1):
        """By itself, if it is known whom it waits for."""
        if not self.completes.get(fs):
            return super().end(node, fs)
        self.log_expect(node, rf"fsid={fs.fsid}: recovery over, all NFSv4 clients have completed "
                        r"their reclaims: reclaimed=\d+ refused=0 .*")
        until(lambda: all(line.get("fsid") != fs.fsid for line in self.cluster.status(node)), ROUND,
              "the recovery does not end")

    def log(self, node):
        # It may be over before the test is.
        return [line for line in super().log(node) if "fence over, time is up" not in line]
