# SPDX-License-Identifier: GPL-2.0-only
"""Moves of a filesystem with locks on it between two servers, in three ways:

- "restart": stock; nfsd and lockd of the taking node are restarted, which gives all that it
  serves a grace period;
- "plain": this module without a manifest; the recovery is ended when all reclaims are in;
- "manifest": this module with a manifest; the recovery ends by itself.

The filesystem goes there and back, and the locks with it. Clients c1, c2, ... hold them; one
more, "o", holds none and is a bystander on both the filesystem that moves and those that do
not. All times are seconds, counted from the beginning of the first step.
"""

import time
from contextlib import contextmanager

import probes
from cluster import BIN, CONTROL, Filesystem, LabError, until

OTHER = "o"
S1 = Filesystem("s1", "1234", ("10.77.0.100",))
# What stays: each server's own filesystem.
HOME = {"a": Filesystem("s3", "9012", ("10.77.0.102",)), "b": Filesystem("s2", "5678", ("10.77.0.101",))}
FILESYSTEMS = (S1, *HOME.values())
# A manifest has to arrive within it; then the way back is open (see Moves.wait_promise).
FENCE = 60
GRACE = 600
# Reclaims follow each other in milliseconds.
QUIET = 0.5
# Nothing has come for so long: nothing more will.
LATE = 5
# Reclaims of this many locks are compared. Of many more, each takes longer than the one before.
RATED = 1000
REPEATS = 10
# That of moves in which nobody asks for anything but reclaims: they take seconds.
SHORT_FENCE = 15
LIMIT = 600


class Moves:
    def __init__(self, cluster, say):
        self.cluster, self.say = cluster, say
        self.at = "a"
        self.holders, self.keys, self.each = {}, [], 0
        self.promised = {"a": 0, "b": 0}
        self.parts, self.start = {}, 0

    def measure(self, locks, clients):
        """Results, one after the other as they are there."""
        self.set_up()
        rated = max((count for count in locks if count <= RATED), default=None)
        for count in locks:
            self.hold(count, 1)
            yield self.move("restart")
            self.drop()
        for node in self.cluster.servers:
            self.cluster.load(node)
        for number in clients:
            for count in locks:
                self.hold(count, number)
                yield self.move("plain")
                yield self.move("manifest")
                if count == rated and number == min(clients):
                    yield from self.rates()
                self.drop()

    def rates(self):
        """Without anybody else on the servers, in turns: only the reclaims are measured."""
        for turn in range(2 * REPEATS):
            yield self.move("plain" if turn % 4 in (0, 3) else "manifest", quiet=True)

    def set_up(self):
        cluster = self.cluster
        for node, fs in HOME.items():
            cluster.serve(node, fs)
            cluster.mount(OTHER, fs)
        for client in cluster.clients:
            if client != "c1":
                cluster.mount(client, S1)
        self.loop = probes.loop(cluster, OTHER, "/mnt/s1/loop")
        self.bystanders = {node: probes.loop(cluster, OTHER, f"/mnt/{fs.name}/loop")
                           for node, fs in HOME.items()}
        self.new = {client: probes.new_locks(cluster, client, f"/mnt/s1/new-{client}")
                    for client in ("c1", OTHER)}
        self.probes = [self.loop, *self.bystanders.values(), *self.new.values()]

    def hold(self, count, clients):
        """Let clients take count locks together, each in ranges of one file of its own."""
        began, names = time.monotonic(), self.cluster.clients[:clients]
        self.each = max(1, count // clients)
        self.holders = {client: self.cluster.spawn(client, "locks.py", "hold", "/mnt/s1", self.each,
                                                   "--range", "--prefix", f"hold-{client}")
                        for client in names}
        for client, holder in self.holders.items():
            while f"held {self.each}" not in holder.output():
                if holder.ended() or time.monotonic() - began > LIMIT:
                    raise LabError(f"{client} does not get its locks: {holder.errors()}")
                time.sleep(0.3)
        found = self.cluster[self.at].run(
            "stat -c '%Hd %Ld %i' " + " ".join(f"{S1.path}/hold-{client}" for client in names))
        self.keys = ["{:02x}:{:02x}:{}".format(*map(int, line.split()))
                     for line in found.splitlines()]
        self.say(f"moves: {clients} x {self.each} locks held after {time.monotonic() - began:.1f} s, "
                 f"{self.held()} on {self.at}")

    def held(self):
        """How many of the holders' locks the server has.

        /proc/locks is read page by page, so a lock is missed if one before it goes meanwhile.
        """
        words = " ".join(f"-e ' {key} '" for key in self.keys)
        return max(map(int, self.cluster[self.at].run(
            f"for i in 1 2 3; do grep -c {words} /proc/locks || true; done").split()))

    def drop(self):
        """The holders end, and their locks with them."""
        for holder in self.holders.values():
            holder.signal("KILL")
        for holder in self.holders.values():
            holder.wait()
        until(lambda: not self.held(), 60, "locks of holders that have ended stay")

    def wait_promise(self, node):
        """By a manifest that it gave away, a node grants nothing for some time."""
        left = self.promised[node] - time.monotonic()
        if left > 0:
            self.say(f"moves: waiting {left:.0f} s, {node} has promised to grant nothing so long")
            time.sleep(left)

    @contextmanager
    def part(self, name):
        """One step of the move; its beginning and its seconds, those of starting it included."""
        began = time.monotonic()
        yield
        self.parts[name] = {"at": began - self.start, "seconds": time.monotonic() - began}

    def umount(self, node):
        tries = f"n=0; until umount {S1.path}; do n=$((n + 1)); [ $n -lt 100 ]; sleep 0.1; done"
        self.cluster[node].run(f"set -e; {tries}")

    def give(self, node, way, fence):
        cluster = self.cluster
        if way != "restart":
            with self.part("release"):
                cluster.command(node, "nlm_unlock", f"{S1.fsid} fence={fence}")
        with self.part("save list"):
            cluster.save_clients(node, S1)
        with self.part("address down"):
            cluster.address_down(node, S1.ip)
        if way == "manifest":
            self.promised[node] = self.start + fence + 2
            with self.part("save manifest"):
                cluster[node].run(f"sh {BIN}/manifest-save.sh {S1.path} {S1.fsid}")
        with self.part("unexport"):
            cluster.unexport(node, S1)
        if way == "restart":
            with self.part("release"):
                cluster[node].run(f"echo {S1.path} > {CONTROL}/unlock_filesystem")
        with self.part("umount"):
            self.umount(node)

    def take(self, node, way):
        cluster = self.cluster
        with self.part("mount"):
            cluster.mount_fs(node, S1)
        if way != "restart":
            with self.part("grace"):
                cluster.command(node, "nlm_set_igrace", f"{S1.fsid} {GRACE}")
        if way == "manifest":
            with self.part("load manifest"):
                cluster[node].run(f"sh {BIN}/manifest-load.sh {S1.path}")
        with self.part("export"):
            cluster.export(node, S1)
        if way == "restart":
            with self.part("restart nfsd"):
                # 0: lockd's default, 50 s.
                cluster.server_up(node, nlm_grace=0, nfs4_grace=90)
        with self.part("address up"):
            cluster[node].run(f"ip addr add {S1.ip}/24 dev eth0")
        with self.part("notify"):
            cluster.notify(node, S1)

    def recovered(self, node, way, watch):
        """Wait for all reclaims and for the end of the recovery."""
        total, last, since = self.each * len(self.holders), None, 0
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            words = watch.latest()
            if words != last:
                last, since = words, time.monotonic()
            if way == "manifest" and words[0] != "recovering":
                return
            count = int(words[0] if way == "restart" else words[1])
            still = time.monotonic() - since
            if way != "manifest" and count >= total and still > QUIET:
                break
            # What a client has not reclaimed in the node's grace period, it has lost.
            if way == "restart" and count and still > LATE and self.grace_over(node):
                break
            time.sleep(0.2)
        else:
            raise LabError(f"{way}: the recovery does not end, {watch.latest()} of {total}")
        if way == "plain":
            with self.part("end recovery"):
                self.cluster.end_recovery(node, S1)

    def grace_over(self, node):
        return self.cluster[node].run("cat /proc/fs/lockd/nlm_end_grace").startswith("Y")

    def move(self, way, quiet=False):
        """Move S1 to the other server; returns what was measured."""
        giver, taker = (self.at, "b" if self.at == "a" else "a")
        total = self.each * len(self.holders)
        if way != "manifest":
            self.wait_promise(taker)
        watch = (probes.Watch(self.cluster, taker, "locks", *self.keys, interval=1)
                 if way == "restart" else
                 probes.Watch(self.cluster, taker, "unit", S1.fsid, interval=0.05))
        # Ready before the move, as a cluster manager is: Python takes seconds to start in a VM.
        announcer = self.cluster.spawn(taker, "announce.py", "eth0", S1.ip, "--wait")
        announcer.expect("waiting")
        active = [] if quiet else [p for p in self.probes if p is not self.bystanders[giver]]
        for probe in active:
            probe.begin()
        if active:
            time.sleep(3)
        self.parts, self.start = {}, time.monotonic()
        self.give(giver, way, SHORT_FENCE if quiet else FENCE)
        self.take(taker, way)
        self.at = taker
        self.recovered(taker, way, watch)
        over = time.monotonic()
        announcer.wait()
        for probe in active:
            # In a stock grace period of the node that can take long.
            until(lambda: time.sleep(0.3) or probe.last() > over, LIMIT,
                  f"{probe.log} on {probe.node.name}: locks are not granted any more")
        changes = watch.stop()
        stalls = self.stalls(taker) if active else {}
        for probe in active:
            probe.pause()
        result = {"way": way, "from": giver, "to": taker, "clients": len(self.holders),
                  "locks": total, "quiet": quiet, "parts": self.parts,
                  "lost": total - self.held(), **self.reclaims(way, changes), **stalls}
        self.tell(result)
        return result

    def reclaims(self, way, changes):
        """First and last reclaim, their number per second, and the end of the recovery."""
        column, total = 0 if way == "restart" else 1, self.each * len(self.holders)
        # /proc/locks may be read while it changes, and then have one twice, or not have all.
        counts = [(at - self.start, min(int(words[column]), total)) for at, words in changes
                  if at > self.start and len(words) > column]
        seen = [counts[i] for i in range(len(counts)) if counts[i][1] and
                (i == 0 or counts[i][1] != counts[i - 1][1])]
        if not seen:
            return {"first": None, "last": None, "rate": None, "over": None}
        (first, before), after = seen[0], max(count for _, count in seen)
        last = next(at for at, count in seen if count == after)
        over = next((at - self.start for at, words in changes if at - self.start >= last and
                     words[0] in ("recovered", "none")), None)
        refused = [int(words[3]) for _, words in changes if len(words) > 3]
        return {"first": first, "last": last, "over": over, "refused": max(refused, default=0),
                "rate": (after - before) / (last - first) if after - before > 50 else None}

    def stalls(self, taker):
        """What the others saw; `new` counts from the beginning, `new_up` from the address up."""
        down = self.parts["address down"]
        down = self.start + down["at"] + down["seconds"]
        up = self.parts["address up"]["at"] + self.parts["address up"]["seconds"]
        new = {client: probe.granted_after(down) for client, probe in self.new.items()}
        loop, bystander = (probe.summary(self.start) for probe in
                           (self.loop, self.bystanders[taker]))
        new = {client: at and at - self.start for client, at in new.items()}
        return {"up": up, "new": new["c1"], "new_other": new[OTHER],
                "new_up": new[OTHER] and new[OTHER] - up, "loop": loop, "bystander": bystander}

    def tell(self, result):
        parts = ", ".join(f"{name} {part['seconds']:.2f}" for name, part in result["parts"].items())
        self.say(f"moves: {result['way']}{', quiet' if result['quiet'] else ''}, "
                 f"{result['clients']} clients, {result['locks']} locks, lost {result['lost']}")
        self.say(f"    parts (s): {parts}")
        self.say("    " + ", ".join(
            f"{name} {value:.2f}" if isinstance(value, float) else f"{name} {value}"
            for name, value in result.items() if name in
            ("first", "last", "over", "rate", "up", "new", "new_other", "new_up", "refused")))
        if not result["quiet"]:
            self.say("    " + ", ".join(f"{who} {result[who]}" for who in ("loop", "bystander")))
