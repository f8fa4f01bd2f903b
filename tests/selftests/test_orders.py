# SPDX-License-Identifier: GPL-2.0-only
"""A cluster manager that takes the address away last, or brings it up first: clients wait, and lose nothing."""

import re

from nfs4cases import LOCKS, RECOVERY, ROUND, PlannedCase
from opens import DELEGATION
from testbed import S1, until

WEIGHT = 2
ONE_KERNEL = True
# It has to be there while clients meet what is not exported, and is not over before the test is.
FENCE = 90
# What comes of two clients while it is not exported: requests, or connections, as these are closed, and
# Linux waits ever longer before it makes another.
REQUESTS, CONNECTIONS = 3, 2
# The one that writes locks, too.
SOME = f"({LOCKS}|{LOCKS + 1})"
OVER = "fsid=1234: recovery over, nothing is outstanding"
OTHER = "/srv/other"
LISTING = ("4.1", "4.2")
DIRECTORIES = 200


class Orders(PlannedCase):
    def calls(self, node):
        """How many RPCs of NFS, and connections for them, a server has got."""
        return sum(map(int, self.cluster[node].run(
            "sed -n 's/^net //p' /proc/net/rpc/nfsd").split()))

    def meet(self, node):
        """Until clients have asked for what is not exported there."""
        before = self.calls(node)
        until(lambda: self.calls(node) >= before + self.come_again, ROUND, "nobody asks")

    def leave(self, steps, browsers):
        self.log_expect("a", rf"fsid=1234: released for {FENCE} s, dropped locks={SOME} .*",
                        rf"ip={re.escape(S1.ip)}: no floating address any more")
        self.cluster.ctl("a", "release", "s1", "--fence", FENCE)
        # It is still up, and who has nothing to reclaim goes on looking.
        for browser in browsers:
            # Every six of them a directory is new.
            self.rounds(browser, 7)
        self.assertEqual(self.delegated(), 0)
        for step in steps.split():
            if step == "unexport":
                self.cluster.unexport("a", S1)
                self.meet("a")
            elif step == "umount":
                self.cluster["a"].run(f"umount {S1.path}")
            else:
                self.cluster.address_down("a", S1.ip)

    def come(self):
        """The address first, the export last."""
        self.expect_recovering("b", S1, RECOVERY)
        self.log_expect("b", rf"ip={re.escape(S1.ip)}: floating address",
                        rf"fsid=1234: manifest of {SOME} locks and shares",
                        f"fsid=1234: waiting for {self.clients} NFSv4 clients")
        self.cluster.mount_fs("b", S1)
        self.cluster.ctl("b", "takeover", "s1", "--no-notify")
        self.cluster.address_up("b", S1.ip)
        self.meet("b")
        self.cluster.export("b", S1)
        self.cluster.ctl("b", "notify", "--ip", S1.ip)

    def delegated(self):
        """How many clients have a directory delegated on a."""
        inodes = self.cluster["a"].run(f"find {S1.path}/list-* -maxdepth 1 -type d -printf '%i\\n'").split()
        states = self.cluster["a"].run("for c in /proc/fs/nfsd/clients/*/states; do cat $c; echo @; done 2>&1")
        return sum(any(("r", inode) in DELEGATION.findall(state) for inode in inodes)
                   for state in states.split("@"))

    def browse(self):
        """Programs that list directories all the time, on a client that has opened something, if that is by
        one of these, and on one that has not."""
        self.cluster["a"].run(f"cd {S1.path} && mkdir list-{' list-'.join(LISTING)}")
        programs = [self.cluster.spawn("c1", "files.py", "list", self.cluster.mount(
            "c1", S1, vers=vers, at=f"/mnt/list-{vers}", options="actimeo=1") + f"/list-{vers}", DIRECTORIES)
                    for vers in LISTING]
        until(lambda: self.delegated() == len(LISTING), ROUND, "no directories are delegated")
        return programs

    def order(self, vers, steps, come_again):
        """Two clients, by NFSv4 and NFSv3, each with locks and a program that writes all the time. Whatever
        can be delegated is."""
        self.come_again = come_again
        self.take("a")
        self.end("a")
        self.clients = len({vers, *LISTING})
        holders = self.holder("c1", vers), self.holder("c2", "3")
        writers = [self.cluster.spawn(client, "locks.py", "loop", f"/mnt/s1/writer-{client}",
                                      "--write", "--interval", "50", "--log", "/run/writer.log")
                   for client in ("c1", "c2")]
        browsers = self.browse()
        self.leave(steps, [browser for kind, browser in zip(LISTING, browsers) if kind != vers])
        self.come()
        for holder in holders:
            self.check(holder)
        if vers == "4.0":
            # Such a client does not say when it has everything back.
            self.end("b")
        else:
            self.log_expect("b", f"{OVER}: .* refused=0 .*")
            until(lambda: any(OVER in line for line in self.log("b")), ROUND, "the recovery goes on")
        for program in *writers, *holders, *browsers:
            self.assertEqual(program.stop(ROUND)["errors"], {})

    def test_address_last(self):
        """Something else is exported to these clients, so that they are known."""
        for node in self.cluster.servers:
            self.cluster[node].run(f"mkdir -p {OTHER} && mount -t tmpfs none {OTHER} && "
                                   f"exportfs -o rw,fsid=77 '*:{OTHER}'")
            self.addCleanup(self.cluster[node].run,
                            f"exportfs -u '*:{OTHER}' && exportfs -f && umount {OTHER}")
        self.order("4.2", "unexport umount address", REQUESTS)

    def test_nothing_else(self):
        """Nothing is, and they are strangers then."""
        self.order("4.0", "unexport address umount", CONNECTIONS)
