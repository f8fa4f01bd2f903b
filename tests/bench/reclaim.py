# SPDX-License-Identifier: GPL-2.0-only
"""What a manifest costs a reclaim: lockd's CPU time for each, in seconds.

The locks go to and fro between two servers, with and without a manifest in turns, and are
reclaimed by the program that took them (fill.py), which sends without waiting: the rate is what
lockd's thread can do. The VMs of this part have a clock that counts instructions, 2 ns each, so
that it says more than the rate of whole moves does; with KVM it is the time.
"""

import statistics

import moves
from cluster import BIN, Cluster, Lab, LabError, kvm, until

COUNT = 1000
REPEATS = 4
# The manifest has to be on the other node by then.
FENCE = 20
RECOVERY = 300


class Reclaim:
    def __init__(self, cluster, fs, say, count):
        self.cluster, self.fs, self.say, self.count = cluster, fs, say, count
        self.at, self.other = cluster.servers

    def fill(self, kind, *how):
        """Take locks, or reclaim them."""
        result = self.cluster["c1"].exec(
            ["python3", f"{BIN}/fill.py", self.fs.ip, self.fs.path, kind, f"reclaim/{kind}",
             str(self.count), *how], timeout=300)
        if result.status:
            raise LabError(f"locks were not granted: {result}")

    def used(self, node):
        """Seconds that lockd has been running on a CPU."""
        return int(self.cluster[node].run("cat /proc/$(pgrep -x lockd)/schedstat").split()[0]) / 1e9

    def turn(self, kind, manifest):
        """One move; returns the seconds for each lock."""
        cluster, fs = self.cluster, self.fs
        # Clocks that count instructions drift apart, and a manifest from the future is refused.
        now = cluster[self.at].run("date +%s.%N").strip()
        cluster[self.other].run(f"date -s @{now}")
        cluster.release(self.at, fs, FENCE, manifest)
        self.at, self.other = self.other, self.at
        cluster.mount_fs(self.at, fs)
        cluster.command(self.at, "nlm_set_igrace", f"{fs.fsid} {RECOVERY}")
        if manifest:
            cluster.load_manifest(self.at, fs)
        cluster.export(self.at, fs)
        for ip in fs.ips:
            cluster.address_up(self.at, ip)
        before = self.used(self.at)
        self.fill(kind, "reclaim")
        seconds = (self.used(self.at) - before) / self.count
        phase = cluster.status(self.at)[0]["phase"]
        if phase != ("recovered" if manifest else "recovering"):
            raise LabError(f"{self.at} is {phase} after all locks were reclaimed")
        if not manifest:
            # So that the next release has one.
            self.insist("nlm_set_igrace", f"{fs.fsid} 0")
        return seconds

    def insist(self, file, text):
        """A node keeps to the fence of a manifest it gave away."""
        until(lambda: not self.cluster.write(self.at, file, text)[0], 2 * FENCE,
              f"{self.at}: {file}: \"{text}\" is not accepted")

    def measure(self, kind):
        self.fill(kind)
        times = {True: [], False: []}
        # Some that do not count: each node does it for the first time, and the first release of a kind
        # has no manifest, as what was held of the other was dropped.
        for turn in range(-4, 2 * REPEATS):
            # a b b a: a drift of the machine hits both alike
            manifest = turn % 4 in (1, 2)
            seconds = self.turn(kind, manifest)
            if turn >= 0:
                times[manifest].append(seconds)
            self.say(f"reclaim: {self.count} {kind} {'with' if manifest else 'without'} a manifest: "
                     f"{seconds * 1e6:.1f} us of lockd's CPU time each")
        self.insist("nlm_unlock", f"{self.fs.fsid} fence=0")
        return [{"kind": kind, "count": self.count, "manifest": times[True], "plain": times[False],
                 "counted": not kvm(),
                 "ratio": statistics.median(times[False]) / statistics.median(times[True])}]


def measure(kernel, say, count):
    """For each kind of locks: the times of both, and the ratio of what is done in a second."""
    fs = moves.S1
    count = min(count, COUNT)
    cluster = Cluster(Lab("bench-reclaim"), filesystems=[fs])
    try:
        say(f"reclaim: booting {' '.join([*cluster.servers, *cluster.clients])}")
        cluster.start(kernel, counted=True)
        cluster.up(nlm_grace=1)
        for node in cluster.servers:
            cluster.load(node)
        cluster.serve("a", fs)
        cluster["a"].run(f"mkdir -p {fs.path}/reclaim/files && cd {fs.path}/reclaim && "
                         f"touch ranges && cd files && seq 0 {count - 1} | xargs touch && sync",
                         timeout=120)
        for kind in ("ranges", "files"):
            yield Reclaim(cluster, fs, say, count).measure(kind)
    finally:
        cluster.lab.close()
