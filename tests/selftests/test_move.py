# SPDX-License-Identifier: GPL-2.0-only
"""A planned move: one filesystem goes, with its locks, and nobody else notices."""

import json

from cases import LOCKS, LONG_FENCE, RECOVERY, MoveCase
from testbed import S1, S2, until

MOVES = 10
# Seconds for which bystanders are watched before a move.
BEFORE = 15
# A client that was told to wait does so for 5 s (NFSv3).
LONGEST_STALL = 4.0
LONGER_STALL = 1.0


class Move(MoveCase):
    def test_back_and_forth(self):
        """Ten moves: all locks kept, the rival never gets one."""
        self.serve()
        for client in "c1", "c2":
            self.cluster.mount(client, S1)
        holder, rival = self.hold("c1", "/mnt/s1"), self.rival("c2", "/mnt/s1")
        source, target = "a", "b"
        for _ in range(MOVES):
            self.move(S1, source, target)
            self.end(target, S1)
            # Refused after the move as well: a whole round that began when it was over.
            self.rounds(rival, 2)
            source, target = target, source
        self.assertGreater(self.got_nothing(rival)["rounds"], 2 * MOVES)
        self.got_all_back(holder)

    def test_waiter(self):
        """A lock request that waits moves along and is granted when the holder lets go."""
        self.serve()
        for client in "c1", "c2":
            self.cluster.mount(client, S1)
        holder = self.hold("c1", "/mnt/s1", 1)
        waiter = self.cluster.spawn("c2", "locks.py", "wait", "/mnt/s1/lock0")
        self.blocked("a")
        self.move(S1, "a", "b", locks=1, blocked=1)
        self.end("b", S1, 1)
        self.blocked("b")
        self.assertEqual(waiter.output(), "waiting")
        self.got_all_back(holder)
        # A client that was not called back asks again after 30 s only.
        waiter.expect("granted", 20)
        self.assertEqual(waiter.wait(), 0, waiter.errors())

    def blocked(self, node):
        until(lambda: "blocked" in [how for _, how in self.cluster.locks(node, S1)], 60,
              f"no lock request waits on {node}")

    def test_ipv6(self):
        """A client that uses the IPv6 address moves like the others."""
        self.serve()
        self.cluster.mount("c1", S1, ip=S1.ips[1])
        self.cluster.mount("c2", S1)
        holder, rival = self.hold("c1", "/mnt/s1"), self.rival("c2", "/mnt/s1")
        self.move(S1, "a", "b")
        self.end("b", S1)
        self.rounds(rival, 2)
        self.got_nothing(rival)
        self.got_all_back(holder)


class Bystander(MoveCase):
    def test_other_filesystem(self):
        """Clients of another filesystem on both nodes of a move are not held up."""
        self.no_delegations()
        self.serve()
        self.cluster.mount("c1", S1)
        holder = self.hold("c1", "/mnt/s1")
        loops = []
        for vers, more in ("3", []), ("4.2", ["--open"]):
            at = self.cluster.mount("c2", S2, vers=vers, at=f"/mnt/v{vers}")
            log = f"/run/loop-v{vers}"
            loops.append((vers, log, self.cluster.spawn(
                "c2", "locks.py", "loop", f"{at}/v{vers}", *more, "--interval", "40",
                "--log", log)))
        for _, log, _ in loops:
            until(lambda: self.cluster["c2"].exec(f"test -s {log}").status == 0, 60,
                  "a bystander does not begin")
        # A machine that is busy with something else delays them, too, but hardly twice.
        late = self.late(loops) and self.late(loops)
        for _, _, loop in loops:
            self.assertEqual(loop.stop()["errors"], {})
        self.assertEqual(late, [])
        self.got_all_back(holder)

    def late(self, loops):
        """Move S1 to b, where the bystanders are, and from it; returns who was held up."""
        # Some time without a move, to compare with.
        began = self.seconds("c2")
        until(lambda: self.seconds("c2") - began > BEFORE, 120, "the clock stands still")
        start = self.seconds("c2")
        self.move(S1, "a", "b")
        self.end("b", S1)
        self.move(S1, "b", "a")
        self.end("a", S1)
        stop = self.seconds("c2")
        late = []
        for vers, log, _ in loops:
            before, during = self.stalls(log, began, start), self.stalls(log, start, stop)
            print(f"    # NFSv{vers}: longest round trip before {before['max']:.3f} s "
                  f"(median {before['p50']:.3f}), during {during['max']:.3f} s "
                  f"(median {during['p50']:.3f}, {during['count']} round trips)")
            self.assertGreater(during["count"], 10)
            if during["max"] > min(3 * before["max"] + LONGER_STALL, LONGEST_STALL):
                late.append(f"NFSv{vers}: {during}")
        return late

    def stalls(self, log, since, until_):
        return json.loads(self.cluster.python("c2", "locks.py", "stalls", log, "--from", since,
                                              "--to", until_))

    def test_nfs4_on_the_unit(self):
        """NFSv4.2: new opens and locks of a recovering unit wait, other files go on."""
        self.no_delegations()
        self.cluster.serve("b", S1)
        self.cluster.serve("b", S2)
        for fs in S1, S2:
            self.cluster.mount("c1", fs, vers="4.2")
        other = self.hold("c1", "/mnt/s2", 2)
        rival = self.rival("c1", "/mnt/s1", 1)
        self.expect_recovering("b", S1, RECOVERY)
        self.cluster.command("b", "nlm_set_igrace", f"1234 {RECOVERY}")
        until(lambda: int(self.unit("b", S1)["waits"]) > 0, 60, "the lock request does not wait")
        since = self.seconds("c1")
        opener = self.cluster.spawn("c1", "locks.py", "wait", "/mnt/s1/new")
        until(lambda: self.cluster["c1"].exec("grep -l nfs4_do_open /proc/[0-9]*/stack").text, 60,
              "the open does not wait")
        # Reads and writes of an open file, and a new open and lock.
        other.signal("USR1")
        self.assertEqual(other.expect("checked", 20), "checked 2 errors 0")
        self.cluster["c1"].run("dd if=/mnt/s2/lock0 iflag=direct of=/dev/null status=none",
                               timeout=20)
        first = self.cluster.spawn("c1", "locks.py", "first", "/mnt/s2/other", "--timeout", "20")
        self.assertEqual(first.wait(), 0, first.output())
        self.assertEqual(opener.output(), "")
        till = self.seconds("c1")
        self.end("b", S1, 0)
        opener.expect("granted", 60)
        self.assertEqual(opener.wait(), 0, opener.errors())
        self.rounds(rival, 2)
        self.assertEqual(rival.stop()["errors"], {})
        got = [float(line.split()[2]) for line in rival.output().splitlines()
               if line.startswith("GOT")]
        self.assertEqual([t for t in got if since < t < till], [])
        self.assertTrue([t for t in got if t > till])
        self.assertEqual(other.stop()["errors"], {})


class Phases(MoveCase):
    def test_at_once(self):
        """A filesystem comes to a node while another leaves it; each has its own verdict."""
        self.serve()
        for fs in S1, S2:
            for client in "c1", "c2":
                self.cluster.mount(client, fs)
        holders = [self.hold("c1", f"/mnt/{fs.name}") for fs in (S1, S2)]
        rivals = [self.rival("c2", f"/mnt/{fs.name}") for fs in (S1, S2)]
        self.move(S1, "a", "b")
        # S1 recovers on b, and goes on with it, while S2 goes.
        self.move(S2, "b", "a")
        one, two = self.unit("b", S1), self.unit("b", S2)
        self.assertEqual((one["phase"], two["phase"]), ("recovering", "released"))
        self.cluster["c2"].run("touch /mnt/s1/free")
        self.assertEqual(self.ask_b((S1, "lock0"), (S1, "free"), (S2, "lock0")), [
            "DENIED_GRACE_PERIOD", "DENIED", "DENIED_GRACE_PERIOD", "GRANTED",
            "DENIED_GRACE_PERIOD", "DENIED_GRACE_PERIOD"])
        self.assertEqual(self.unit("b", S1)["refused"], "1")
        self.assertEqual(self.unit("b", S2)["refused"], "1")
        self.end("b", S1, LOCKS + 1, 1)
        self.end("a", S2)
        for rival in rivals:
            self.rounds(rival, 2)
            self.got_nothing(rival)
        for holder in holders:
            self.got_all_back(holder)

    def ask_b(self, *files):
        """What b says to a new lock and to a reclaim of each file, wherever the file is."""
        handles = {f"{fs.name}/{name}": [fs.ip, fs.path, name] for fs, name in files}
        steps = [{"do": "lock", "fh": fh, "host": self.cluster["b"].ip, "exclusive": True,
                  "reclaim": reclaim} for fh in handles for reclaim in (False, True)]
        return self.cluster.nlm("c2", steps, files=handles)[1]

    def test_set_again(self):
        """Setting a recovering unit again restarts its time and goes on waiting."""
        self.serve()
        command = self.cluster.command
        self.expect_recovering("a", S1, 100)
        command("a", "nlm_set_igrace", "1234 100")
        until(lambda: int(self.unit("a", S1)["left"]) < 100, 20, "the time does not run")
        left = int(self.unit("a", S1)["left"])
        self.expect_recovering("a", S1, 100)
        command("a", "nlm_set_igrace", "1234 100")
        self.assertGreater(int(self.unit("a", S1)["left"]), left)
        self.assertEqual(len(self.cluster.status("a")), 2)
        self.end("a", S1, 0)

    def test_fail_back(self):
        """Released, then recovering on the same node: the move was called off."""
        self.serve()
        for client in "c1", "c2":
            self.cluster.mount(client, S1)
        holder, rival = self.hold("c1", "/mnt/s1"), self.rival("c2", "/mnt/s1")
        self.expect_released("a", S1, LONG_FENCE, locks=LOCKS)
        self.expect_recovering("a", S1, RECOVERY)
        self.cluster.save_clients("a", S1)
        self.cluster.command("a", "nlm_unlock", f"1234 fence={LONG_FENCE}")
        # Held back by the fence, with nothing on the server that it would conflict with.
        until(lambda: int(self.unit("a", S1)["waits"]) > 0, 60, "the rival does not wait")
        self.assertEqual(self.cluster.locks("a", S1), [])
        self.cluster.command("a", "nlm_set_igrace", f"1234 {RECOVERY}")
        self.assertEqual(self.unit("a", S1)["phase"], "recovering")
        self.cluster.notify("a", S1)
        self.reclaimed("a", S1, LOCKS)
        self.end("a", S1)
        self.rounds(rival, 2)
        self.got_nothing(rival)
        self.got_all_back(holder)
