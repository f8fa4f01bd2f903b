# SPDX-License-Identifier: GPL-2.0-only
"""A node dies, and nfs-failoverctl takes over from it: real statd, real clients, real crash."""

import json
import re

from cluster import CTL, S3
from testbed import NOISE, S1, S2, Case, until

CLIENTS = ("c1", "c2", "c3", "c4")
FILESYSTEMS = (S1, S2, S3)
IP = S1.ip
LOCKS = 20
# Long enough for the manifest to be believed where it goes.
FENCE = 30
RECOVERY = 200
# It is about the command, whatever the kernel.
ONE_KERNEL = True


class Base(Case):
    """Taking over by command."""

    refuse = False

    def setUp(self):
        super().setUp()
        self.cluster.configure(self.refuse)

    def floating(self, node, ip):
        confirm = ", records confirmed" if self.refuse else ""
        return rf"ip={re.escape(ip)}: floating address{confirm}"

    def take(self, node, fs, *words, notify=True):
        """All of a takeover but the announcement of the address, which is the lab's."""
        ctl = self.cluster.ctl
        self.expect_recovering(node, fs, RECOVERY)
        self.log_expect(node, self.floating(node, fs.ip))
        ctl(node, "takeover", fs.name, "--mount", "--export", "--no-notify", "--grace", RECOVERY,
            *words)
        self.cluster.address_up(node, fs.ip)
        if notify:
            return json.loads(ctl(node, "--json", "notify", "--ip", fs.ip).text)
        return None

    def give(self, node, fs):
        self.expect_released(node, fs, FENCE)
        self.log_expect(node, rf"ip={fs.ip}: no floating address any more")
        self.cluster.ctl(node, "release", fs.name, "--address", "--unexport", "--umount",
                         "--fence", FENCE)

    def connected(self, node, clients):
        """Where clients have connections from, each to nfsd and to lockd."""
        found = {line.split()[3].replace("[::ffff:", "").replace("]", "").replace(":", ".")
                 for line in self.cluster[node].run(
                     f"ss -Htn state established src {IP}").splitlines()}
        self.assertGreaterEqual(len(found), 2 * clients)
        return found

    def reset(self, capture):
        """Which of them were ended."""
        return {packet.split()[4].rstrip(":") for packet in self.cluster.lab.captured(
            capture, f"src host {IP} and tcp[tcpflags] & tcp-rst != 0")}

    def unit(self, node, fs=S1):
        return next(line for line in self.cluster.status(node) if line.get("fsid") == fs.fsid)

    def end(self, node, fs, reclaimed):
        """All locks are back; the grace period is not needed any more."""
        until(lambda: int(self.unit(node, fs)["reclaimed"]) >= reclaimed, 150,
              f"{reclaimed} locks are not reclaimed on {node}")
        self.log_expect(node, rf"fsid={fs.fsid}: recovery over, ended by hand: "
                        r"reclaimed=\d+ refused=0 waits=\d+")
        self.assertEqual(self.unit(node, fs)["reclaimed"], str(reclaimed))
        self.cluster.end_recovery(node, fs)

    def holder(self, client, fs, locks=LOCKS):
        self.cluster.mount(client, fs)
        holder = self.cluster.spawn(client, "locks.py", "hold", f"/mnt/{fs.name}", locks,
                                    "--prefix", client)
        holder.expect(f"held {locks}", 150)
        return holder

    def address(self, client):
        return self.cluster[client].ip

    def records(self, node, fs=S1, ip=IP):
        return self.cluster[node].run(f"ls {fs.path}/.nsm/{ip}/clients").split()

    def state(self, node):
        """The number that was sent last."""
        return int(self.cluster[node].run(f"cat {S1.path}/.nsm/{IP}/state"))

    def check(self, holder, locks=LOCKS):
        """The application writes under its locks, as if nothing had happened."""
        holder.signal("USR1")
        self.assertEqual(holder.expect("checked", 150), f"checked {locks} errors 0")

    def mounted(self, *clients):
        for client in clients:
            self.cluster.mount(client, S1)

    def lock(self, client):
        """Lock and unlock; returns the error's name."""
        return self.cluster.python(client, "locks.py", "once", "/mnt/s1/file")


class Takeover(Base):
    """Where records are made as well as can be."""

    def test_crash(self):
        """Who uses the address of the dead node reclaims, and nobody else hears of anything."""
        cluster = self.cluster
        self.take("a", S1)
        self.take("a", S2)
        self.take("b", S3)
        self.end("a", S1, 0)
        self.end("a", S2, 0)
        self.end("b", S3, 0)
        holders = {client: self.holder(client, fs) for client, fs in
                   (("c1", S1), ("c2", S1), ("c3", S2), ("c4", S3))}
        self.assertEqual(self.records("a"), [self.address("c1"), self.address("c2")])
        self.assertEqual(self.records("a", S2, S2.ip), [self.address("c3")])
        self.kill("a")
        capture = cluster.lab.dir / "takeover.pcap"
        cluster.lab.capture_start(capture)
        report = self.take("b", S1)
        self.end("b", S1, 2 * LOCKS)
        cluster.lab.capture_stop()
        told = {client["client"]: client["answered"] for client in report["clients"]}
        self.assertEqual(told, {self.address("c1"): True, self.address("c2"): True})
        # From the address, by UDP, to nobody else; and nothing at all for c4.
        sent = cluster.lab.captured(capture, f"src host {IP} and udp")
        self.assertEqual({packet.split()[4].rpartition(".")[0] for packet in sent},
                         {self.address("c1"), self.address("c2")})
        for client in "c3", "c4":
            self.assertEqual(cluster.lab.captured(
                capture, f"udp and host {self.address(client)} and not arp"), [])
        for client in "c1", "c2", "c4":
            self.check(holders[client])
        self.assertEqual(self.state("b") % 2, 1)
        for client in "c1", "c2", "c4":
            self.assertEqual(holders[client].stop()["errors"], {})

    def test_back_and_forth(self):
        """A to B to A to B: each time all locks go along, whoever counted before."""
        self.take("a", S1)
        self.end("a", S1, 0)
        holders = [self.holder(client, S1) for client in ("c1", "c2")]
        every = len(holders) * LOCKS
        source, target, states = "a", "b", []
        capture = self.cluster.lab.dir / "moves.pcap"
        for _ in range(3):
            connected = self.connected(source, len(holders))
            self.cluster.lab.capture_start(capture)
            self.give(source, S1)
            # They would connect again, to a node from which the address goes.
            self.assertEqual(self.reset(capture), set())
            self.log_expect(target, f"fsid=1234: recovering for {RECOVERY} s",
                            self.floating(target, IP),
                            f"fsid=1234: manifest of {every} locks and shares")
            self.cluster.ctl(target, "takeover", "s1", "--mount", "--export", "--no-notify",
                             "--grace", RECOVERY)
            self.cluster.address_up(target, IP)
            self.log_expect(target, r"fsid=1234: recovery over, nothing is outstanding: "
                            rf"reclaimed={every} refused=0 waits=\d+ manifest={every} outstanding=0")
            self.cluster.ctl(target, "notify", "--ip", IP)
            until(lambda node=target: self.unit(node)["phase"] == "recovered", 100,
                  "not all locks are reclaimed")
            self.cluster.lab.capture_stop()
            # What they answer to lockd would be lost on connections that nobody has any more.
            self.assertEqual(connected - self.reset(capture), set())
            states.append(self.state(target))
            for holder in holders:
                self.check(holder)
            source, target = target, source
        self.assertEqual([state % 2 for state in states], [1, 1, 1])
        self.assertEqual(states, sorted(set(states)))
        for holder in holders:
            self.assertEqual(holder.stop()["errors"], {})

    def test_interrupted(self):
        """A takeover that is killed again and again, and then repeated, is none the worse."""
        self.take("a", S1)
        self.end("a", S1, 0)
        holder = self.holder("c1", S1)
        self.kill("a")
        node = self.cluster["b"]
        words = f"{CTL} takeover s1 --mount --export --no-notify --grace {RECOVERY}"
        for delay in "0.02", "0.1", "0.2", "0.4", "0.8":
            node.exec(f"timeout -s KILL {delay} {words}", timeout=60)
        said = node.exec(words, timeout=60)
        self.assertEqual(said.status, 0, said)
        self.cluster.address_up("b", IP)
        for _ in range(3):
            node.exec(f"timeout -s KILL 0.1 {CTL} notify --ip {IP}", timeout=60)
        self.cluster.ctl("b", "notify", "--ip", IP)
        until(lambda: len(self.cluster.locks("b", S1)) == LOCKS, 100, "locks are missing")
        self.assertEqual(self.unit("b")["refused"], "0")
        self.check(holder)
        self.assertEqual(holder.stop()["errors"], {})
        # How far it got each time is a matter of luck.
        lines = [line for line in self.log("b") if not NOISE.search(line)]
        for line in lines[1:]:
            self.assertRegex(line, r"(ip=\S+: floating address|fsid=1234: recovering for 200 s)$")
        self.expected["b"] = [re.escape(line) for line in lines]

    def test_second_crash(self):
        """Who takes over dies in the middle of it; the first node, back again, takes over then."""
        cluster = self.cluster
        self.take("a", S1)
        self.end("a", S1, 0)
        holders = [self.holder(client, S1) for client in ("c1", "c2")]
        every = len(holders) * LOCKS
        self.kill("a")
        self.take("b", S1)
        until(lambda: int(self.unit("b")["reclaimed"]) > 0, 100, "nothing is reclaimed")
        self.kill("b")
        self.bed.revive()
        cluster.configure(self.refuse)
        cluster.load("a")
        self.take("a", S1)
        until(lambda: len(cluster.locks("a", S1)) == every, 150, "locks are missing")
        self.assertEqual(self.unit("a")["refused"], "0")
        self.assertEqual(self.state("a") % 2, 1)
        cluster.end_recovery("a", S1)
        for holder in holders:
            self.check(holder)
            self.assertEqual(holder.stop()["errors"], {})

    def test_reboot_of_a_client(self):
        """A client that restarts after its server has moved gives up its locks there."""
        self.take("a", S1)
        self.end("a", S1, 0)
        self.holder("c1", S1, 1)
        self.cluster.mount("c2", S1)
        self.kill("a")
        self.take("b", S1)
        self.end("b", S1, 1)
        rival = self.cluster.spawn("c2", "locks.py", "wait", "/mnt/s1/c10")
        rival.expect("waiting")
        state = self.cluster["c1"].exec("tar -C /var/lib/nfs -c sm state | base64").out
        self.killed.add("c1")
        self.cluster["c1"].kill()
        self.bed.revive()
        self.cluster["c1"].run("base64 -d | tar -C /var/lib/nfs -x", input=state)
        self.cluster["c1"].run("sm-notify -f")
        rival.expect("granted", 100)

    def test_old_list(self):
        """statd's own list does not speak for an address that has moved on."""
        self.take("a", S1)
        self.end("a", S1, 0)
        holder = self.holder("c1", S1, 1)
        node = self.cluster["a"]
        self.assertIn(IP, node.run("cat /var/lib/nfs/sm/*"))
        node.run("echo 'left 1 2 3 4 10.77.0.99 a' > /var/lib/nfs/sm/other")
        # As long as the address is active here, statd has to know.
        self.cluster.ctl("a", "boot")
        self.assertIn(IP, node.run("cat /var/lib/nfs/sm/*"))
        self.log_expect("a", f"ip={IP}: no floating address any more")
        self.cluster.command("a", "floating_ips", f"-{IP}")
        # statd runs, and must not remember either: it would not record the client again.
        self.cluster.ctl("a", "boot")
        left = node.run("cat /var/lib/nfs/sm/*")
        self.assertIn("10.77.0.99", left)
        self.assertNotIn(IP, left.split())
        node.run("rm /var/lib/nfs/sm/other")
        self.assertEqual(holder.stop()["errors"], {})



class Full(Base):
    """Where no lock is to be granted without a durable record."""

    refuse = True

    def test_full(self):
        """A record that does not fit: no lock, until there is room."""
        self.take("a", S1)
        self.end("a", S1, 0)
        self.mounted("c1", "c2")
        self.assertEqual(self.lock("c1"), "")
        node = self.cluster["a"]
        # A record needs an inode, even if it is empty. Who watches the records may make a file, too.
        node.run(f"cd {S1.path} && mkdir fill && seq -f fill/%.0f $(df --output=iavail . | tail -n 1) | "
                 f"xargs touch; while touch fill/more$((n = n + 1)); do :; done", timeout=120)
        self.assertEqual(self.lock("c2"), "ENOLCK")
        # Who is known goes on.
        self.assertEqual(self.lock("c1"), "")
        node.run(f"rm -r {S1.path}/fill")
        until(lambda: self.address("c2") in self.records("a"), 60, "the record is not made")
        until(lambda: self.lock("c2") == "", 60, "locks are refused for ever")
        self.assertEqual(self.records("a"), [self.address("c1"), self.address("c2")])
