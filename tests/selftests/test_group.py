# SPDX-License-Identifier: GPL-2.0-only
"""Two filesystems behind one floating IP: they move as one, and each recovers by itself."""

import dataclasses
import json
import re

from cluster import CTL
from nfs4cases import FENCE, LOCKS, RECOVERY, ROUND, PlannedCase
from testbed import NOISE, S1, S2, until

CLIENTS = ("c1", "c2", "c3")
IP = S1.ip
FIRST, SECOND = BOTH = tuple(dataclasses.replace(fs, ips=(IP,)) for fs in (S1, S2))
FILESYSTEMS = BOTH
NAMES = tuple(fs.name for fs in BOTH)
WEIGHT = 2
# It is about the command, whatever the kernel.
ONE_KERNEL = True
OVER = (r"fsid=\d+: recovery over, nothing is outstanding: reclaimed=\d+ refused=0 waits=\d+ "
        r"manifest=\d+ outstanding=0")


class Group(PlannedCase):
    def setUp(self):
        super().setUp()
        self.delegations(False)
        self.log_expect("a", *self.recovering_and_floating())
        self.cluster.ctl("a", "takeover", *NAMES, "--mount", "--export", "--address", "--expect-none")
        for fs in BOTH:
            self.end("a", fs)

    def recovering_and_floating(self):
        """Both recover before anything else."""
        return [*(f"fsid={fs.fsid}: recovering for {RECOVERY} s" for fs in BOTH),
                rf"ip={re.escape(IP)}: floating address"]

    def give_all(self, node):
        self.log_expect(node, *(rf"fsid={fs.fsid}: released for {FENCE} s, dropped .*" for fs in BOTH),
                        rf"ip={re.escape(IP)}: no floating address any more")
        said = self.cluster.ctl(node, "release", *NAMES, "--address", "--unexport", "--umount").text
        for line, fs in zip(said.splitlines()[-2:], BOTH, strict=True):
            self.assertRegex(line, f"now: {fs.name} is not mounted, not exported, .* is down")
        return said

    def take_all(self, node, *expect, words=()):
        self.log_expect(node, *self.recovering_and_floating(), *expect)
        said = self.cluster.ctl(node, "--json", "takeover", *NAMES, "--mount", "--export", "--address",
                                *words).text
        return json.loads(said)["services"][0]["notify"]

    def hold_on(self, client, vers):
        return [self.holder(client, vers, fs=fs) for fs in BOTH]

    def rivals(self, client, holder, vers="3"):
        """One for each filesystem."""
        found = []
        for fs in BOTH:
            at = self.cluster.mount(client, fs, vers=vers, at=f"/mnt/rival-{fs.name}")
            found.append(self.cluster.spawn(client, "locks.py", "rival", at, LOCKS, "--prefix", holder,
                                            "--interval", "0.2"))
            self.rounds(found[-1], 1)
        return found

    def all_back(self, node, holders, each):
        """Everybody has what he had, on both."""
        for fs in BOTH:
            until(lambda fs=fs: len(self.cluster.locks(node, fs)) == each, 2 * ROUND,
                  f"locks of {fs.name} are missing on {node}")
        for holder in holders:
            self.check(holder)

    def end_all(self, node):
        for fs in BOTH:
            self.end(node, fs)

    def nothing_lost(self, holders, rivals):
        for rival in rivals:
            self.rounds(rival, 2)
            summary = rival.stop()
            self.assertEqual((summary["grants"], summary["errors"]), (0, {}), rival.output())
        for holder in holders:
            self.assertEqual(holder.stop()["errors"], {})

    def records(self, node):
        return [self.cluster[node].run(f"ls {fs.path}/.nsm/{IP}/clients").split() for fs in BOTH]

    def test_refused(self):
        """One of them does not go alone, and nothing has changed by asking."""
        for command in "release", "takeover":
            said = self.cluster.ctl("a", command, FIRST.name, statuses=(1,))
            self.assertIn(f"nfs-failoverctl {command} s1 s2", said.err.decode())
        node = self.cluster["a"]
        node.run(f"cd {SECOND.path}; setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >/run/user")
        try:
            said = self.cluster.ctl("a", "release", *NAMES, "--address", "--unexport", "--umount",
                                    statuses=(1,)).text
        finally:
            node.run("kill $(cat /run/user)")
        self.assertIn("works in /srv/s2", said)
        self.assertEqual(said.count("; nothing has changed"), 2)

    def test_called_off(self):
        """One cannot be unmounted: the other comes back, and both recover where they were."""
        holders = self.hold_on("c1", "3") + self.hold_on("c2", "4.2")
        rivals = self.rivals("c3", "c1")
        node = self.cluster["a"]
        fake = "/usr/local/sbin/umount"
        node.run(f"printf '%s\\n' '#!/bin/sh' '[ $1 = {SECOND.path} ] || exec /usr/bin/umount \"$@\"' "
                 f"'echo umount: target is busy >&2; exit 32' >{fake}; chmod 755 {fake}")
        self.addCleanup(node.exec, f"rm -f {fake}")
        try:
            said = self.cluster.ctl("a", "release", *NAMES, "--address", "--unexport", "--umount",
                                    statuses=(1,)).text
        finally:
            node.run(f"rm -f {fake}")
        print("".join(f"    # {line}\n" for line in said.splitlines()), end="")
        self.assertIn(f"umount: umount {FIRST.path} ... done", said)
        for line, fs in zip(said.splitlines()[-2:], BOTH, strict=True):
            self.assertRegex(line, f"now: {fs.name} is mounted, exported, {IP} is up, "
                                   "recover.*; the release was called off$")
        self.all_back("a", holders, 2 * LOCKS)
        # What the kernel says of it, apart from what is looked at here.
        lines = [line for line in self.log("a") if "nfs_failover" in line and not NOISE.search(line)]
        self.assertEqual([line for line in lines if re.search("refused=[1-9]", line)], [])
        self.expected["a"] = [re.escape(line) for line in lines]
        for fs in BOTH:
            self.end_late("a", fs)
        self.nothing_lost(holders, rivals)

    def test_planned(self):
        """Clients of NFSv3 and NFSv4.2 with locks on both, there and back."""
        holders = self.hold_on("c1", "3") + self.hold_on("c2", "4.2")
        rivals = self.rivals("c3", "c1")
        for source, target in ("a", "b"), ("b", "a"):
            self.give_all(source)
            self.take_all(target, *self.both_lists())
            self.all_back(target, holders, 2 * LOCKS)
            self.recovered(target)
        self.nothing_lost(holders, rivals)

    def both_lists(self):
        """What the log says where one has locks by NFSv3 on each and one by NFSv4, until all is back."""
        lines = [[f"fsid={fs.fsid}: manifest of {LOCKS} locks and shares",
                  f"fsid={fs.fsid}: waiting for 1 NFSv4 clients"] for fs in BOTH]
        return sum(lines, []) + [OVER] * 2

    def recovered(self, node):
        for fs in BOTH:
            until(lambda fs=fs: self.unit_of(node, fs)["phase"] == "recovered",
                  2 * ROUND, f"the recovery of {fs.name} does not end")

    def test_lists(self):
        """Of NFSv3, each takes a list of its own along, and its recovery is over with its own locks."""
        holders = [*self.hold_on("c1", "3"), self.holder("c2", "3", locks=3)]
        rivals = self.rivals("c3", "c1")
        for source, target in ("a", "b"), ("b", "a"):
            self.give_all(source)
            self.take_all(target,
                          rf"fsid={FIRST.fsid}: manifest of {LOCKS + 3} locks and shares",
                          rf"fsid={SECOND.fsid}: manifest of {LOCKS} locks and shares",
                          *[OVER] * 2)
            self.recovered(target)
            self.assertEqual([self.unit_of(target, fs)["reclaimed"] for fs in BOTH],
                             [str(LOCKS + 3), str(LOCKS)])
            for holder in holders[:2]:
                self.check(holder)
            self.check(holders[2], 3)
        self.nothing_lost(holders, rivals)

    def unit_of(self, node, fs):
        return next(line for line in self.cluster.status(node) if line.get("fsid") == fs.fsid)

    def test_clients(self):
        """Of NFSv4.2, each takes along who had something there, also who has gone with the other."""
        holders = [*self.hold_on("c1", "4.2"), self.holder("c2", "4.2", fs=SECOND)]
        for source, target in ("a", "b"), ("b", "a"):
            said = self.give_all(source)
            self.assertEqual(re.findall(r"takeover waits for (\d+) of them", said), ["1", "2"])
            self.take_all(target,
                          f"fsid={FIRST.fsid}: waiting for 1 NFSv4 clients",
                          f"fsid={SECOND.fsid}: waiting for 2 NFSv4 clients",
                          *[r"fsid=\d+: recovery over, all NFSv4 clients have completed their "
                            r"reclaims: reclaimed=\d+ refused=0 .*"] * 2,
                          words=("--expect-none",))
            for holder in holders:
                self.check(holder)
            until(lambda node=target: not any(line.get("phase") == "recovering"
                                              for line in self.cluster.status(node)),
                  2 * ROUND, "the recoveries do not end")
        self.nothing_lost(holders, [])

    def test_through(self):
        """Clients of NFSv3 on the second are told when those of NFSv4.2 on the first are through."""
        holders = [self.holder("c1", "3", fs=SECOND), self.holder("c2", "4.2", fs=FIRST)]
        for source, target in ("a", "b"), ("b", "a"):
            self.give_all(source)
            self.take_all(target,
                          f"fsid={FIRST.fsid}: waiting for 1 NFSv4 clients",
                          f"fsid={SECOND.fsid}: manifest of {LOCKS} locks and shares",
                          rf"fsid={FIRST.fsid}: recovery over, all NFSv4 clients have completed their "
                          r"reclaims: reclaimed=\d+ refused=0 .*",
                          rf"fsid={SECOND.fsid}: recovery over, nothing is outstanding: "
                          rf"reclaimed={LOCKS} refused=0 .*",
                          words=("--no-notify",))
            until(lambda node=target: all(line.get("fsid") != FIRST.fsid
                                          for line in self.cluster.status(node)),
                  ROUND, "the recovery of the first does not end")
            self.cluster.ctl(target, "notify", "--ip", IP)
            until(lambda node=target: len(self.cluster.locks(node, SECOND)) == LOCKS, ROUND,
                  f"locks of {SECOND.name} are missing on {target}")
            for holder in holders:
                self.check(holder)
        self.nothing_lost(holders, [])

    def agent(self, node, action):
        """An action of the agent for Pacemaker, as that would call it; for both."""
        self.cluster[node].run(f"OCF_RESKEY_service=s1 OCF_RESKEY_CRM_meta_timeout=600000 "
                               f"{CTL} --quiet ocf {action}", timeout=150)

    def test_agent(self):
        """The agent, between what a cluster manager's others do: one resource for both."""
        holders = self.hold_on("c1", "3") + self.hold_on("c2", "4.2")
        rivals = self.rivals("c3", "c1")
        self.give_all("a")
        for node in "b", "a":
            for fs in BOTH:
                self.cluster.mount_fs(node, fs)
                self.cluster.export(node, fs)
            self.log_expect(node, *self.recovering_and_floating(), *self.both_lists())
            self.agent(node, "start")
            self.cluster.address_up(node, IP)
            self.all_back(node, holders, 2 * LOCKS)
            self.agent(node, "monitor")
            self.recovered(node)
            if node == "a":
                break
            self.cluster.address_down(node, IP)
            self.log_expect(node, *(rf"fsid={fs.fsid}: released for {FENCE} s, dropped .*"
                                    for fs in BOTH),
                            rf"ip={re.escape(IP)}: no floating address any more")
            self.agent(node, "stop")
            for fs in BOTH:
                self.cluster.unexport(node, fs)
                self.cluster.umount(node, fs)
        self.nothing_lost(holders, rivals)

    def test_crash(self):
        """A client is on record on both, wherever it has locks, and is told once."""
        holders = self.hold_on("c1", "3") + self.hold_on("c2", "4.2")
        rivals = self.rivals("c3", "c1")
        own = [self.cluster[client].ip for client in ("c1", "c3")]
        self.assertEqual(self.records("a"), [own, own])
        self.kill("a")
        report = self.take_all("b")
        told = {client["client"]: client["answered"] for client in report["clients"]}
        self.assertEqual(told, dict.fromkeys(own, True))
        states = {self.cluster["b"].run(f"cat {fs.path}/.nsm/{IP}/state") for fs in BOTH}
        self.assertEqual(states, {str(report["state"])})
        self.all_back("b", holders, 2 * LOCKS)
        self.assertEqual([self.unit_of("b", fs)["refused"] for fs in BOTH], ["0", "0"])
        self.end_all("b")
        self.nothing_lost(holders, rivals)
