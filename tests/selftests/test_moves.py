# SPDX-License-Identifier: GPL-2.0-only
"""Moves by command that cannot be finished, or would succeed at nothing."""

import re

from test_takeover import IP, LOCKS, RECOVERY, Base
from testbed import NOISE, S1, S2, until

CLIENTS = ("c1", "c2")
FILESYSTEMS = (S1, S2)
V6 = S1.ips[1]
ALL = ("--address", "--unexport", "--umount")
# A fence cannot be ended once its manifest was read, so the end of a test waits for it.
FENCE = 20
# It is about the command, whatever the kernel.
ONE_KERNEL = True


class MoveByCommand(Base):
    def setUp(self):
        super().setUp()
        for node in self.cluster.servers:
            self.cluster[node].run(
                f"sed -i '/^prefix/a grace = {RECOVERY}\\nfence = {FENCE}' /etc/nfs-failover.toml")

    def log(self, node):
        # It may be over before the test is.
        return [line for line in super().log(node) if "fence over, time is up" not in line]

    def take_all(self, node, name=S1.name, ip=IP, unit="1234", statuses=(0,), expect=()):
        """All of a takeover."""
        self.log_expect(node, f"fsid={unit}: recovering for {RECOVERY} s", self.floating(node, ip),
                        *expect)
        return self.cluster.ctl(node, "takeover", name, "--mount", "--export", "--address",
                                "--expect-none", statuses=statuses)

    def serve(self, node="a", locks=LOCKS, **more):
        """A filesystem that is served for the first time; returns who holds locks on it."""
        self.take_all(node, **more)
        self.end(node, S1, 0)
        return self.holder("c1", S1, locks)

    def refused(self, node, command, *reasons, words=ALL):
        """It is, and says why; nothing is any different."""
        look = (f"ip -o addr show dev eth0; exportfs -v; grep {S1.path} /proc/mounts; "
                "grep POSIX /proc/locks; cat /proc/fs/nfsd/floating_ips; ls /etc/exports.d 2>/dev/null")
        before = self.cluster[node].exec(look).text
        said = self.cluster.ctl(node, command, S1.name, *words, statuses=(1,)).text
        for reason in (*reasons, "; nothing has changed"):
            self.assertIn(reason, said)
        self.assertTrue(said.splitlines()[-1].startswith("now: s1 is "), said)
        self.assertEqual(self.cluster[node].exec(look).text, before)

    def released(self, node, locks=LOCKS, ip=IP):
        self.expect_released(node, S1, FENCE, locks=locks)
        self.log_expect(node, rf"ip={ip}: no floating address any more")

    def back(self, node, holder, locks=LOCKS):
        """All locks are on `node`, and the application did not notice."""
        until(lambda: len(self.cluster.locks(node, S1)) == locks, 100, "locks are missing")
        self.check(holder, locks)
        self.assertEqual(holder.stop()["errors"], {})

    def over(self, node, count=LOCKS):
        """With a manifest, a recovery ends by itself."""
        self.log_expect(node, rf"fsid=1234: recovery over, nothing is outstanding: "
                        rf"reclaimed={count} refused=0 .*")
        until(lambda: self.unit(node)["phase"] == "recovered", 100, "the recovery does not end")


class Refused(MoveByCommand):
    """What is looked at before the first step."""

    def test_nfs4(self):
        """An NFSv4 client goes along, unless it would lose what it has on another filesystem."""
        holder = self.serve()
        own = self.cluster["a"].ip
        self.cluster.serve("a", S2)
        openers = []
        for fs in S1, S2:
            at = self.cluster.mount("c2", fs, vers="4.2", ip=own, at=f"/mnt/own-{fs.name}")
            openers.append(self.cluster.spawn("c2", "locks.py", "hold", at, 1, "--prefix", "own"))
            openers[-1].expect("held 1", 60)
        self.refused("a", "release", f"{self.address('c2')}:", "on other filesystems, too",
                     "--expire-nfs4")
        for opener in openers:
            self.assertEqual(opener.stop()["errors"], {})
        self.cluster["c2"].run("umount /mnt/own-s1 && umount /mnt/own-s2")
        at = self.cluster.mount("c2", S1, vers="4.2", at="/mnt/v4")
        opener = self.cluster.spawn("c2", "locks.py", "hold", at, 1, "--prefix", "v4")
        opener.expect("held 1", 60)
        self.released("a", LOCKS)
        said = self.cluster.ctl("a", "release", S1.name, *ALL).text
        self.assertRegex(said, r"manifest: .* skipped \(.*\nunexport: .*\nnfs4: .* done \(1; takeover waits "
                         rf"for 1 of them, and others .*; of NLM clients locks={LOCKS} ")
        self.assertRegex(said.splitlines()[-1], f"now: s1 is not mounted, not exported, {IP} is down, "
                                                r"released \(\d+ s left\)$")
        self.take_all("b", expect=[f"fsid=1234: manifest of {LOCKS} locks and shares",
                                   "fsid=1234: waiting for 1 NFSv4 clients"])
        self.back("b", holder)
        self.check(opener, 1)
        self.over("b", r"\d+")
        self.assertEqual(opener.stop()["errors"], {})

    def test_scope(self):
        """nfsd has the scope of this node alone: NFSv4.1 clients would lose what they have."""
        run = self.cluster["a"].run
        run("rpc.nfsd 0; rpc.nfsd -S $(hostname) -G 10 -L 10 4")
        self.addCleanup(self.cluster.end_grace, "a")
        self.addCleanup(self.cluster.server_up, "a")
        self.cluster.end_grace("a")
        alone = 'nfsd has the scope of this node alone, "a"'
        self.log_expect("a", f"fsid=1234: recovering for {RECOVERY} s", self.floating("a", IP))
        said = self.cluster.ctl("a", "takeover", S1.name, "--mount", "--export", "--address",
                                "--expect-none", statuses=(3,)).text
        self.assertIn(alone, said)
        self.end("a", S1, 0)
        openers = []
        for vers in "4.0", "4.1":
            at = self.cluster.mount("c1", S1, vers=vers, at=f"/mnt/v{vers}")
            opener = self.cluster.spawn("c1", "locks.py", "hold", at, 1, "--prefix", f"v{vers}")
            opener.expect("held 1", 60)
            openers.append(opener)
        self.refused("a", "release", alone)
        for opener in openers:
            self.assertEqual(opener.stop()["errors"], {})

    def test_users(self):
        """A shell in it, something mounted on it, swap, a loop device."""
        self.serve(locks=1)
        run = self.cluster["a"].run
        for begin, end, reason in (
                (f"cd {S1.path}; setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >/run/user",
                 "kill $(cat /run/user)", f"(sleep) works in {S1.path}"),
                (f"setsid sleep 1000 <{S1.path}/c10 >/dev/null 2>&1 & echo $! >/run/user",
                 "kill $(cat /run/user)", f"(sleep) has {S1.path}/c10 open"),
                (f"mkdir {S1.path}/sub; mount -t tmpfs below {S1.path}/sub",
                 f"umount {S1.path}/sub", f"below is mounted on it at {S1.path}/sub"),
                (f"mkdir -p /run/too; mount --bind {S1.path} /run/too",
                 "umount /run/too", "it is mounted at /run/too, too")):
            run(begin)
            try:
                self.refused("a", "release", reason)
            finally:
                run(end)
        self.released("a", 1)
        self.cluster.ctl("a", "release", S1.name, *ALL)

    def test_lazy(self):
        """It was unmounted while lockd had files open: it is not gone."""
        self.serve(locks=1)
        self.cluster["a"].run(f"umount -l {S1.path}")
        self.refused("a", "release", f"{S1.device} is in use")
        # The path that was exported is that of the directory below now.
        self.cluster.unexport("a", S1)
        self.cluster.mount_fs("a", S1)
        self.cluster.export("a", S1)
        self.released("a", 1)
        self.cluster.ctl("a", "release", S1.name, *ALL)

    def test_namespaces(self):
        """It is mounted where a process of another mount namespace would keep it."""
        node = self.cluster["a"]
        node.run("mount --bind /srv /srv; mount --make-shared /srv")
        end = "kill $(cat /run/sleeper); rm /run/sleeper"
        self.addCleanup(node.exec, f"{end}; umount /srv")
        self.serve(locks=1)

        def sleeper(propagation):
            node.exec(end)
            node.run("setsid sh -c 'echo $$ >/run/sleeper; exec unshare -m --propagation "
                     f"{propagation} sleep 1000' >/dev/null 2>&1 </dev/null &")
            until(lambda: not node.exec("grep -qx sleep /proc/$(cat /run/sleeper)/comm").status,
                  20, "no mount namespace")
        sleeper("private")
        self.refused("a", "release", f"it is mounted at {S1.path} in the mount namespace of process",
                     "(sleep)")
        # It goes along where umounts are followed.
        sleeper("slave")
        self.released("a", 1)
        self.cluster.ctl("a", "release", S1.name, *ALL)
        self.assertEqual(node.exec(f"grep {S1.path} /proc/$(cat /run/sleeper)/mountinfo").text, "")

    def test_fsid(self):
        """An export without fsid, with another, and a second one of a directory below."""
        self.serve(locks=1)
        run = self.cluster["a"].run
        options = "rw,no_root_squash,sync,no_subtree_check"
        for begin, end, reason in (
                (f"exportfs -u '*:{S1.path}'; exportfs -i -o {options} '*:{S1.path}'",
                 f"exportfs -u '*:{S1.path}'",
                 f"{S1.path} is exported to * without fsid=, but the service has fsid 1234"),
                (f"exportfs -i -o {options},fsid=77 '*:{S1.path}'",
                 f"exportfs -u '*:{S1.path}'; exportfs -i -o {options},fsid=1234 '*:{S1.path}'",
                 f"{S1.path} is exported to * with fsid 77, but the service has fsid 1234"),
                (f"mkdir {S1.path}/sub; exportfs -i -o {options},fsid=5678 '*:{S1.path}/sub'",
                 f"exportfs -u '*:{S1.path}/sub'",
                 f"{S1.path}/sub is exported to * with fsid 5678, but the service has fsid 1234")):
            run(begin)
            try:
                self.refused("a", "release", reason)
                self.refused("a", "takeover", reason, words=("--no-notify",))
                self.assertIn(reason, self.cluster.ctl("a", "config", "check", statuses=(1,)).err.decode())
            finally:
                # In another second, or the kernel keeps what it knows.
                run(f"{end}; sleep 1.1; exportfs -f")
        self.released("a", 1)
        self.cluster.ctl("a", "release", S1.name, *ALL)

    def test_services(self):
        """No takeover where clients could not get their locks back."""
        node = self.cluster["b"]
        self.addCleanup(self.cluster.server_up, "b")
        words = ("--mount", "--export", "--address")
        holder = self.serve()
        self.kill("a")
        end = "pkill -x {0}; while pidof {0}; do sleep 0.1; done"
        node.run(end.format("rpc.statd"))
        self.refused("b", "takeover", "rpc.statd is not running", words=words)
        node.run("rpc.statd --no-notify -p 4002 -H /bin/true")
        self.refused("b", "takeover", "the ha-callout of rpc.statd is /bin/true", words=words)
        node.run(end.format("rpc.statd") + "; rpc.statd --no-notify -p 4002")
        node.run(end.format("rpc.mountd"))
        self.refused("b", "takeover", "rpc.mountd is not running", words=words)
        node.run("rpc.mountd -p 4003")
        node.run("rpc.nfsd 0")
        self.refused("b", "takeover", "nfsd has no threads", "lockd is not running", words=words)
        self.cluster.server_up("b")
        self.cluster.wait_no_grace("b")
        self.take_all("b")
        self.back("b", holder)
        self.end("b", S1, LOCKS)

    def test_nobody(self):
        """Nobody is on record, and nobody has said that this is right."""
        self.expect_recovering("a", S1, RECOVERY)
        self.log_expect("a", self.floating("a", IP))
        said = self.cluster.ctl("a", "takeover", S1.name, "--mount", "--export", "--address",
                                statuses=(3,)).text
        self.assertIn("--expect-none", said)


class CalledOff(MoveByCommand):
    """What goes wrong after the fence."""

    def called_off(self, holder, manifest=True):
        said = self.cluster.ctl("a", "release", S1.name, *ALL, statuses=(1,)).text
        print("".join(f"    # {line}\n" for line in said.splitlines()), end="")
        self.assertRegex(said.splitlines()[-1], f"now: s1 is mounted, exported, {IP} is up, "
                                                "recover.*; the release was called off$")
        self.back("a", holder)
        return said

    def log_rest(self):
        """What the kernel says of it, apart from the release."""
        lines = [line for line in self.log("a")
                              if "nfs_failover" in line and not NOISE.search(line)]
        self.expected["a"] = [re.escape(line) for line in lines]
        self.assertEqual([line for line in lines if re.search("refused=[1-9]", line)], [])

    def test_umount(self):
        """It cannot be unmounted: clients get it back where it was."""
        holder = self.serve()
        node = self.cluster["a"]
        fake = "/usr/local/sbin/umount"
        node.run(f"printf '#!/bin/sh\\necho umount: target is busy >&2; exit 32\\n' >{fake}; "
                 f"chmod 755 {fake}")
        self.addCleanup(node.exec, f"rm -f {fake}")
        try:
            self.called_off(holder)
        finally:
            node.run(f"rm -f {fake}")
        self.log_rest()

    def test_hidden(self):
        """A mount namespace that no process is in still has it after the umount."""
        holder = self.serve()
        node = self.cluster["a"]
        node.run("mkdir -p /run/ns; mount --bind /run/ns /run/ns; mount --make-private /run/ns; "
                 "touch /run/ns/it; unshare --mount=/run/ns/it --propagation private true")
        self.addCleanup(node.exec, "umount /run/ns/it; umount /run/ns")
        try:
            said = self.called_off(holder)
        finally:
            node.run("umount /run/ns/it; umount /run/ns")
        self.assertIn("the kernel still has", said)
        self.log_rest()


class Told(MoveByCommand):
    def test_listed(self):
        """Who is on the list is told, if its record is gone."""
        holder = self.serve()
        self.released("a")
        self.cluster.ctl("a", "release", S1.name, *ALL)
        self.cluster.mount_fs("b", S1)
        self.cluster["b"].run(f"rm {S1.path}/.nsm/{IP}/clients/*; umount {S1.path}")
        said = self.take_all("b", expect=(f"fsid=1234: manifest of {LOCKS} locks and shares",)).text
        self.assertIn("1 of its clients were not on record, and are now", said)
        self.assertIn("1 of 1 answered", said)
        self.over("b")
        self.back("b", holder)


class Addresses(MoveByCommand):
    """What else is on the interface, and who hears of it."""

    def test_secondaries(self):
        """Other addresses of the network of a floating IP stay."""
        first, other = "10.88.0.100", "10.88.0.7"
        node = self.cluster["a"]
        node.run(f"sed 's/^name = \"s1\"/name = \"first\"/; s/{IP}/{first}/' /etc/nfs-failover.toml "
                 "| sed -n '/\"first\"/,/^exports/p' >/run/first; "
                 "echo '[[service]]' | cat - /run/first >>/etc/nfs-failover.toml")
        self.take_all("a", "first", first)
        node.run(f"ip addr add {other}/24 dev eth0; ip addr add {first[:-3]}8/24 dev eth0")
        self.assertIn(f"{other}/24 scope global secondary", node.run("ip addr show dev eth0"))
        for promote in "0", "1":
            node.run(f"sysctl -q net.ipv4.conf.eth0.promote_secondaries={promote}")
            self.log_expect("a", "fsid=1234: released for .*",
                            rf"ip={re.escape(first)}: no floating address any more")
            self.cluster.ctl("a", "release", "first", "--address")
            there = node.run("ip -o -4 addr show dev eth0")
            self.assertNotIn(f" {first}/24", there)
            self.assertIn(f" {other}/24", there)
            self.assertEqual(node.run("sysctl -n net.ipv4.conf.eth0.promote_secondaries"), promote)
            self.log_expect("a", rf"ip={re.escape(first)}: floating address",
                            f"fsid=1234: recovering for {RECOVERY} s", ".*manifest.*", ".*recovery over.*")
            self.cluster.ctl("a", "takeover", "first", "--address", "--expect-none")
        self.expected["a"] = [re.escape(line) for line in self.log("a")
                              if "nfs_failover" in line and not NOISE.search(line)]

    def test_ipv6(self):
        """Clients by IPv6 go along, and that of NFSv3 finds the node that took over from a dead one at once."""
        self.take_all("a", "s1-1", V6)
        self.end("a", S1, 0)
        self.cluster.mount("c1", S1, ip=V6)
        holder = self.cluster.spawn("c1", "locks.py", "hold", "/mnt/s1", LOCKS, "--prefix", "c1")
        holder.expect(f"held {LOCKS}", 150)
        at = self.cluster.mount("c2", S1, ip=V6, vers="4.2", at="/mnt/v4")
        opener = self.cluster.spawn("c2", "locks.py", "hold", at, 1, "--prefix", "v4")
        opener.expect("held 1", 60)
        self.released("a", LOCKS, V6)
        said = self.cluster.ctl("a", "release", "s1-1", *ALL).text
        self.assertIn("nfs4: ", said)
        self.assertIn("done (1; takeover waits for 1 of them", said)
        self.take_all("b", "s1-1", V6, expect=[f"fsid=1234: manifest of {LOCKS} locks and shares",
                                               "fsid=1234: waiting for 1 NFSv4 clients"])
        self.check(holder)
        self.check(opener, 1)
        self.over("b", r"\d+")
        self.kill("b")
        self.expect_recovering("a", S1, RECOVERY)
        self.log_expect("a", self.floating("a", V6))
        self.cluster.ctl("a", "takeover", "s1-1", "--mount", "--export", "--address")
        until(lambda: len(self.cluster.locks("a", S1)) == LOCKS, 20, "locks are missing")
        self.check(opener, 1)
        self.back("a", holder)
        self.assertEqual(opener.stop()["errors"], {})
        # Somebody has asked for the list that came from here.
        self.log_expect("a", "fsid=1234: recovery over, ended by hand: .* refused=0 .*")
        end = "echo 1234 0 >/proc/fs/nfsd/nlm_set_igrace"
        until(lambda: self.cluster["a"].exec(end).status == 0, 3 * FENCE, "the recovery goes on")


class Exports(MoveByCommand):
    """Others run exportfs."""

    def test_reexport(self):
        """exportfs -r in the middle of a recovery withdraws nothing."""
        holder = self.serve()
        self.kill("a")
        node = self.cluster["b"]
        loop = "while :; do exportfs -r; sleep 0.3; done"
        node.run(f"setsid sh -c '{loop}' >/run/exportfs.log 2>&1 </dev/null & echo $! >/run/exportfs")
        self.addCleanup(node.exec, "kill -- -$(cat /run/exportfs)")
        self.take_all("b")
        self.back("b", holder)
        node.run("kill -- -$(cat /run/exportfs)")
        self.assertEqual(node.run("cat /run/exportfs.log"), "")
        self.end("b", S1, LOCKS)
        # What a restart leaves of it: nothing is exported, whatever is at the path.
        self.assertEqual(node.run("ls /etc/exports.d").split(), ["nfs-failover-srv-s1.exports"])
        node.run("rm -r /run/nfs-failover; exportfs -r || true")
        self.assertEqual(node.run("exportfs -v"), "")
        self.cluster.ctl("b", "boot")
        self.assertEqual(node.run("ls /etc/exports.d; exportfs -r; exportfs -v"), "")
        self.released("b", 0)
        self.cluster.ctl("b", "release", S1.name, *ALL)
