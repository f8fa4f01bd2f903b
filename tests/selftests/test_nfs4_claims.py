# SPDX-License-Identifier: GPL-2.0-only
"""Delegations that are claimed where a filesystem has come, and are not given as they were.

A Linux client believes in the one that it had, and tells nobody what it has locked under it.
"""

from nfs4cases import FENCE, RECOVERY, ROUND, PlannedCase
from opens import DELEGATION
from testbed import S1, until

# On the server: has a file open for writing. One until it is told to close it; one until its client has
# reclaimed it, which is then told to come back.
WRITER = """exec 3>>{path}/{name}
touch /run/opened-{name}
until {closed}; do sleep 0.1; done
"""
CLOSED = {"held0": "grep -qs 'type: open.*:{inode}\"' /proc/fs/nfsd/clients/*/states",
          "held1": "[ -e /run/close-held1 ]"}


class Claims4(PlannedCase):
    def test_claims(self):
        """Who has read what was delegated for writing gives back what he gets for reading, and what he has
        locked is known. Where somebody else writes, he comes back, until he may have it, or it is lost:
        then he finds out, and nobody else has it before."""
        self.floating()
        self.cluster.serve("a", S1)
        for client in "c1", "c2":
            self.cluster.mount(client, S1, vers="4.2")
        self.cluster["c1"].run("""echo x >/mnt/s1/read
            exec 3</mnt/s1/read
            flock -s -n 3
            setsid sleep 1000 >/dev/null 2>&1 &""")
        self.addCleanup(self.cluster["c1"].exec, "pkill -x sleep")
        holder = self.cluster.spawn("c1", "locks.py", "hold", "/mnt/s1", 2, "--prefix", "held")
        holder.expect("held 2", ROUND)
        found = self.cluster["a"].run(f"cd {S1.path} && stat -c '%i %n' read held0 held1")
        self.names = dict(line.split() for line in found.splitlines())
        self.assertEqual(self.delegated("a"), {"read": "w", "held0": "w", "held1": "w"})
        self.assertEqual(self.cluster.locks("a", S1), [])
        self.go()
        until(lambda: int(self.unit("b")["refused"]) == 1, ROUND, "nothing is refused")
        until(lambda: self.delegated("b") == {"read": "r", "held0": "w"}, ROUND,
              lambda: f"delegated is {self.delegated('b')}")
        self.log_expect("b", rf"fsid={S1.fsid}: recovery over, ended by hand: "
                        r"reclaimed=\d+ refused=1 waits=\d+ .*")
        self.cluster.end_recovery("b", S1)
        self.cluster["b"].run("touch /run/close-held1")
        # What is lost he opens anew, and has waited for that.
        until(lambda: self.locked("b") == {"read"}, ROUND, lambda: f"locked is {self.locked('b')}")
        self.assertEqual(self.delegated("b"), {"held0": "w"})
        self.assertEqual(self.cluster["c2"].exec("flock -x -n /mnt/s1/read true").status, 1)
        rival = self.cluster.spawn("c2", "locks.py", "rival", "/mnt/s1", 2, "--prefix", "held", "--rounds", 1)
        self.assertEqual(rival.summary(ROUND)["grants"], 1)
        holder.signal("USR1")
        self.assertEqual(holder.expect("checked", ROUND), "checked 2 errors 1")
        self.assertTrue(holder.stop()["errors"])

    def test_recalled_before(self):
        """What was recalled on a node within the last minute is delegated there again to who claims it."""
        self.floating()
        self.cluster.serve("b", S1)
        self.cluster.mount("c1", S1, vers="4.2")
        self.cluster["c1"].run("echo x >/mnt/s1/held0")
        found = self.cluster["b"].run(f"cd {S1.path} && stat -c '%i %n' held0")
        self.names = dict(line.split() for line in found.splitlines())
        self.assertEqual(self.delegated("b"), {"held0": "w"})
        self.cluster["b"].run(f": >>{S1.path}/held0")
        self.assertEqual(self.delegated("b"), {})
        self.hand_over("b", "a", nfs4=False)
        self.log_expect("a", rf"fsid={S1.fsid}: recovery over, ended by hand: reclaimed=\d+ refused=0 .*")
        self.cluster.end_recovery("a", S1)
        holder = self.cluster.spawn("c1", "locks.py", "hold", "/mnt/s1", 1, "--prefix", "held")
        holder.expect("held 1", ROUND)
        self.assertEqual(self.delegated("a"), {"held0": "w"})
        self.hand_over("a", "b")
        self.cluster["c1"].run("stat -f /mnt/s1", timeout=ROUND)
        until(lambda: self.delegated("b") == {"held0": "w"}, ROUND, lambda: f"{self.delegated('b')}")
        self.log_expect("b", rf"fsid={S1.fsid}: recovery over, ended by hand: reclaimed=\d+ refused=0 .*")
        self.cluster.end_recovery("b", S1)
        holder.signal("USR1")
        self.assertEqual(holder.expect("checked", ROUND), "checked 1 errors 0")
        self.assertEqual(holder.stop()["errors"], {})

    def hand_over(self, source, target, nfs4=True):
        """nfs4: somebody has something there."""
        self.expect_released(source, S1, FENCE, locks=0)
        self.cluster.release(source, S1, FENCE, nfs4=nfs4)
        self.cluster.expire(source, S1)
        self.expect_recovering(target, S1, RECOVERY)
        self.cluster.takeover(target, S1, RECOVERY)

    def go(self):
        """From a to b, where two files are open for writing before anybody can reclaim."""
        self.expect_released("a", S1, FENCE, locks=0)
        self.cluster.release("a", S1, FENCE, nfs4=True)
        self.cluster.mount_fs("b", S1)
        self.expect_recovering("b", S1, RECOVERY)
        self.cluster.command("b", "nlm_set_igrace", f"{S1.fsid} {RECOVERY}")
        self.cluster.export("b", S1)
        inodes = {name: inode for inode, name in self.names.items()}
        for name, closed in CLOSED.items():
            self.cluster["b"].run(f"rm -f /run/opened-{name} /run/close-{name}")
            closed = closed.format(inode=inodes[name])
            self.cluster["b"].start(["sh", "-c", WRITER.format(path=S1.path, name=name, closed=closed)])
            until(lambda name=name: self.cluster["b"].read(f"/run/opened-{name}") != [None], ROUND,
                  "the file is not opened")
        for ip in S1.ips:
            self.cluster.address_up("b", ip)
        self.cluster["c1"].start(["stat", "-f", "/mnt/s1"])

    def states(self, node):
        return self.cluster[node].run("cat /proc/fs/nfsd/clients/*/states 2>/dev/null || :")

    def delegated(self, node):
        found = DELEGATION.findall(self.states(node))
        return {self.names[inode]: kind for kind, inode in found if inode in self.names}

    def locked(self, node):
        return {self.names[str(inode)] for inode, _ in self.cluster.locks(node, S1)}
