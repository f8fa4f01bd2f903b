# SPDX-License-Identifier: GPL-2.0-only
"""Delegations that were reclaimed, and are recalled while their filesystem recovers.

What is done with a file is known to the client alone that has it delegated, its locks in any case. Whoever
wants something of the file gets it when the delegation is back: he reads what was written before, also while
there was no server, and no lock is somebody else's.
"""

import re

import nfs4_list
from nfs4cases import FENCE, RECOVERY, ROUND, PlannedCase
from opens import DELEGATION
from testbed import S1, until

WEIGHT = 2
# Who wants something of a file, how: nobody but the last waits for the end of a recovery.
WAYS = (("local", "use"), ("nfs3", "use"), ("nfs3", "chmod"), ("nfs4", "chmod"), ("nfs4", "use"))
SOON, LATE = WAYS[:-1], WAYS[-1:]
WHERE = {"local": ("b", S1.path), "nfs3": ("c2", "/mnt/v3"), "nfs4": ("c2", "/mnt/s1")}
WRITING, READING = ("4.1", "4.2"), ("4.1", "4.2", "4.0")


class Recalls4(PlannedCase):
    def begin(self, writing=WRITING, reading=READING):
        """A client has one file in each of these versions for each way. Those whose names begin with w it
        writes; nfsd delegates none of these by NFSv4.0."""
        self.mounts = {vers: f"/mnt/v{vers}" for vers in reading}
        self.counts = {"w": len(writing) * len(WAYS), "r": len(reading) * len(WAYS)}
        self.names = [f"{kind}{number}" for kind, count in self.counts.items() for number in range(count)]
        self.floating()
        self.cluster.serve("a", S1)
        self.cluster.python("a", "recalls.py", "make", S1.path, "other", "first", *self.names)
        found = self.cluster["a"].run(f"cd {S1.path} && stat -c '%i %n' other {' '.join(self.names)}")
        self.inodes = dict(line.split() for line in found.splitlines())
        self.cluster.mount("c2", S1, vers="3", at="/mnt/v3")
        self.cluster.mount("c2", S1, vers="4.2")
        self.never_written_back("c1")
        for vers, at in self.mounts.items():
            self.cluster.mount("c1", S1, vers=vers, at=at)
        # By NFSv4.0 nothing is delegated to somebody who opens his first file.
        self.cluster["c1"].run("cat " + " ".join(f"{at}/first" for at in self.mounts.values()))
        self.holder = self.cluster.spawn("c1", "recalls.py", "hold", *(
            f"{self.mounts[self.version(name)]}/{name}" for name in self.names))
        self.holder.expect(f"held {len(self.names)}", ROUND)
        self.assertEqual(self.differs(self.state("a"), self.recalled(())), {})
        self.unwritten()

    def never_written_back(self, client):
        """Unless somebody asks for it."""
        before = self.cluster[client].run("sysctl -n vm.dirty_writeback_centisecs").strip()
        self.cluster[client].run("sysctl -q vm.dirty_writeback_centisecs=0")
        self.addCleanup(self.cluster[client].exec, f"sysctl -q vm.dirty_writeback_centisecs={before}")

    def names_of(self, ways, kinds="wr"):
        return [name for name in self.names if name[0] in kinds and WAYS[int(name[1:]) % len(WAYS)] in ways]

    def state(self, node):
        """{file: "r" or "w" if it is delegated, and for what, or "locked" if the server knows that}."""
        text = self.cluster[node].run("cat /proc/fs/nfsd/clients/*/states 2>/dev/null || :")
        found = {self.inodes[str(inode)]: "locked" for inode, _ in self.cluster.locks(node, S1)}
        # A directory may be delegated, too.
        found.update((self.inodes[inode], kind) for kind, inode in DELEGATION.findall(text)
                     if inode in self.inodes)
        return found

    def recalled(self, ways):
        """What state() says where all is delegated but what is wanted in these ways."""
        gone = self.names_of(ways)
        return {name: "locked" if name in gone else name[0] for name in self.names}

    def differs(self, found, expected):
        """That between two of these. Of NFSv4.0 more may be recalled: nfsd asks back what is reclaimed
        before it has found out whether it can call back."""
        return {name: (found.get(name), want) for name, want in expected.items() if found.get(name) != want
                and (self.version(name) != "4.0" or found.get(name) != "locked")}

    def version(self, name):
        return list(self.mounts)[int(name[1:]) // len(WAYS)]

    def unwritten(self):
        """No server has got anything of what was written."""
        stats = self.cluster["c1"].run("cat /proc/self/mountstats")
        self.assertEqual(set(re.findall(r"^\s*WRITE: (\d+)", stats, re.M)), {"0"})

    def moved(self, listed=lambda names: {}):
        """The filesystem is on b, where it recovers, and all is delegated there as it was. listed: what
        to make of the names that clients have on a, for b to know who had what."""
        self.expect_released("a", S1, FENCE)
        self.cluster.command("a", "nlm_unlock", f"{S1.fsid} fence={FENCE}")
        for ip in S1.ips:
            self.cluster.address_down("a", ip)
        clients = listed(self.cluster.expire("a", S1))
        self.cluster.unexport("a", S1)
        self.cluster.umount("a", S1)
        self.holder.signal("USR2")
        self.holder.expect("closing", ROUND)
        self.unwritten()
        self.expect_recovering("b", S1, RECOVERY)
        if clients:
            self.log_expect("b", f"fsid={S1.fsid}: waiting for {len(clients)} NFSv4 clients")
            taken = self.cluster["a"].run("date +%s.%N").strip()
            clients = nfs4_list.text(S1.fsid, taken, RECOVERY, clients)
        self.cluster.takeover("b", S1, RECOVERY, clients=clients)
        # Who has nothing to write does not notice.
        self.cluster["c1"].run(f"stat -f {' '.join(self.mounts.values())}", timeout=ROUND)
        until(lambda: not self.differs(self.state("b"), self.recalled(())), ROUND,
              lambda: f"not all is delegated: {self.state('b')}")
        self.holder.expect(f"closed {len(self.names)}", ROUND)

    def want(self, ways):
        """All that is wanted so, at the same time; programs, and what they must say."""
        asked = []
        for who in dict.fromkeys(who for who, _ in ways):
            node, at = WHERE[who]
            words, said = [at], []
            for _, how in (way for way in ways if way[0] == who):
                written, others = (self.names_of([(who, how)], kind) for kind in "wr")
                if how == "chmod":
                    words += ["chmod", *written, *others]
                    said += [f"{name} done" for name in written + others]
                else:
                    words += ["read", *written, "append", *others]
                    said += [f"{name} done {name} new" for name in written]
                    said += [f"{name} done" for name in others]
            asked.append((self.cluster.spawn(node, "recalls.py", "want", *words), sorted(said)))
        return asked

    def got(self, asked):
        for program, said in asked:
            self.assertEqual(program.wait(ROUND), 0, program.errors())
            # What is not closed yet they may see or not.
            found = re.sub(r" w\d+ end", "", program.output())
            self.assertEqual(sorted(line.strip() for line in found.splitlines()), said)

    def recovering(self):
        self.assertEqual(self.unit("b")["phase"], "recovering")

    def rivals(self, at):
        """Somebody else wants all locks, once."""
        return [self.cluster.spawn("c2", "locks.py", "rival", at, count, "--prefix", kind, "--rounds", 1)
                for kind, count in self.counts.items()]

    def got_nothing(self, rivals):
        for rival, count in zip(rivals, self.counts.values()):
            summary = rival.summary(ROUND)
            self.assertEqual((summary["tries"], summary["grants"], summary["errors"]), (count, 0, {}),
                             rival.output())

    def same(self, ways=WAYS):
        """All that anybody has written is there, and each lock is its holder's. ways: what was wanted."""
        self.assertEqual(self.state("b"), self.recalled(WAYS))
        self.check(self.holder, len(self.names))
        self.assertEqual(self.holder.stop()["errors"], {})
        used = self.names_of([way for way in ways if way[1] == "use"], "r")
        said = self.cluster.python("b", "recalls.py", "want", S1.path, "read", *self.names).splitlines()
        self.assertEqual(sorted(line.strip() for line in said), sorted(
            f"{name} done " + (f"{name} end {name} new" if name.startswith("w") else
                               f"{name} more {name} old" if name in used else f"{name} old")
            for name in self.names))

    def test_recalls(self):
        """By whom no grace period holds back: it is given back while the recovery goes on."""
        self.begin()
        self.moved()
        self.got(self.want(SOON))
        self.recovering()
        self.assertEqual(self.differs(self.state("b"), self.recalled(SOON)), {})
        before = int(self.unit("b")["waits"])
        # Beside readers that have given back by themselves nfsd would delegate what a rival opens for
        # writing, whatever they have locked: see stock-faults.rst.
        self.cluster["b"].run("sysctl -q fs.leases-enable=0")
        self.addCleanup(self.delegate_again, "b")
        asked, rivals = self.want(LATE), self.rivals("/mnt/s1")
        until(lambda: int(self.unit("b")["waits"]) > before + 3, ROUND, "nobody waits")
        self.assertEqual([program.output() for program, _ in asked], [""])
        self.assertEqual(self.differs(self.state("b"), self.recalled(SOON)), {})
        self.end("b")
        self.got(asked)
        self.got_nothing(rivals)
        self.got_nothing(self.rivals("/mnt/v3"))
        self.same()

    def test_opens(self):
        """By whoever opens a file that nobody can want back any more, while others recover."""
        self.begin(("4.2",), ("4.2",))
        self.forget_raw("c2")
        other = "4.1", "other", ("OK", {"do": "begin"}), ("OK", {"do": "complete"})
        self.play(*other, ("OK", {"do": "open", "file": "other"}), client="c2")
        theirs, *ours = self.inodes
        files = {"other-4.1": [theirs], r"Linux\040NFSv4.2\040c1": ours}
        self.moved(lambda names: {name: {int(inode): nfs4_list.ANYTHING for inode in files[begin]}
                                  for name in names for begin in files if name.startswith(begin)})
        self.got(self.want(LATE))
        self.assertEqual(self.state("b"), self.recalled(LATE))
        self.got_nothing(self.rivals("/mnt/s1"))
        self.assertEqual(self.state("b"), self.recalled(WAYS))
        self.recovering()
        self.completes[S1] = True
        self.play(*other, client="c2")
        self.end("b")
        self.same(LATE)


# Has a file open for writing, and once it may, for reading; then says whether it gets an exclusive lock.
WRITER = """exec 3<>/mnt/s1/mine
touch /run/open
until [ -e /run/go ]; do sleep 0.1; done
exec 4</mnt/s1/mine
flock -x -n 3
echo $? >/run/tried.new
mv /run/tried.new /run/tried
exec sleep 600
"""


class Shared4(PlannedCase):
    def test_reader(self):
        """Who opens a file for writing that somebody else has open gets no delegation; alone he does. Nor
        does he who opens for reading what he has open for writing: he would lock it without asking."""
        self.floating()
        self.cluster.serve("a", S1)
        self.cluster["a"].run(f"cd {S1.path} && touch alone shared mine first")
        found = self.cluster["a"].run(f"cd {S1.path} && stat -c '%i %n' alone shared mine")
        inodes = dict(line.split() for line in found.splitlines())
        for client in "c1", "c2":
            self.cluster.mount(client, S1, vers="4.2")
        self.cluster["c2"].run("cat /mnt/s1/first")
        # As after a reclaim, or a recall that nobody remembers.
        self.cluster["a"].run("sysctl -q fs.leases-enable=0")
        self.addCleanup(self.delegate_again, "a")
        # It is open when the shell goes on.
        keep = "setsid sleep 600 >/dev/null 2>&1 &"
        self.cluster["c1"].run(f"exec 3</mnt/s1/shared 4</mnt/s1/mine; flock -s -n 4; {keep}")
        self.cluster["c2"].run("rm -f /run/open /run/go /run/tried")
        self.cluster["c2"].start(["setsid", "sh", "-c", WRITER])
        until(lambda: self.cluster["c2"].read("/run/open") != [None], ROUND, "the file is not opened")
        self.delegate_again("a")
        for name in "alone", "shared":
            self.cluster["c2"].run(f"exec 3<>/mnt/s1/{name}; {keep}")
        self.cluster["c2"].run("touch /run/go")
        until(lambda: self.cluster["c2"].read("/run/tried") != [None], ROUND, "no lock is tried")
        self.assertEqual(self.cluster["c2"].read("/run/tried"), ["1\n"])
        for client in "c1", "c2":
            self.addCleanup(self.cluster[client].exec, "pkill -x sleep")
        states = self.cluster["a"].run("cat /proc/fs/nfsd/clients/*/states")
        found = {inodes[inode]: kind for kind, inode in DELEGATION.findall(states) if inode in inodes}
        self.assertEqual(found, {"alone": "w"}, states)
