# SPDX-License-Identifier: GPL-2.0-only
"""What giving up locks costs: the time of the write(2) to a control file, in seconds.

Two pairs, on COUNT locks each time, on one server in one run:

- mainline's unlock_filesystem without the module, and nlm_unlock with fence=60, which also
  takes down the manifest;
- unlock_ip without the module and with it.

Once with COUNT ranges of one file and once with COUNT files of one lock each. The locks come
from a program that speaks NLM itself (fill.py) and takes all of them again for each write.

On an emulated CPU the same write takes half or twice as long the next time. So the VMs of this
part have a clock that counts instructions, 2 ns each; with KVM it is the time.
"""

import json
import statistics

import moves
from cluster import BIN, CONTROL, Cluster, Lab, LabError, kvm

REPEATS = 3
# Released before each measurement: what runs for the first time since the module came or went
# takes longer.
WARM = 100
TARGET = 1.05
WAYS = (("filesystem", ("unlock_filesystem", "{path}"), ("nlm_unlock", "{fsid} fence=60")),
        ("address", ("unlock_ip", "{ip}"), ("unlock_ip", "{ip}")))


class Release:
    def __init__(self, cluster, fs, say, count):
        self.cluster, self.fs, self.say, self.count = cluster, fs, say, count

    def fill(self, kind, count):
        """Take locks from c1; returns the seconds it took."""
        result = self.cluster["c1"].exec(
            ["python3", f"{BIN}/fill.py", self.fs.ip, self.fs.path, kind,
             f"release/{kind}", str(count)], timeout=300)
        if result.status:
            raise LabError(f"the locks to release were not granted: {result}")
        return json.loads(result.text)["seconds"]

    def recover(self, kind):
        """Clients get the time to reclaim, and do: else there is no list the next time."""
        self.cluster.command("a", "nlm_set_igrace", f"{self.fs.fsid} 60")
        self.cluster["c1"].run(["python3", f"{BIN}/fill.py", self.fs.ip, self.fs.path, kind,
                                f"release/{kind}", "1", "reclaim"], timeout=60)
        self.cluster.command("a", "nlm_set_igrace", f"{self.fs.fsid} 0")

    def write(self, file, text):
        """Seconds of one write, and what the file said."""
        fs = self.fs
        text = text.format(path=fs.path, fsid=fs.fsid, ip=fs.ip)
        reply = json.loads(self.cluster["a"].run(
            ["python3", f"{BIN}/timed_write.py", f"{CONTROL}/{file}", text], timeout=300))
        return reply["seconds"], reply["reply"]

    def turn(self, kind, loaded, times):
        """One measurement of each pair, with or without the module."""
        for pair, stock, ours in WAYS:
            file, text = ours if loaded else stock
            for count in (min(WARM, self.count), self.count):
                filled = self.fill(kind, count)
                seconds, reply = self.write(file, text)
                if file == "nlm_unlock":
                    if f"locks={count} " not in reply or "manifest=complete" not in reply:
                        raise LabError(f"nlm_unlock released something else: {reply}")
                    self.recover(kind)
            times[pair]["ours" if loaded else "stock"].append(seconds)
            self.say(f"release: {self.count} {kind} (locked in {filled:.1f} s), {file} "
                     f"{'with' if loaded else 'without'} the module: {seconds * 1e3:.1f} ms")

    def measure(self, kind):
        times = {pair: {"stock": [], "ours": []} for pair, *_ in WAYS}
        # One of each that does not count: caches are cold, a file is opened the first time.
        for turn in range(-1, 2 * REPEATS):
            # a b b a: a drift of the machine hits both alike
            loaded = turn % 4 in (1, 2)
            if loaded:
                self.cluster.load("a")
            self.turn(kind, loaded, times if turn >= 0 else
                      {pair: {"stock": [], "ours": []} for pair, *_ in WAYS})
            if loaded:
                self.cluster.unload("a")
        return [{"kind": kind, "pair": pair, "count": self.count, **both,
                 "counted": not kvm(),
                 "ratio": statistics.median(both["ours"]) / statistics.median(both["stock"])}
                for pair, both in times.items()]


def measure(kernel, say, count):
    """For each kind of locks, as they are there: the times of each pair, their medians' ratio."""
    fs = moves.S1
    cluster = Cluster(Lab("bench-release"), servers=["a"], filesystems=[fs])
    try:
        say("release: booting a c1")
        cluster.start(kernel, counted=True)
        cluster.up(nlm_grace=1)
        cluster.serve("a", fs)
        cluster["a"].run(f"mkdir -p {fs.path}/release/files && cd {fs.path}/release && "
                         f"touch ranges && cd files && seq 0 {count - 1} | xargs touch && sync",
                         timeout=120)
        release = Release(cluster, fs, say, count)
        for kind in ("ranges", "files"):
            yield release.measure(kind)
    finally:
        cluster.lab.close()
