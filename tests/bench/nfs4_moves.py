# SPDX-License-Identifier: GPL-2.0-only
"""One move of a filesystem of NFSv4 clients after the other, of nodes that have just booted.

With the module nfs-failoverctl moves it, on stock servers an administrator does by hand. Client c1 holds
files and locks on it, writes to it without end (the writer), and opens and locks a file of another
filesystem, which node b serves all the time (the bystander). Client c2 is the rival who wants the same locks.
"""

import contextlib
import re
import time
from collections import Counter

from cluster import Filesystem, LabError, until
from nfs4_judge import described, name
from stalls import beyond, longest, touching, trips, within

S1 = Filesystem("s1", "1234", ("10.77.0.100",))
S2 = Filesystem("s2", "5678", ("10.77.0.101",))
# Files with a lock each, of small moves and of large ones, which have ranges of one more file, too. Where
# files are delegated, nobody else opens some of them.
LOCKS, FILES, RANGES, OWN = 10, 500, 1500, 5
# Seconds in which clients may reclaim; it is ended when none has for so long that had something: who is told
# to wait asks again after 5 s.
RECOVERY, LARGE_RECOVERY, QUIET = 60, 300, 8
# For so long a list is believed, and a node that gave one away grants nothing.
FENCE = 60
# Round trips of the bystander before a move, to compare with: about as many as during it.
BEFORE = 200
WRITER, BYSTANDER = "/run/writer.log", "/run/bystander.log"
CONNECTIONS = f"{S1.path}/.nsm/{S1.ip}/connections"
STATE = re.compile(r'type: (\w+), .*superblock: "([0-9a-f]+:[0-9a-f]+):(\d+)"')
STEPS = "--mount", "--export", "--address", "--expect-none"


class Moves:
    def __init__(self, cluster, say):
        self.cluster, self.say = cluster, say

    def boot(self):
        """All of it anew, with empty filesystems: nothing that a move has left is there in the next one."""
        nodes = list(self.cluster.lab.nodes.values())
        for node in nodes:
            node.kill()
        for fs in S1, S2:
            self.cluster.lab.empty_disk(fs.name)
        for node in nodes:
            node.launch()
        for node in nodes:
            node.wait()
        self.cluster.up()

    def serve(self, ours, delegations):
        """s1 on a, s2 on b."""
        cluster = self.cluster
        cluster.configure()
        for node, fs in ("a", S1), ("b", S2):
            cluster[node].run(f"sysctl -q fs.leases-enable={int(delegations)}")
            if ours:
                cluster.load(node)
                cluster.ctl(node, "takeover", fs.name, *STEPS, "--no-notify")
                cluster.end_recovery(node, fs)
            else:
                cluster.serve(node, fs)

    def kinds(self, row):
        """What c1 holds: [(number, beginning of the names, more words for locks.py)]."""
        large, own = row["size"] == "large", OWN if row["delegations"] == "on" else 0
        kinds = [((FILES if large else LOCKS) - own, "lock", ())]
        if large:
            kinds.append((RANGES, "range", ("--range",)))
        if own:
            # nfsd delegates nothing for writing to 4.0.
            kinds.append((own, "own", ("--read",) if row["vers"] == "4.0" else ()))
        return kinds

    def hold(self, kinds):
        holders = []
        for count, prefix, more in kinds:
            if "--read" in more:
                self.cluster["c1"].run(f"cd /mnt/s1 && touch $(seq -f {prefix}%g 0 {count - 1})")
            holders.append(self.cluster.spawn("c1", "locks.py", "hold", "/mnt/s1", count, "--prefix",
                                              prefix, *more))
            holders[-1].expect(f"held {count}", 600)
        return holders

    def states(self, node):
        """What a server has for c1 on s1, but for the writer: how many files it has open or delegated, and
        how many of them delegated. What is delegated to 4.2 need not be open."""
        text = self.cluster[node].run(
            f"mountpoint -d {S1.path}; stat -c %i {S1.path}/writer; for client in /proc/fs/nfsd/clients/*; do "
            f"if grep -q '^address: \"{self.cluster['c1'].ip}:' $client/info; then cat $client/states; fi; done")
        device, writer, *lines = text.splitlines()
        device = "{:02x}:{:02x}".format(*map(int, device.split(":")))
        there = {found.groups() for found in map(STATE.search, lines)
                 if found and found[2] == device and found[3] != writer}
        return tuple(len({inode for kind, _, inode in there if kind in kinds})
                     for kinds in (("open", "deleg"), ("deleg",)))

    def now(self):
        return float(self.cluster["c1"].run("date +%s.%N"))

    def leave(self, node, row):
        """The node lets go of s1; returns whether that was as it should be."""
        cluster = self.cluster
        if row["way"] == "crash":
            cluster[node].kill()
        elif row["who"] == "ours":
            said = cluster.ctl(node, "release", "s1", "--address", "--unexport", "--umount", "--fence", FENCE,
                               timeout=600).text
            return any("umount /" in line and "at the first try" in line for line in said.splitlines())
        else:
            cluster.address_down(node, S1.ip)
            cluster.unexport(node, S1)
            # Stock, nothing else makes NFSv4 clients let go of it.
            cluster[node].run("rpc.nfsd 0")
            cluster.umount(node, S1)
        return True

    def arrive(self, node, row):
        if row["who"] == "ours":
            seconds = LARGE_RECOVERY if row["size"] == "large" else RECOVERY
            self.cluster.ctl(node, "takeover", "s1", *STEPS, "--grace", seconds, timeout=600)
        else:
            self.cluster.serve(node, S1)

    def unit(self, node):
        return next((line for line in self.cluster.status(node) if line.get("fsid") == S1.fsid),
                    {"phase": "gone"})

    def recovered(self, node, files):
        """Wait for the end of the recovery, which is now if all clients have reclaimed; returns what the log
        says of it."""
        count, since = None, 0
        deadline = time.monotonic() + 2 * LARGE_RECOVERY
        while (unit := self.unit(node))["phase"] == "recovering":
            if time.monotonic() > deadline:
                raise LabError(f"{node}: the recovery does not end: {unit}")
            if unit["reclaimed"] != count:
                count, since = unit["reclaimed"], time.monotonic()
            if int(count) >= files and time.monotonic() - since > QUIET:
                # It may be over by now.
                with contextlib.suppress(LabError):
                    self.cluster.end_recovery(node, S1)
            time.sleep(0.5)
        log = "dmesg | grep 'recovery over' | tail -n 1"
        until(lambda: S1.fsid in self.cluster[node].run(log), 30, "the log does not say what was reclaimed")
        return dict(word.split("=") for word in self.cluster[node].run(log).split() if "=" in word)

    def applications(self, vers, kinds):
        """All that runs during a move, and has got going; those that hold something apart."""
        cluster = self.cluster
        for client in "c1", "c2":
            cluster.mount(client, S1, vers=vers)
            cluster.mount(client, S2, vers=vers)
        # What two clients have open is not delegated, or the bystander would keep its locks to itself.
        other = cluster.spawn("c2", "locks.py", "hold", "/mnt/s2", 2, "--range", "--half", 1, "--prefix",
                              "bystander")
        other.expect("held 1")
        holders = self.hold(kinds)
        writer = cluster.spawn("c1", "locks.py", "loop", "/mnt/s1/writer", "--write", "--interval", "20",
                               "--log", WRITER)
        bystander = cluster.spawn("c1", "locks.py", "loop", "/mnt/s2/bystander", "--open", "--half", 0,
                                  "--interval", "50", "--log", BYSTANDER)
        rival = cluster.spawn("c2", "locks.py", "rival", "/mnt/s1", min(LOCKS, kinds[0][0]),
                              "--interval", "0.3")
        rival.expect("round", 120)
        return holders, {"writer": writer, "bystander": bystander, "rival": rival, "other": other}

    def settle(self):
        """Wait until the bystander has made some more round trips; returns since when."""
        since = self.now()
        first = int(self.cluster["c1"].run(f"wc -l <{BYSTANDER}"))
        until(lambda: time.sleep(3) or int(self.cluster["c1"].run(f"wc -l <{BYSTANDER}")) > first + BEFORE,
              120, "the bystander does not get on")
        return since

    def again(self, rival, timeout=200):
        """The rival has tried all of it once more."""
        rounds = rival.output().count("round")
        until(lambda: rival.output().count("round") > rounds + 1, timeout, "the rival is stuck")

    def move(self, row):
        """Fills in the row."""
        cluster, ours = self.cluster, row["who"] == "ours"
        self.serve(ours, row["delegations"] == "on")
        kinds = self.kinds(row)
        row["of"] = sum(count for count, _, _ in kinds)
        row["files"] = sum(1 if "--range" in more else count for count, _, more in kinds)
        row["wanted"] = OWN if row["delegations"] == "on" else 0
        holders, programs = self.applications(row["vers"], kinds)
        settled = self.settle()
        _, row["given"] = self.states("a")
        if ours and row["way"] == "crash":
            until(lambda: cluster["a"].exec(f"grep -c ' 2049$' {CONNECTIONS}").text == "2", 60,
                  "the clients' connections are not listed")
        arrived = cluster.spawn("c1", "arrived.py", S1.ip, cluster["b"].mac)
        arrived.expect("listening")
        # The log is looked at for what comes of this.
        cluster["b"].run("dmesg -C")
        began = self.now()
        row["umount"] = self.leave("a", row)
        self.arrive("b", row)
        up = float(arrived.expect("", 60))
        unit = self.recovered("b", row["files"]) if ours else {}
        row.update({key: int(unit[key]) if ours else None for key in ("reclaimed", "refused", "waits")})
        self.again(programs["rival"])
        ended = self.now()
        said = {who: program.stop(100) for who, program in programs.items()}
        row.update(self.stalls(settled, began, up, ended))
        for holder in holders:
            holder.signal("USR1")
            holder.expect("checked", 300)
        row["opens"], row["delegated"] = self.states("b")
        rivals = [said["rival"], *(self.rival(*kind) for kind in kinds)]
        row["rival"] = sum(one["grants"] for one in rivals)
        row["tried"] = sum(one["tries"] for one in rivals[1:])
        row["locks"] = len(cluster.locks("b", S1))
        row["errors"] = {who: one["errors"] for who, one in said.items()}
        row["errors"]["holders"] = sum((Counter(holder.stop(300)["errors"]) for holder in holders), Counter())
        row["errors"]["rival"] = sum((Counter(one["errors"]) for one in rivals), Counter())

    def rival(self, count, prefix, more):
        """Somebody else tries all that c1 has, which recalls what is delegated."""
        return self.cluster.spawn("c2", "locks.py", "rival", "/mnt/s1", count, "--prefix", prefix, "--rounds",
                                  1, *(word for word in more if word != "--read")).summary(900)

    def stalls(self, settled, began, up, ended):
        writer, bystander = (trips(self.cluster["c1"].run(f"cat {log}")) for log in (WRITER, BYSTANDER))
        before, during = within(bystander, settled, began), touching(bystander, began, ended)
        if len(before) < BEFORE / 2 or not during:
            raise LabError(f"the bystander made {len(before)} round trips before the move, {len(during)} in it")
        return {"commands": up - began, "writer": beyond(writer, up, ended), "trips": [len(before), len(during)],
                "bystander": longest(during), "before": longest(before)}

    def row(self, row):
        """A move with all that belongs to it. If it fails, the others go on."""
        started = time.monotonic()
        self.boot()
        try:
            self.move(row)
        except LabError as error:
            row["failed"] = str(error)
        row["took"] = time.monotonic() - started
        self.say(f"{name(row)}: {row.get('failed') or described(row)}")
        return row

    def back(self, vers, times):
        """There and back, so many times, with all that one client has: {how many moves, how long the
        slowest took until all was back, what was wrong}."""
        row = {"who": "ours", "way": "planned", "vers": vers, "size": "small"}
        here, there, took, wrong = "a", "b", [], None
        self.boot()
        try:
            self.serve(True, False)
            self.cluster.mount("c1", S1, vers=vers)
            (holder,) = self.hold([(LOCKS, "lock", ())])
            while len(took) < 2 * times and not wrong:
                began = time.monotonic()
                if not self.leave(here, row):
                    wrong = f"not unmounted at the first try after {len(took)} moves"
                self.cluster[there].run("dmesg -C")
                self.arrive(there, row)
                holder.signal("USR1")
                said = holder.expect("checked", 200)
                took.append(time.monotonic() - began)
                unit = self.recovered(there, LOCKS)
                kept = len(self.cluster.locks(there, S1))
                if (said, kept, unit["refused"]) != (f"checked {LOCKS} errors 0", LOCKS, "0"):
                    wrong = f"{said}, {kept} of {LOCKS} locks are there after {len(took)} moves: {unit}"
                here, there = there, here
            errors = holder.stop(100)["errors"]
            wrong = wrong or errors and f"the application has got {errors}" or None
        except LabError as error:
            wrong = f"after {len(took)} moves: {error}"
        result = {"moves": len(took), "slowest": max(took, default=None), "wrong": wrong}
        self.say(f"there and back, NFSv{vers}: {result}")
        return result
