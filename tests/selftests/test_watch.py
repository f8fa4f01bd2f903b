# SPDX-License-Identifier: GPL-2.0-only
"""Who waits for changes of failover_status is told of them, and of nothing else."""

import re
import time

from cases import GRANTED, WAIT, ManifestCase, lock
from cluster import CTL
from testbed import S1, until

SERVERS = ("a",)
CLIENTS = ("c1",)
# It is about the module, whatever the kernel.
ONE_KERNEL = True
OTHER = "other"
NFSD = f"/var/tmp/{OTHER}"
# What each look begins with.
CLEAR = "\33[H"
HELD = lock("f", 1, 0, 10)


class Watch(ManifestCase):
    def serve(self):
        self.cluster.serve("a", S1)
        self.files("a", S1, "f")

    def other(self):
        """Another network namespace, with an nfsd filesystem."""
        node = self.cluster["a"]
        self.addCleanup(node.run, f"umount -l {NFSD}; ip netns del {OTHER}; true")
        node.run(f"ip netns add {OTHER} && mkdir -p {NFSD} && "
                 f"nsenter --net=/run/netns/{OTHER} mount -t nfsd nfsd {NFSD}")

    def watch(self, directory):
        watcher = self.cluster.spawn("a", "polled.py", directory)
        watcher.expect("ready")
        return watcher

    def told(self, watcher, phases, manifest=0, refused=0, taken_away=0, floating=0):
        """It is, and sees that; returns the line."""
        return watcher.expect(f"{phases} manifest={manifest} refused={refused} "
                              f"taken_away={taken_away} floating={floating}")

    def said(self, watcher):
        watcher.signal()
        watcher.wait()
        return watcher.output().splitlines()[1:]

    def test_told(self):
        """Of units, manifests, the first refusal, addresses and what is taken away; not of numbers,
        nor of another namespace."""
        self.serve()
        self.other()
        self.play("a", (GRANTED, HELD))
        here, there = self.watch("/proc/fs/nfsd"), self.watch(NFSD)
        self.release_only("locks=1 .*", fence=60)
        # The list comes later, or has come already.
        seen = [self.told(here, "released", manifest=1)]
        manifest = self.manifest("a")
        self.recover("a")
        seen.append(self.told(here, "recovering"))
        self.taken("a", 1)
        later = re.sub(r"taken=(\d+)", lambda found: f"taken={int(found[1]) + 1}", manifest)
        self.assertEqual(self.offer("a", later), "")
        seen.append(self.told(here, "recovering", manifest=1))
        # Who is not on it is refused.
        self.play("a", *3 * [(WAIT, lock("f", 2, 0, 10, reclaim=True)), (WAIT, lock("f", 2, 0, 10))])
        seen.append(self.told(here, "recovering", manifest=1, refused=1))
        self.play("a", (GRANTED, {**HELD, "reclaim": True}))
        self.over("a")
        seen.append(self.told(here, "recovered", manifest=1, refused=1))
        self.end("a", S1, 1, 3)
        seen.append(self.told(here, "none"))
        for sign, line in ("+", "floating address"), ("-", "no floating address any more"):
            self.log_expect("a", f"ip=10.9.9.9: {line}")
            self.cluster.command("a", "floating_ips", f"{sign}10.9.9.9")
            seen.append(self.told(here, "none", floating=int(sign == "+")))
        self.cluster["a"].run(f"echo {self.cluster['a'].ip} > /proc/fs/nfsd/unlock_ip")
        seen.append(self.told(here, "none", taken_away=1))
        inside = r"fsid=77 in net:\[\d+\]: "
        self.log_expect("a", inside + "recovering for 60 s", inside + "recovery over, .*")
        elsewhere = []
        for seconds, phase in (60, "recovering"), (0, "none"):
            self.cluster.command("a", "nlm_set_igrace", f"77 {seconds}", NFSD)
            elsewhere.append(self.told(there, phase))
        self.assertEqual(self.said(there), elsewhere)
        first = "released manifest=0 refused=0 taken_away=0 floating=0"
        self.assertEqual([line for line in self.said(here) if line != first], seen)

    def test_status(self):
        """status --watch looks again at once."""
        self.serve()
        self.cluster.configure()
        node, out = self.cluster["a"], "/run/watched"
        group = node.start([CTL, "status", "--watch=3600"], out=out, err=f"{out}.err", rc=f"{out}.rc")
        self.addCleanup(node.signal, group, "KILL")

        def looked(text):
            until(lambda: text in (node.read(out)[0] or ""), 60,
                  lambda: f"no \"{text}\": {node.read(out, f'{out}.err')}")
        looked("nothing is released or recovering")
        self.recover("a")
        looked("0 released, 1 recovering")
        # What it has looked at it is not told of again.
        time.sleep(3)
        self.assertLess((node.read(out)[0] or "").count(CLEAR), 6)
        # Or the module could not be unloaded.
        node.signal(group, "TERM")
        self.end("a", S1, 0)
