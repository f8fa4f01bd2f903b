# SPDX-License-Identifier: GPL-2.0-only
"""Who waits while an NFSv4 client has something to get back: whoever wants one of its files."""

import time

from nfs4cases import LOCKS, RECOVERY, ROUND, Nfs4Case, PlannedCase
from testbed import S1, S2, until

WEIGHT = 2
# A lock that nobody holds up. Others take until the recovery ends.
SOON = 20
# What another client does to files that the first has open.
CHANGES = {"removed": "rm removed", "renamed": "mv renamed another", "replaced": "mv spare replaced"}


class Waits4(PlannedCase):
    def in_touch(self, client, there):
        """Whether a client that is up reaches the server."""
        verb = "del" if there else "add"
        self.cluster[client].run(f"ip route {verb} unreachable {S1.ip}/32")

    def begin(self, vers, delegations):
        self.delegations(delegations)
        self.take("a")
        self.end("a")
        self.cluster["a"].run(f"cd {S1.path} && touch old other spare {' '.join(CHANGES)}")
        holders = self.holder("c1", vers), self.holder("c2", vers)
        self.cluster["c1"].run("cd /mnt/s1 && exec 3<removed 4<renamed 5<replaced && cd / && "
                               "setsid sleep 600 >/dev/null 2>&1 &")
        self.addCleanup(self.cluster["c1"].exec, "pkill -x sleep")
        return holders

    def others_go_on(self, vers, own, clients=2):
        """The filesystem moves while others are out of touch; one client has its locks, and new ones."""
        self.give("a")
        self.assertEqual((self.awaited[S1], self.completes[S1]), (clients, vers != "4.0"))
        self.take("b")
        self.check(own)
        for file in "new", "old":
            took = self.cluster.python("c2", "locks.py", "first", f"/mnt/s1/{file}", timeout=ROUND)
            self.assertLess(float(took), SOON, file)
        began = time.monotonic()
        self.cluster["c2"].run("cd /mnt/s1 && mv other third && mv old third && rm third", timeout=ROUND)
        self.assertLess(time.monotonic() - began, SOON)
        self.assertEqual(self.unit("b")["phase"], "recovering")

    def held_up(self, vers):
        """A rival for the locks of the one that is out of touch waits, and whoever wants to take the names
        of its files away."""
        rival = self.rival("c2", "c1", vers)
        for name, command in CHANGES.items():
            self.cluster["c2"].start(["sh", "-c", f"cd /mnt/s1 && {command}"], rc=f"/run/{name}")
        before = int(self.unit("b")["waits"])
        until(lambda: int(self.unit("b")["waits"]) > before + 2, ROUND, "nobody waits")
        self.rounds(rival, 0)
        self.assertNotIn("round", rival.output())
        self.assertEqual(self.changed(), [None] * len(CHANGES))
        self.cluster["b"].run(f"cd {S1.path} && ls spare {' '.join(CHANGES)} && [ ! -e another ]")
        # It does not even have it open.
        states = self.cluster["b"].run("cat /proc/fs/nfsd/clients/*/states")
        for file, is_open in ("c10", False), ("c20", True):
            inode = self.cluster["b"].run(f"stat -c %i {S1.path}/{file}").strip()
            self.assertEqual(f':{inode}"' in states, is_open, f"{file} in {states}")
        return rival

    def changed(self):
        """What became of what another client wants to do."""
        return self.cluster["c2"].read(*(f"/run/{name}" for name in CHANGES))

    def wait_changed(self):
        until(lambda: self.changed() == ["0\n"] * len(CHANGES), ROUND, lambda: str(self.changed()))

    def out_of_touch(self, vers, delegations=False):
        holder, own = self.begin(vers, delegations)
        self.in_touch("c1", False)
        self.others_go_on(vers, own)
        rival = self.held_up(vers)
        self.in_touch("c1", True)
        self.check(holder)
        if vers != "4.0":
            # It has said that it is through.
            self.wait_changed()
        self.end("b")
        self.wait_changed()
        self.rounds(rival, 2)
        summary = rival.stop()
        self.assertEqual((summary["grants"], summary["errors"]), (0, {}), rival.output())
        for program in holder, own:
            self.check(program)
            self.assertEqual(program.stop()["errors"], {})

    def test_out_of_touch_40(self):
        self.out_of_touch("4.0")

    def test_out_of_touch_42(self):
        self.out_of_touch("4.2")

    def test_delegations(self):
        """Its locks are inside delegations, of which the server knows the files only."""
        self.out_of_touch("4.2", delegations=True)

    def test_restarted(self):
        """nfsd is restarted while one is out of touch: who has got something since has it back."""
        holder, own = self.begin("4.2", False)
        self.in_touch("c1", False)
        self.give("a")
        self.take("b")
        self.check(own)
        newer = self.cluster.spawn("c2", "locks.py", "hold", "/mnt/s1", LOCKS, "--prefix", "n")
        newer.expect(f"held {LOCKS}", ROUND)
        self.cluster.server_up("b")
        for program in newer, own:
            self.check(program)
        self.assertEqual(self.unit("b")["refused"], "0")
        self.in_touch("c1", True)
        self.check(holder)
        self.end("b")
        for program in holder, own, newer:
            self.assertEqual(program.stop()["errors"], {})

    def test_rebooted(self):
        """Clients that die in the move hold nobody up any more when they are there again."""
        _, own = self.begin("4.2", False)
        self.holders("c1", versions=("4.1",))
        self.kill("c1")
        self.others_go_on("4.2", own, clients=3)
        rivals = [self.held_up("4.2"), self.cluster.spawn("c2", "locks.py", "rival", "/mnt/s1", LOCKS,
                                                          "--prefix", "c1-4.1-", "--interval", "0.2")]
        self.cluster.boot("c1")
        self.cluster.client_up("c1")
        self.cluster["c1"].run("ls " + " ".join(self.mounts("c1", versions=("4.1", "4.2")).values()))
        self.end("b")
        for rival in rivals:
            self.rounds(rival, 1)
            self.assertGreaterEqual(rival.stop()["grants"], LOCKS)
        self.assertEqual(own.stop()["errors"], {})


class Changes4(Nfs4Case):
    """What else waits while nobody knows who has something to get back: see changes.py."""

    ASKED = {"rename": "RENAME", "remove": "REMOVE", "setxattr": "SETXATTR",
             "removexattr": "REMOVEXATTR", "getlk": "LOCKT"}

    def answers(self, client, at):
        """How many the client got to each of these requests."""
        found, there = {}, False
        for line in self.cluster[client].run("cat /proc/self/mountstats").splitlines():
            if line.startswith("device "):
                there = f" on {at} with " in line
            elif there and ":" in line:
                name, _, counts = line.strip().partition(": ")
                found[name] = counts.split()[0] if counts else "0"
        return [int(found[name]) for name in self.ASKED.values()]

    def test_changes(self):
        """They are not done until the recovery ends, and on another filesystem at once."""
        self.delegations(False)
        programs = []
        for fs in S1, S2:
            self.log_expect("a", f"ip={fs.ip}: floating address")
            self.cluster.command("a", "floating_ips", f"+{fs.ip}")
            self.cluster.serve("a", fs)
            at = self.cluster.mount("c1", fs, vers="4.2")
            programs.append(self.cluster.spawn("c1", "changes.py", at))
            programs[-1].expect("ready", ROUND)
        self.expect_recovering("a", S1, RECOVERY)
        self.cluster.command("a", "nlm_set_igrace", f"1234 {RECOVERY}")
        before = self.answers("c1", "/mnt/s1")
        for program in programs:
            program.signal("USR1")
        here, elsewhere = programs
        self.assertEqual(elsewhere.wait(ROUND), 0)

        def more():
            return [now - then for now, then in zip(self.answers("c1", "/mnt/s1"), before)]
        # Whoever was told to wait asks again.
        until(lambda: min(more()) > 1, ROUND, lambda: f"not all wait: {more()} {here.output()}")
        self.assertEqual(here.output(), "ready")
        self.end("a")
        self.assertEqual(here.wait(ROUND), 0)
        for program in programs:
            self.assertEqual(sorted(program.output().splitlines()),
                             sorted(["ready", *(f"done {name}" for name in self.ASKED)]))
