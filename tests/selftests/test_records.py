# SPDX-License-Identifier: GPL-2.0-only
"""Who is on record: as long as a client may believe that it has a lock, and nobody else."""

import re
import time

from cluster import CTL, words
from test_takeover import IP, LOCKS, Base
from testbed import S1, S2, until

CLIENTS = ("c1", "c2")
DIR = f"{S1.path}/.nsm/{IP}"
# Nobody may wait longer for a filesystem that does not answer, on two slow cores.
BOUND = 30
# It is about the command, whatever the kernel.
ONE_KERNEL = True


class Records(Base):
    def served(self):
        """a serves S1, and both clients hold locks on it."""
        self.take("a", S1)
        self.end("a", S1, 0)
        self.both = [self.address(client) for client in CLIENTS]
        self.holders = [self.holder(client, S1) for client in CLIENTS]
        self.assertEqual(self.records("a"), self.both)

    def stopped(self, node):
        """Stop nfsd for this test. Its clients find that it does not answer."""
        self.addCleanup(self.started, node)
        self.cluster[node].run("rpc.nfsd 0")

    def started(self, node):
        if self.cluster[node].pid:
            self.cluster.server_up(node)
            self.cluster.wait_no_grace(node)

    def all_back(self, node):
        """A takeover gets every lock back."""
        self.take(node, S1)
        self.end(node, S1, len(self.holders) * LOCKS)
        for holder in self.holders:
            self.check(holder)
            self.assertEqual(holder.stop()["errors"], {})

    def known(self, node, ip=IP):
        """{client: words} of those that the kernel knows, and the words of the last line."""
        text = self.cluster.command(node, "floating_ips", f"?{ip}")
        lines = [dict(word.partition("=")[::2] for word in line.split())
                 for line in text.splitlines()]
        end = lines.pop()
        self.assertEqual((end.pop("end"), end.pop("clients")), ("", str(len(lines))))
        return {line.pop("client"): line for line in lines}, end


class Stopped(Records):
    """lockd forgets its clients when it is stopped, and takes away what they hold."""

    def test_orderly(self):
        """A node is shut down in order; nobody releases anything."""
        self.served()
        self.stopped("a")
        self.assertEqual(self.records("a"), self.both)
        self.assertEqual(self.known("a")[0],
                         {client: {"monitored": "no", "recorded": "yes"} for client in self.both})
        node = self.cluster["a"]
        node.run("exportfs -ua; pkill -x rpc.statd")
        self.cluster.address_down("a", IP)
        self.cluster.umount("a", S1)
        self.cluster.unload("a")
        self.all_back("b")

    def test_restart(self):
        """nfsd is restarted, and then the node crashes."""
        self.served()
        self.stopped("a")
        self.cluster.server_up("a")
        self.kill("a")
        self.all_back("b")

    def test_again_here(self):
        """nfsd is restarted, and the same node takes over."""
        self.served()
        self.stopped("a")
        self.cluster.server_up("a")
        self.assertEqual(self.records("a"), self.both)
        self.cluster.address_down("a", IP)
        self.all_back("a")
        # They have come again, so statd was told again.
        self.assertEqual(self.known("a")[0],
                         {client: {"monitored": "yes", "recorded": "yes"} for client in self.both})


class TakenAway(Records):
    """Locks are taken away on a node, and nobody hears of it: it lists nothing then."""

    def setUp(self):
        super().setUp()
        # Clients were here in the last recovery, so that holding nothing means nothing was held.
        self.take("a", S1)
        self.both = [self.address(client) for client in CLIENTS]
        self.holders = []
        for client in CLIENTS:
            self.cluster.mount(client, S1)
            self.holders.append(self.cluster.spawn(client, "locks.py", "hold", "/mnt/s1", LOCKS,
                                                   "--prefix", client))
        until(lambda: self.unit("a")["waits"] != "0", 60, "no client comes")
        self.end("a", S1, 0)
        for holder in self.holders:
            holder.expect(f"held {LOCKS}", 150)

    def moves(self):
        """S1 goes to b without a list, and all locks are back there."""
        # Longer than all the rest takes.
        fence = 600
        self.log_expect("a", rf"fsid={S1.fsid}: released for {fence} s, dropped locks=0 .*",
                        rf"ip={IP}: no floating address any more")
        said = self.cluster.ctl("a", "release", "s1", "--address", "--unexport", "--umount",
                                "--fence", fence)
        self.assertIn("locks=0 blocked=0 shares=0 files=0 manifest=none", said.text)
        self.all_back("b")

    def test_restart(self):
        """nfsd is restarted, its grace period ends, and then the filesystem moves."""
        self.cluster["a"].run("rpc.nfsd 0")
        self.cluster.server_up("a")
        self.cluster.end_grace("a")
        self.moves()

    def test_unlock_ip(self):
        """A stock release comes before ours."""
        self.cluster["a"].run(f"echo {IP} > /proc/fs/nfsd/unlock_ip")
        self.moves()


class GivenUp(Records):
    """lockd forgets a client that has held nothing for five minutes, when another one asks."""

    BY_NAME_ONLY = True

    def test_given_up(self):
        """The record goes with the locks that a client gives up, not with those taken away."""
        for fs in S1, S2:
            self.take("a", fs)
            self.end("a", fs, 0)
            self.cluster.mount("c1", fs)
        c1, c2 = map(self.address, CLIENTS)
        self.holders = [self.holder("c2", S1)]
        self.cluster["a"].run(f"echo {IP} > /proc/fs/nfsd/unlock_ip")
        self.assertEqual(self.lock("c1"), "")
        self.assertEqual(self.records("a"), [c1, c2])
        until(lambda: self.cluster.python("c1", "locks.py", "once", "/mnt/s2/file") == ""
              and c1 not in self.known("a")[0], 700, "lockd does not forget it")
        self.assertEqual(self.known("a")[0], {c2: {"monitored": "no", "recorded": "yes"}})
        self.assertEqual(self.records("a"), [c2])
        self.kill("a")
        self.take("b", S1)
        self.end("b", S1, LOCKS)
        self.assertEqual(self.holders[0].stop()["errors"], {})


class Watched(Records):
    """Somebody looks at the records."""

    def status(self, node, status=0):
        """What status says of the records, with that exit status."""
        said = self.cluster.ctl(node, "status", statuses=(status,)).text
        lines = [line for line in said.splitlines() if line.startswith(f"records s1 ip={IP} ")]
        return words(lines[0].partition(f" ip={IP} ")[2]), said

    def pause(self, node):
        """Nobody watches, so that there is something to see."""
        self.addCleanup(self.resume, node)
        self.cluster[node].run("pkill -STOP -f '[r]ecords --watch'")

    def resume(self, node):
        if self.cluster[node].pid:
            self.cluster[node].run("pkill -CONT -f '[r]ecords --watch'")

    def made_again(self, node):
        run = self.cluster[node].exec
        until(lambda: self.known(node)[1]["unrecorded"] == "0"
              and run(f"ls {DIR}/clients").text.split() == self.both,
              30, "the records are not made again")
        self.assertEqual(*run(f"stat -c %U /var/lib/nfs/sm {DIR}/clients").text.split())


class Lost(Watched):
    """Clients can write to the filesystem that the records are on."""

    def test_removed(self):
        """A client removes them, and then the node crashes."""
        self.served()
        self.assertEqual(self.status("a")[0],
                         {"known": "2", "on_record": "2", "missing": "0", "lost": "0"})
        self.pause("a")
        self.cluster["c1"].run("rm -rf /mnt/s1/.nsm")
        words, said = self.status("a", 3)
        self.assertEqual(words["missing"], "2")
        for client in self.both:
            self.assertRegex(said, f"NOT ON RECORD.*{re.escape(client)}")
        self.cluster.ctl("a", "notify", "--ip", IP, "--force", "--timeout", 1, statuses=(1,))
        self.resume("a")
        self.made_again("a")
        self.assertEqual(self.status("a")[0],
                         {"known": "2", "on_record": "2", "missing": "0", "lost": "2"})
        self.kill("a")
        self.all_back("b")

    def test_one(self):
        """Only one is removed; and records are put right by hand, too."""
        self.served()
        self.pause("a")
        self.cluster["c2"].run(f"rm /mnt/s1/.nsm/{IP}/clients/{self.both[0]}")
        self.assertEqual(self.status("a", 3)[0]["missing"], "1")
        self.cluster.ctl("a", "records", statuses=(3,))
        self.assertEqual(self.records("a"), self.both)
        self.cluster.ctl("a", "records")

    def test_owner(self):
        """A client takes the directory away from statd: who comes next is on record yet."""
        self.take("a", S1)
        self.end("a", S1, 0)
        self.both = [self.address(client) for client in CLIENTS]
        self.mounted(*CLIENTS)
        self.cluster["c1"].run("chown -R 12345 /mnt/s1/.nsm && chmod -R go-rwx /mnt/s1/.nsm")
        for client in CLIENTS:
            self.assertEqual(self.lock(client), "")
        self.made_again("a")

    def test_closed(self):
        """statd's user cannot enter: said by takeover and status; its clients are recorded late."""
        self.take("a", S1)
        self.end("a", S1, 0)
        self.both = [self.address(client) for client in CLIENTS]
        self.cluster["a"].run(f"chmod 700 {S1.path}")
        self.addCleanup(self.cluster["a"].exec, f"chmod 755 {S1.path}")
        self.mounted(*CLIENTS)
        for client in CLIENTS:
            self.assertEqual(self.lock(client), "")
        self.made_again("a")
        self.assertIn("CANNOT BE RECORDED", self.status("a", 3)[1])


class Refused(Watched):
    """Where no lock is granted without a record."""

    refuse = True

    def test_refused(self):
        """As long as a record cannot be made, there are no new locks."""
        self.served()
        node = self.cluster["a"]
        # Nothing can be made where the directory was.
        self.pause("a")
        self.cluster["c1"].run("rm -rf /mnt/s1/.nsm")
        node.run(f"touch {S1.path}/x && chattr +i {S1.path}")
        self.addCleanup(node.exec, f"chattr -i {S1.path}")
        self.resume("a")
        until(lambda: self.known("a")[1]["unrecorded"] == "2", 30, "it is not noticed")
        once = "locks.py", "once", "/mnt/s1/x"
        self.assertEqual(self.cluster.python("c2", *once), "ENOLCK")
        node.run(f"chattr -i {S1.path}")
        self.made_again("a")
        self.assertEqual(self.cluster.python("c2", *once), "")
        for holder in self.holders:
            self.assertEqual(holder.stop()["errors"], {})


class Frozen(Records):
    """A filesystem that does not answer keeps nobody else waiting."""

    def test_frozen(self):
        self.take("a", S1)
        self.end("a", S1, 0)
        self.take("a", S2)
        self.end("a", S2, 0)
        node = self.cluster["a"]
        for client in CLIENTS:
            for fs in S1, S2:
                self.cluster.mount(client, fs)
                self.cluster[client].run(f"touch /mnt/{fs.name}/{client}")
        node.run(f"fsfreeze -f {S1.path}")
        self.addCleanup(node.exec, f"fsfreeze -u {S1.path}")
        start = time.monotonic()
        waiting = [self.cluster.spawn(client, "locks.py", "once", f"/mnt/s1/{client}")
                   for client in CLIENTS]
        for client in CLIENTS:
            self.assertEqual(self.cluster[client].run(
                f"timeout {BOUND} python3 /lab/bin/locks.py once /mnt/s2/{client}"), "")
        for locker in waiting:
            self.assertEqual((locker.wait(BOUND), locker.output()), (0, ""))
        took = time.monotonic() - start
        self.assertEqual(self.records("a"), [])
        self.assertEqual(self.records("a", S2, S2.ip), list(map(self.address, CLIENTS)))
        # Who comes while it hangs does not wait at all.
        words = [f"{CTL} callout add-client 10.77.0.{number} {IP}" for number in range(200, 220)]
        begin = float(node.run("cut -d ' ' -f 1 /proc/uptime"))
        node.exec("; ".join(words), timeout=120)
        per = (float(node.run("cut -d ' ' -f 1 /proc/uptime")) - begin) / len(words)
        print(f"    # locks took {took:.1f} s, each further callout {per:.2f} s")
        self.assertLess(per, 2)
        node.run(f"fsfreeze -u {S1.path}")
        until(lambda: len(self.records("a")) == len(CLIENTS) + len(words), 60,
              "the records are not made")
        self.assertEqual(self.known("a")[1]["unrecorded"], "0")
