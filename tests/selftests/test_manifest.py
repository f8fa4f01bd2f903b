# SPDX-License-Identifier: GPL-2.0-only
"""A recovery that knows what was held: only what conflicts waits, and the last lock ends it."""

import re

from test_move import MoveCase
from testbed import S1, S2, until

GRANTED, DENIED, BLOCKED, WAIT = "GRANTED", "DENIED", "BLOCKED", "DENIED_GRACE_PERIOD"
# Seconds. A node grants nothing for the whole of a fence whose manifest was read.
FENCE = 15
RECOVERY = 200
END = 2 ** 63 - 1
COUNTS = r"reclaimed=\d+ refused=\d+ waits=\d+"


def lock(fh, svid, start, length, exclusive=True, do="lock", **more):
    return {"do": do, "fh": fh, "svid": svid, "start": start, "length": length,
            "exclusive": exclusive, **more}


def unlock(fh, svid, start, length):
    return {"do": "unlock", "fh": fh, "svid": svid, "start": start, "length": length}


class ManifestCase(MoveCase):
    def play(self, node, *rows):
        """Requests of c1 to a node's own address, and the answers they must get."""
        steps = [{**step, "host": self.cluster[node].ip} for _, step in rows]
        _, answers = self.cluster.nlm("c1", steps, handles=self.handles)
        wrong = [f"{step}: {got}, expected {want}"
                 for (want, step), got in zip(rows, answers, strict=True) if got != want]
        self.assertEqual(wrong, [])

    def files(self, node, fs, *names):
        """Make files and look up their handles."""
        self.cluster[node].run(f"cd {fs.path} && touch {' '.join(names)}")
        files = {name: [fs.ip, fs.path, name] for name in names}
        self.handles = self.cluster.nlm("c1", [], files=files)[0]

    def manifest(self, node, fsid=S1.fsid):
        """What a node has of one unit, as text."""
        # run() strips what it returns.
        return self.cluster[node].run(
            f"exec 3<>/proc/fs/nfsd/lock_manifest; echo {fsid} >&3; cat <&3") + "\n"

    def offer(self, node, text):
        """Write a manifest; returns what the shell says if it is refused."""
        result = self.cluster[node].exec("cat > /proc/fs/nfsd/lock_manifest", input=text.encode())
        self.assertEqual(bool(result.status), bool(result.err), result)
        return result.err.decode().rpartition(": ")[2].strip()

    def release_only(self, dropped, fence=FENCE, manifest="complete"):
        self.log_expect("a", rf"fsid=1234: released for {fence} s, dropped {dropped}")
        said = self.cluster.command("a", "nlm_unlock", f"1234 fence={fence}")
        self.assertRegex(said, rf"^{dropped} manifest={manifest}\n$")

    def give_up(self, node):
        """What S1 had there ends when its time is over."""
        self.log_expect(node, r"fsid=1234: fence over, time is up: .*")
        until(lambda: not self.unit(node, S1), 60, "the fence does not end")

    def recover(self, node, fs=S1, seconds=RECOVERY):
        self.log_expect(node, rf"fsid={fs.fsid}: recovering for {seconds} s")
        self.cluster.command(node, "nlm_set_igrace", f"{fs.fsid} {seconds}")

    def taken(self, node, count, fs=S1):
        self.log_expect(node, rf"fsid={fs.fsid}: manifest of {count} locks and shares")

    def carry(self, count):
        """S1 goes to b with what a has listed."""
        manifest = self.manifest("a")
        self.cluster.unexport("a", S1)
        self.cluster.umount("a", S1)
        self.cluster.mount_fs("b", S1)
        self.taken("b", count)
        self.assertEqual(self.offer("b", manifest), "")
        self.recover("b")
        self.cluster.export("b", S1)

    def over(self, node, counts=COUNTS, fs=S1):
        self.log_expect(node, rf"fsid={fs.fsid}: recovery over, nothing is outstanding: {counts} .*")
        until(lambda: self.unit(node, fs).get("phase") == "recovered", 60, "no end of recovery")


class Manifest(ManifestCase):
    def test_move(self):
        """A move with a manifest ends by itself; whoever conflicts with nothing does not wait."""
        self.serve()
        for client in "c1", "c2":
            self.cluster.mount(client, S1)
        holder, rival = self.hold("c1", "/mnt/s1"), self.rival("c2", "/mnt/s1")
        waiter = self.cluster.spawn("c2", "locks.py", "wait", "/mnt/s1/lock0")
        waiter.expect("waiting")
        until(lambda: "blocked" in [how for _, how in self.cluster.locks("a", S1)], 60,
              "no lock request waits")
        self.log_expect("a", rf"fsid=1234: released for {FENCE} s, dropped locks=10 blocked=1 .*")
        self.cluster.release("a", S1, FENCE, manifest=True)
        self.log_expect("b", rf"fsid=1234: recovering for {RECOVERY} s")
        self.taken("b", 10)
        self.cluster.takeover("b", S1, RECOVERY)
        self.over("b", "reclaimed=10 refused=0 waits=[0-9]+")
        self.assertEqual(self.unit("b", S1)["outstanding"], "0")
        first = self.cluster.spawn("c1", "locks.py", "first", "/mnt/s1/new", "--timeout", "20")
        self.assertEqual(first.wait(), 0, first.output())
        self.rounds(rival, 2)
        self.got_nothing(rival)
        self.assertEqual(waiter.output(), "waiting")
        self.got_all_back(holder)
        waiter.expect("granted", 40)
        self.give_up("a")

    def test_text(self):
        """What is held is listed exactly: by whom, of which file, from where to where."""
        self.serve()
        self.files("a", S1, "f", "g")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)), (GRANTED, lock("f", 1, 10, 10)),
                  (GRANTED, lock("f", 1, 5, 10, False)), (GRANTED, lock("f", 2, 40, 0, False)),
                  (BLOCKED, lock("f", 3, 45, 1, block=True)),
                  (GRANTED, {"do": "share", "fh": "g", "access": 1, "deny": 2, "owner": "me"}))
        server, client = self.cluster["a"].ip, self.cluster["c1"].ip
        who = {name: f"fsid=1234 fh={self.handles[name]} client={client} name=c1 server={server}"
               for name in "fg"}
        locks = [f"lock {who['f']} svid=1 type=write start=0 end=4",
                 f"lock {who['f']} svid=1 type=read start=5 end=14",
                 f"lock {who['f']} svid=1 type=write start=15 end=19",
                 f"lock {who['f']} svid=2 type=read start=40 end={END}"]
        held = self.cluster["a"].run("cat /proc/fs/nfsd/lock_manifest").splitlines()
        self.assertRegex(held[1], r"^unit all phase=held taken=\d+\.\d{9}$")
        self.assertEqual(sorted(held[2:-1]), sorted(locks))
        self.assertEqual(held[-1], "end locks=4 blocked=0 shares=0")
        self.release_only("locks=4 blocked=1 shares=1 files=2")
        lines = self.manifest("a").splitlines()
        self.assertEqual(lines[0], "nfs-failover-manifest 1")
        self.assertRegex(lines[1], rf"^unit fsid=1234 phase=released taken=\d+\.\d{{9}} "
                         rf"valid=({FENCE - 1}|{FENCE})$")
        self.assertEqual(lines[2:], locks + [
            f"blocked {who['f']} svid=3 type=write start=45 end=45",
            f"share {who['g']} owner={b'me'.hex()} access=1 mode=2",
            "end locks=4 blocked=1 shares=1"])
        # Reading in small pieces, and all of it: the unit, and what is held now.
        text = self.cluster["a"].run("dd if=/proc/fs/nfsd/lock_manifest bs=7 status=none")
        self.assertEqual(text.splitlines()[2:len(lines)], lines[2:])
        self.assertEqual(text.splitlines()[-1], "end locks=0 blocked=0 shares=0")
        # What is given up here is not taken along.
        self.play("a", (GRANTED, unlock("f", 1, 7, 20)),
                  (GRANTED, {"do": "unshare", "fh": "g", "owner": "me"}))
        lines = self.manifest("a").splitlines()
        self.assertEqual(lines[2:4], [locks[0], f"lock {who['f']} svid=1 type=read start=5 end=6"])
        self.assertEqual(lines[-1], "end locks=3 blocked=1 shares=0")
        self.give_up("a")

    def test_verdicts(self):
        """Reclaims are checked against the list, new requests against what is outstanding."""
        self.serve()
        self.files("a", S1, "f", "g", "h")
        # From here on it is b that answers for the address.
        self.cluster["b"].run(f"ip addr add {S1.ip}/32 dev lo")
        self.addCleanup(self.cluster["b"].exec, f"ip addr del {S1.ip}/32 dev lo")
        self.play("a", (GRANTED, lock("f", 1, 0, 100)), (GRANTED, lock("g", 1, 0, 10, False)),
                  (GRANTED, lock("g", 2, 5, 10, False)),
                  (GRANTED, {"do": "share", "fh": "h", "access": 1, "deny": 2, "owner": "me"}))
        self.release_only("locks=3 blocked=0 shares=1 files=3")
        self.carry(4)
        back = {"reclaim": True}
        share = {"do": "share", "fh": "h", "access": 1, "deny": 2}
        self.play(
            "b",
            # Not on the list: another process, file, range, type.
            (WAIT, lock("f", 2, 0, 10, **back)), (WAIT, lock("h", 1, 0, 10, **back)),
            (WAIT, lock("f", 1, 50, 51, **back)), (WAIT, lock("f", 1, 0, 0, **back)),
            (WAIT, lock("g", 1, 0, 10, **back)), (WAIT, {**share, "owner": "you", **back}),
            # Conflicts with what is outstanding, or does not.
            (WAIT, lock("f", 2, 99, 1)), (GRANTED, lock("f", 2, 100, 10)),
            # Who was granted that before it was told to reclaim reclaims it like all it has.
            (GRANTED, lock("f", 2, 100, 10, **back)), (WAIT, lock("f", 2, 100, 11, **back)),
            (WAIT, lock("f", 2, 0, 1, False, "test")),
            (GRANTED, lock("f", 2, 100, 1, False, "test")),
            (GRANTED, lock("g", 3, 0, 20, False)), (WAIT, lock("g", 3, 14, 1)),
            (GRANTED, lock("g", 3, 15, 1)), (WAIT, {**share, "owner": "you", "access": 2}),
            # It made that shared and may not know yet; but others may want to share it, too.
            (GRANTED, lock("g", 3, 15, 1, False)), (GRANTED, lock("g", 3, 15, 1, **back)),
            (WAIT, lock("g", 3, 14, 2, **back)),
            (GRANTED, {**share, "owner": "they"}),
            (GRANTED, {**share, "fh": "f", "owner": "you"}),
            # Parts pass, and weaker ones. What is back is lockd's business.
            (GRANTED, lock("f", 1, 0, 10, **back)), (DENIED, lock("f", 2, 0, 10)),
            (GRANTED, lock("f", 1, 50, 10, False, **back)), (GRANTED, lock("f", 2, 50, 10, False)),
            (WAIT, lock("f", 2, 10, 1)), (WAIT, lock("f", 2, 60, 1)),
            # Given up, never to be asked for.
            (GRANTED, unlock("f", 1, 60, 40)), (GRANTED, lock("f", 2, 60, 40)),
            (WAIT, lock("f", 2, 49, 1)), (GRANTED, lock("f", 1, 10, 40, **back)),
            (GRANTED, {**share, "owner": "me", **back}),
            (DENIED, {**share, "owner": "you", "access": 2}),
            # In one piece with what was next to it.
            (GRANTED, lock("g", 1, 10, 5, False)), (WAIT, lock("g", 1, 0, 16, False, **back)),
            (GRANTED, lock("g", 1, 0, 15, False, **back)))
        unit = self.unit("b", S1)
        self.assertEqual((unit["phase"], unit["outstanding"], unit["unlisted"], unit["refused"]),
                         ("recovering", "1", "9", "9"))
        self.assertRegex(self.manifest("b"), r"(?s)svid=2 type=read start=5 end=14\nend locks=1 ")
        self.play("b", (GRANTED, unlock("g", 2, 0, 0)))
        self.over("b", "reclaimed=6 refused=9 waits=[0-9]+ released=0 address=0 unlisted=9 conflict=0")
        # A client that missed the answer asks again; one that is not on the list is late.
        self.play("b", (GRANTED, lock("f", 1, 0, 10, **back)), (WAIT, lock("f", 2, 0, 10, **back)),
                  (GRANTED, lock("h", 9, 0, 0)), (GRANTED, lock("h", 9, 0, 0, **back)))
        self.log_expect("b", "fsid=1234: recovery over, ended by hand: .*")
        self.cluster.end_recovery("b", S1)
        self.give_up("a")

    def test_cancelled(self):
        """Who was granted a lock unawares, and cancels the request for it, has none."""
        self.serve()
        names = "f", "g"
        self.files("a", S1, *names, "h")
        # The second of each waits, and does not answer when it is told that it has the lock.
        for name in names:
            self.play("a", (GRANTED, lock(name, 1, 0, 10)),
                      (BLOCKED, lock(name, 2, 0, 10, block=True)), (GRANTED, unlock(name, 1, 0, 10)))
        self.play("a", (GRANTED, lock("h", 2, 0, 10, False)))
        until(lambda: [how for _, how in self.cluster.locks("a", S1)].count("held") == 3, 60,
              "nobody gets the locks")
        self.release_only(r"locks=3 blocked=\d shares=0 files=3", fence=FENCE)
        give_up = {"do": "cancel"}
        self.play("a", (GRANTED, {**lock("f", 2, 0, 10), **give_up}))
        self.carry(2)
        # It may know that it has more, or another, than it waited for.
        self.play("b", (GRANTED, {**lock("g", 2, 0, 5), **give_up}), (WAIT, lock("g", 3, 0, 1)),
                  (GRANTED, {**lock("h", 2, 0, 10), **give_up}), (WAIT, lock("h", 3, 0, 1)),
                  (GRANTED, {**lock("g", 2, 0, 10), **give_up}), (GRANTED, lock("g", 3, 0, 1)),
                  (GRANTED, lock("h", 2, 0, 10, False, reclaim=True)))
        self.over("b", "reclaimed=1 refused=0 waits=2")
        self.log_expect("b", "fsid=1234: recovery over, ended by hand: .*")
        self.cluster.end_recovery("b", S1)
        self.give_up("a")

    def test_many_waiters(self):
        """More requests wait for one lock than there is room for at first: all taken down."""
        self.serve()
        self.files("a", S1, "f")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)),
                  *((BLOCKED, lock("f", svid, 0, 10, block=True)) for svid in range(100, 500)))
        self.release_only("locks=1 blocked=400 shares=0 files=1", fence=5)
        self.assertEqual(self.manifest("a").splitlines()[-1], "end locks=1 blocked=400 shares=0")
        self.give_up("a")

    def test_empty(self):
        """Nothing was held: nobody waits. Only root may know and tell."""
        self.serve()
        for how in "<", ">":
            refused = self.cluster["a"].exec("setpriv --reuid 65534 --clear-groups sh -c "
                                             f"'{how}/proc/fs/nfsd/lock_manifest'")
            self.assertIn("Permission denied", refused.err.decode())
        self.files("a", S1, "f")
        self.release_only("locks=0 blocked=0 shares=0 files=0")
        manifest = self.manifest("a")
        self.assertEqual(manifest.splitlines()[2:], ["end locks=0 blocked=0 shares=0"])
        self.recover("b")
        self.taken("b", 0)
        self.assertEqual(self.offer("b", manifest), "")
        self.over("b")
        self.give_up("a")

    def test_again(self):
        """Releasing twice keeps the list; what was not reclaimed goes on to the next node."""
        self.serve()
        self.files("a", S1, "f")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)), (GRANTED, lock("f", 2, 20, 10)))
        self.release_only("locks=2 blocked=0 shares=0 files=1")
        self.release_only("locks=0 blocked=0 shares=0 files=0")
        manifest = self.manifest("a")
        self.assertIn("end locks=2 blocked=0 shares=0", manifest)
        self.cluster.unexport("a", S1)
        self.cluster.umount("a", S1)
        self.cluster.mount_fs("b", S1)
        self.recover("b")
        self.taken("b", 2)
        self.assertEqual(self.offer("b", manifest), "")
        self.cluster.export("b", S1)
        self.play("b", (GRANTED, lock("f", 1, 0, 10, reclaim=True)))
        self.log_expect("b", rf"fsid=1234: released for {FENCE} s, dropped locks=1 blocked=0 .*")
        said = self.cluster.command("b", "nlm_unlock", f"1234 fence={FENCE}")
        self.assertIn("locks=1 blocked=0 shares=0 files=1 manifest=complete", said)
        lines = self.manifest("b").splitlines()
        self.assertEqual([re.sub(".* svid", "svid", line) for line in lines[2:]],
                         ["svid=1 type=write start=0 end=9", "svid=2 type=write start=20 end=29",
                          "end locks=2 blocked=0 shares=0"])
        self.give_up("a")
        self.give_up("b")
        # Recovering without a list: who has not reclaimed yet is not known.
        self.recover("b")
        self.log_expect("b", r"fsid=1234: released for 5 s, dropped locks=0 .*")
        said = self.cluster.command("b", "nlm_unlock", "1234 fence=5")
        self.assertIn("manifest=none", said)
        self.give_up("b")


class Doubt(ManifestCase):
    def setUp(self):
        super().setUp()
        self.serve()
        self.files("a", S1, "f")
        self.play("a", (GRANTED, lock("f", 1, 0, 10)))
        self.release_only("locks=1 blocked=0 shares=0 files=1", fence=30)
        self.text = self.manifest("a")

    def test_damaged(self):
        """Damaged, truncated and foreign manifests are refused and change nothing."""
        text = self.text
        self.recover("b")
        before = self.unit("b", S1)
        lines = text.splitlines(keepends=True)
        line = lines[2]
        other = line.replace("d2040000", "2e160000")
        self.assertNotEqual(other, line)
        damaged = {
            "nothing": "\n", "garbage": "\x00\xff garbage\n", "long": "nfs-" + "x" * 200000,
            "cut off": "".join(lines[:-1]), "cut in a line": text[:-8], "no head": "".join(lines[1:]),
            "no unit": lines[0] + "".join(lines[2:]), "two units": "".join(lines[:2] + lines[1:]),
            "version": text.replace("manifest 1", "manifest 2"),
            "more": text.replace("end locks=1", "end locks=2"),
            "fewer": text.replace("end locks=1", "end locks=0"),
            "twice": text.replace(line, line * 2).replace("end locks=1", "end locks=2"),
            "foreign": text.replace(line, other), "range": text.replace("end=9", "end=-1"),
            "svid": text.replace("svid=1", "svid=4294967296"), "nul": text.replace("c1", "c\0"),
            "handle": text.replace("fh=01", "fh=0"), "phase": text.replace("released", "held"),
            "long line": text.replace("name=c1", "name=" + "n" * 8000)}
        accepted = [what for what, text in damaged.items()
                    if self.offer("b", text) != "Invalid argument"]
        self.assertEqual(accepted, [])
        wrong = [self.offer("b", text.replace("valid=", "valid=0 ")),
                 self.offer("b", f"{text}{text}x")]
        self.assertEqual(wrong[0], "Invalid argument")
        # The first of those two was whole, and was taken.
        self.taken("b", 1)
        self.assertEqual(wrong[1], "Stale file handle")
        self.assertEqual(before["phase"], "recovering")
        self.assertEqual(self.unit("b", S1)["outstanding"], "1")
        self.end("b", S1, 0)
        self.give_up("a")

    def test_pieces(self):
        """However it is cut into writes, it is taken once, with its last line."""
        self.recover("b")
        self.taken("b", 1)
        self.cluster["b"].run("dd bs=1 of=/proc/fs/nfsd/lock_manifest status=none",
                              input=self.text.encode(), timeout=120)
        self.assertEqual(self.unit("b", S1)["outstanding"], "1")
        self.end("b", S1, 0)
        self.give_up("a")

    def test_stale(self):
        """A manifest is believed once, in its time, and by nobody who knows better."""
        taken = float(re.search(r"taken=([\d.]+)", self.text)[1])
        def stamped(seconds, valid=30):
            text = re.sub(r"taken=[\d.]+", f"taken={taken + seconds:.9f}", self.text)
            return re.sub(r"valid=\d+", f"valid={valid}", text)
        self.assertEqual(self.offer("a", self.text), "Stale file handle")
        self.assertEqual(self.offer("b", stamped(-100)), "Connection timed out")
        self.assertEqual(self.offer("b", stamped(-1000, 5000)), "Stale file handle")
        self.assertEqual(self.offer("b", stamped(100)), "Numerical result out of range")
        self.assertEqual(self.unit("b", S1), {})
        self.taken("b", 1)
        self.assertEqual(self.offer("b", self.text), "")
        self.assertEqual(self.offer("b", self.text), "Stale file handle")
        self.recover("b")
        self.assertEqual(self.unit("b", S1)["outstanding"], "1")
        self.assertEqual(self.offer("b", stamped(0.5)), "File exists")
        # The clocks of two VMs are up to a second apart.
        until(lambda: float(self.cluster["b"].run("date +%s.%N")) > taken + 1, 10,
              "the clock of b does not move")
        self.end("b", S1, 0)
        # b has served the filesystem since.
        self.assertEqual(self.offer("b", stamped(0.7)), "Stale file handle")
        self.give_up("a")

    def test_late(self):
        """Once clients have begun to reclaim without it, it is too late."""
        self.cluster.unexport("a", S1)
        self.cluster.umount("a", S1)
        self.cluster.mount_fs("b", S1)
        self.recover("b")
        self.cluster.export("b", S1)
        self.play("b", (GRANTED, lock("f", 1, 0, 10, reclaim=True)))
        self.assertEqual(self.offer("b", self.text), "Device or resource busy")
        self.end("b", S1, 1)
        self.give_up("a")

    def test_promise(self):
        """A node keeps to the manifest it gave away: it grants nothing before its time is over."""
        error, _ = self.cluster.write("a", "nlm_unlock", "1234 fence=0")
        self.assertEqual(error, "EBUSY")
        left = int(self.unit("a", S1)["left"])
        self.log_expect("a", r"fsid=1234: recovering for \d+ s")
        self.cluster.command("a", "nlm_set_igrace", "1234 1")
        self.assertGreater(int(self.unit("a", S1)["left"]), left - 5)
        error, _ = self.cluster.write("a", "nlm_set_igrace", "1234 0")
        self.assertEqual(error, "EBUSY")
        self.play("a", (WAIT, lock("f", 2, 50, 1)), (GRANTED, lock("f", 1, 0, 10, reclaim=True)))
        self.log_expect("a", r"fsid=1234: recovery over, time is up: reclaimed=1 .*")
        until(lambda: not self.unit("a", S1), 60, "the recovery does not end")
        self.play("a", (GRANTED, lock("f", 2, 50, 1)))


class Long(ManifestCase):
    def test_limits(self):
        """100,000 locks are taken and given back in seconds; there is a limit; memory returns."""
        node = self.cluster["b"]
        # awk, as Python takes long for that in an emulated machine.
        make = r"""
awk -v locks="$1" -v now="$(date +%s.%N)" 'BEGIN {
    print "nfs-failover-manifest 1"
    print "unit fsid=1234 phase=released taken=" now " valid=100"
    for (n = 0; n < locks; n++)
        printf("lock fsid=1234 fh=01000101d2040000%016x client=10.1.%d.1 name=client%d " \
               "server=10.77.0.100 svid=%d type=write start=%d end=%d\n", int(n / 10), n % 7,
               n % 7, n % 3, n % 10 * 100, n % 10 * 100 + 9)
    print "end locks=" locks " blocked=0 shares=0"
}'
"""
        node.run("cat > /run/make.sh", input=make.encode())
        used = "awk '/^MemAvailable/ { print $2 }' /proc/meminfo"
        self.recover("b")
        node.run("sh /run/make.sh 1000 > /run/manifest")
        before = int(node.run(used))
        count = 100000
        node.run(f"sh /run/make.sh {count} > /run/manifest", timeout=120)
        self.taken("b", count)
        took = node.run("t=$(date +%s%N); cat /run/manifest > /proc/fs/nfsd/lock_manifest; "
                        "echo $((($(date +%s%N) - t) / 1000000))", timeout=120)
        back = node.run("exec 3<>/proc/fs/nfsd/lock_manifest; echo 1234 >&3; t=$(date +%s%N); "
                        "cat <&3 > /run/back; echo $((($(date +%s%N) - t) / 1000000)); exec 3<&-; "
                        "grep ^lock /run/manifest | sort > /run/sorted; "
                        "grep ^lock /run/back | sort | cmp - /run/sorted", timeout=120)
        print(f"    # {count} locks: written in {int(took)} ms, read in {int(back)} ms")
        self.assertLess(int(took), 20000)
        self.assertLess(int(back), 20000)
        self.assertEqual(self.unit("b", S1)["outstanding"], str(count))
        node.run("rm /run/back /run/sorted /run/manifest")
        self.assertGreater(before - int(node.run(used)), 5000)
        self.end("b", S1, 0)
        node.run("sync")
        until(lambda: before - int(node.run(used)) < 5000, 30, "memory is not given back")
        node.run("sh /run/make.sh 262145 > /run/manifest", timeout=120)
        result = node.exec("cat /run/manifest > /proc/fs/nfsd/lock_manifest", timeout=120)
        self.assertIn("Argument list too long", result.err.decode())
        node.run("rm /run/manifest")
        until(lambda: before - int(node.run(used)) < 5000, 30, "memory is not given back")
