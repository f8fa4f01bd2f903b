# SPDX-License-Identifier: GPL-2.0-only
"""Manifests that are damaged, come late, or are as long as they may be."""

import re

from cases import GRANTED, WAIT, ManifestCase, lock
from testbed import S1, until

END = 2 ** 63 - 1
# It is about the module, whatever the kernel.
ONE_KERNEL = True


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
        # No manifest without a unit that recovers.
        self.assertEqual(self.offer("b", self.text), "No such file or directory")
        self.assertEqual(self.unit("b", S1), {})
        self.recover("b")
        self.taken("b", 1)
        self.assertEqual(self.offer("b", self.text), "")
        self.assertEqual(self.offer("b", self.text), "Stale file handle")
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
        self.expect_recovering("a", S1, r"\d+")
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
