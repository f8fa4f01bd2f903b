# SPDX-License-Identifier: GPL-2.0-only
"""Who is the same holder: by the addresses of client and server, transport, version and name."""

import re

from cases import DENIED, GRANTED, RECOVERY, WAIT, ManifestCase, lock, unlock
from testbed import S1

CLIENTS = ("c1",)
# Seconds. All of a move has to fit in, also on a machine that is busy.
FENCE = 25
SECOND = "10.77.0.110"
SHARE = {"do": "share", "fh": "g", "access": 1, "deny": 2, "owner": "me"}
BACK = {"reclaim": True}
# It is about the module, whatever the kernel.
ONE_KERNEL = True


class Addresses(ManifestCase):
    def ask(self, *rows):
        """(answer, address, request) each; compares all answers."""
        steps = [{"host": host, **step} for _, host, step in rows]
        _, answers = self.cluster.nlm("c1", steps, handles=self.handles)
        wrong = [f"{step}: {got}, expected {want}"
                 for (want, *_), step, got in zip(rows, steps, answers, strict=True) if got != want]
        print("    # answers: " + " ".join(answers))
        self.assertEqual(wrong, [])

    def serve_twice(self):
        """Both addresses are on a, and there are files."""
        self.serve()
        self.cluster.address_up("a", SECOND)
        self.files("a", S1, "f", "g")

    def to_b(self, locks, shares=0):
        """All of it goes to b, addresses too."""
        self.release_only(rf"locks={locks} blocked=\d+ shares={shares} files=\d", fence=FENCE)
        for ip in (*S1.ips, SECOND):
            self.cluster.address_down("a", ip)
        self.carry(locks + shares)
        for ip in (*S1.ips, SECOND):
            self.cluster.address_up("b", ip)

    def left(self, count):
        """So much is outstanding on b."""
        self.assertEqual(self.unit("b", S1)["outstanding"], str(count))

    def finish(self):
        """All is back on b."""
        self.over("b")
        self.log_expect("b", "fsid=1234: recovery over, ended by hand: .*")
        self.cluster.end_recovery("b", S1)
        self.give_up("a")


class Server(Addresses):
    def test_new_lock(self):
        """Process 1 at one address is not process 1 at the other: it waits for what that had."""
        self.serve_twice()
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10)),
                 # So says stock lockd, and this node.
                 (DENIED, SECOND, lock("f", 1, 0, 10)))
        self.to_b(1)
        self.ask((WAIT, SECOND, lock("f", 1, 0, 10)),
                 (WAIT, SECOND, lock("f", 1, 0, 10, False, "test")),
                 (WAIT, SECOND, lock("f", 1, 0, 10, **BACK)),
                 (GRANTED, S1.ip, lock("f", 1, 0, 10, reclaim=True)))
        self.finish()

    def test_unlock(self):
        """What process 1 at one address gives up, process 1 at the other still has."""
        self.serve_twice()
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10)), (GRANTED, SECOND, lock("f", 1, 20, 10)))
        self.to_b(2)
        self.ask((GRANTED, SECOND, unlock("f", 1, 0, 0)),
                 (WAIT, S1.ip, lock("f", 2, 0, 10)),
                 (GRANTED, S1.ip, lock("f", 1, 0, 10, reclaim=True)))
        self.finish()

    def test_not_listed(self):
        """An address by which nothing was held, and one by which a new lock is held here."""
        self.serve_twice()
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10)), (GRANTED, S1.ip, SHARE))
        self.to_b(1, shares=1)
        self.ask((GRANTED, SECOND, unlock("f", 1, 0, 0)),
                 (GRANTED, SECOND, {**lock("f", 1, 0, 10), "do": "cancel"}),
                 (GRANTED, SECOND, {**SHARE, "do": "unshare"}),
                 (WAIT, SECOND, {**SHARE, "access": 2}), (WAIT, SECOND, {**SHARE, **BACK}),
                 (GRANTED, SECOND, lock("f", 1, 20, 10)),
                 (WAIT, S1.ip, lock("f", 1, 20, 10, **BACK)),
                 (GRANTED, SECOND, lock("f", 1, 20, 10, **BACK)))
        self.left(2)
        self.ask((GRANTED, S1.ip, {**SHARE, **BACK}), (GRANTED, S1.ip, lock("f", 1, 0, 10, **BACK)))
        self.finish()

    def test_transport(self):
        """UDP and TCP, and versions of the protocol, are hosts of their own."""
        self.serve_twice()
        udp, three, both = {"proto": "udp"}, {"vers": 3}, {"proto": "udp", "vers": 3}
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10)), (DENIED, S1.ip, lock("f", 1, 0, 10, **udp)),
                 (DENIED, S1.ip, lock("f", 1, 0, 10, **three)),
                 (GRANTED, S1.ip, lock("f", 1, 20, 10, **udp)),
                 (GRANTED, S1.ip, lock("g", 1, 40, 10, **both)))
        held = self.cluster["a"].run("cat /proc/fs/nfsd/lock_manifest").splitlines()
        self.assertEqual(sorted(re.sub(".* svid", "svid", line) for line in held[2:-1]),
                         ["svid=1 type=write start=0 end=9",
                          "svid=1 type=write start=20 end=29 proto=udp",
                          "svid=1 type=write start=40 end=49 proto=udp vers=3"])
        self.to_b(3)
        self.ask((WAIT, S1.ip, lock("f", 1, 0, 10, **udp)), (WAIT, S1.ip, lock("f", 1, 20, 10)),
                 (WAIT, S1.ip, lock("f", 1, 0, 10, **three)),
                 (WAIT, S1.ip, lock("f", 1, 0, 10, **udp, **BACK)),
                 (WAIT, S1.ip, lock("f", 1, 0, 10, **three, **BACK)),
                 (WAIT, S1.ip, lock("g", 1, 40, 10, **three, **BACK)),
                 (GRANTED, S1.ip, {**unlock("g", 1, 0, 0), **udp}),
                 (GRANTED, S1.ip, {**unlock("f", 1, 0, 0), **three}))
        self.left(3)
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10, **BACK)),
                 (GRANTED, S1.ip, lock("f", 1, 20, 10, **udp, **BACK)),
                 (GRANTED, S1.ip, {**unlock("g", 1, 0, 0), **both}))
        self.finish()

    def test_translated(self):
        """The server has another address on b, which clients find by some translation."""
        self.serve_twice()
        own = [self.cluster[node].ip for node in "ab"]
        self.ask(*((GRANTED, own[0], lock("f", svid, 10 * svid, 10)) for svid in (1, 2, 3)),
                 (GRANTED, own[0], lock("g", 1, 0, 10)))
        self.to_b(4)
        self.ask((GRANTED, own[1], unlock("f", 3, 0, 0)), (GRANTED, own[1], lock("f", 9, 30, 10)),
                 # It may be another mount, whose processes have these numbers, too.
                 (WAIT, own[1], lock("f", 1, 10, 10)), (GRANTED, own[1], unlock("f", 1, 10, 10)),
                 (WAIT, own[1], lock("f", 9, 10, 10)), (WAIT, SECOND, lock("f", 2, 20, 10)),
                 (GRANTED, own[1], lock("f", 1, 10, 10, **BACK)),
                 # Who has reclaimed something is the one that had it all.
                 (GRANTED, own[1], lock("g", 1, 0, 10)),
                 (WAIT, SECOND, lock("f", 2, 20, 10, **BACK)),
                 (GRANTED, own[1], unlock("f", 2, 0, 0)))
        self.finish()

    def test_numbers(self):
        """A Linux client that has mounted by two addresses does number its processes twice alike."""
        self.serve_twice()
        self.cluster.mount("c1", S1, at="/mnt/one")
        self.cluster.mount("c1", S1, ip=SECOND, at="/mnt/two")
        for at, where in ("one", 0), ("two", 10):
            holder = self.cluster.spawn("c1", "locks.py", "hold", f"/mnt/{at}", 1, "--prefix", at)
            holder.expect("held 1", 60)
        held = self.cluster["a"].run("cat /proc/fs/nfsd/lock_manifest").splitlines()
        numbers = [re.search(r"server=(\S+) svid=(\d+)", line).groups() for line in held
                   if line.startswith("lock ")]
        print(f"    # server, svid: {numbers}")
        self.assertEqual(len(numbers), 2)
        self.assertEqual({server for server, _ in numbers}, {S1.ip, SECOND})
        self.assertEqual(len({svid for _, svid in numbers}), 1)


class Client(Addresses):
    def setUp(self):
        super().setUp()
        # Further addresses of c1, others for each test: lockd remembers the first name of one.
        first = 120 + 3 * sorted(name for name in dir(self) if name.startswith("test_")).index(
            self._testMethodName)
        self.old, self.new, self.other = (f"10.77.0.{first + n}" for n in range(3))
        for ip in self.old, self.new, self.other:
            self.cluster["c1"].run(f"ip addr add {ip}/24 dev eth0")
            self.addCleanup(self.cluster["c1"].exec, f"ip addr del {ip}/24 dev eth0")

    def use(self, ip):
        """What c1 sends from now on comes from that address."""
        self.cluster["c1"].run(f"ip route change 10.77.0.0/24 dev eth0 src {ip}")

    def test_linux(self):
        """A Linux client comes from another address after the move: it has all its locks."""
        own = self.cluster["c1"].ip
        self.addCleanup(self.use, own)
        self.use(self.old)
        self.serve()
        self.cluster.mount("c1", S1)
        holder = self.hold("c1", "/mnt/s1")
        clients = self.cluster["a"].run("cat /proc/fs/nfsd/lock_manifest | grep -o 'client=[^ ]*'")
        self.assertEqual(set(clients.split()), {f"client={self.old}"})
        self.expect_released("a", S1, FENCE, locks=10)
        self.cluster.release("a", S1, FENCE, manifest=True)
        # It is told at the address that is on record.
        self.use(self.new)
        self.expect_recovering("b", S1, RECOVERY)
        self.taken("b", 10)
        self.cluster.takeover("b", S1, RECOVERY)
        self.over("b", "reclaimed=10 refused=0 waits=[0-9]+")
        clients = self.cluster["b"].run("cat /proc/fs/nfsd/lock_manifest | grep -o 'client=[^ ]*'")
        self.assertEqual(set(clients.split()), {f"client={self.new}"})
        self.got_all_back(holder)
        self.log_expect("b", "fsid=1234: recovery over, ended by hand: .*")
        self.cluster.end_recovery("b", S1)
        self.give_up("a")

    def test_reclaims(self):
        """What the client of that name had is its own, by lock, share and process."""
        self.serve_twice()
        old = {"source": self.old, "caller": "one"}
        self.ask(*((GRANTED, S1.ip, lock("f", svid, 10 * svid, 10, **old)) for svid in (1, 2, 3)),
                 (GRANTED, S1.ip, {**SHARE, **old}),
                 (GRANTED, S1.ip, lock("g", 1, 0, 10, source=self.other, caller="another")))
        self.to_b(4, shares=1)
        new = {"source": self.new, "caller": "one"}
        self.ask(
            # Neither this address nor this name; the name of somebody else; another process.
            (WAIT, S1.ip, lock("f", 1, 10, 10, source=self.new, caller="two", **BACK)),
            (WAIT, S1.ip, lock("f", 1, 10, 10, source=self.new, caller="on", **BACK)),
            (WAIT, S1.ip, lock("f", 1, 10, 10, source=self.new, caller="another", **BACK)),
            (WAIT, S1.ip, lock("f", 4, 10, 10, **new, **BACK)),
            (WAIT, SECOND, lock("f", 1, 10, 10, **new, **BACK)),
            # Given up before it was told.
            (GRANTED, S1.ip, {**unlock("f", 3, 0, 0), **new}),
            (GRANTED, S1.ip, lock("f", 9, 30, 10)),
            (GRANTED, S1.ip, lock("f", 1, 10, 10, **new, **BACK)),
            (GRANTED, S1.ip, {**SHARE, **new, **BACK}),
            # From here on it is known.
            (GRANTED, S1.ip, lock("f", 2, 20, 5, **new)), (WAIT, S1.ip, lock("f", 9, 25, 5)),
            (GRANTED, S1.ip, {**unlock("f", 2, 0, 0), **new}),
            (GRANTED, S1.ip, lock("g", 1, 0, 10, source=self.other, caller="another", **BACK)))
        self.finish()

    def test_namesakes(self):
        """Two clients of one name, a container and its copy: nobody gets what is another's."""
        self.serve_twice()
        listed, copy = ({"source": ip, "caller": "copied"} for ip in (self.old, self.new))
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10, **listed)))
        self.to_b(1)
        self.ask((WAIT, S1.ip, lock("f", 1, 0, 10, **copy)),
                 (GRANTED, S1.ip, lock("f", 1, 20, 10, **copy)),
                 # Its own lock, which it reclaims like all it has, and gives up.
                 (GRANTED, S1.ip, lock("f", 1, 20, 10, **copy, **BACK)),
                 (GRANTED, S1.ip, {**unlock("f", 1, 0, 0), **copy}))
        self.left(1)
        # The one that is listed is there.
        self.ask((WAIT, S1.ip, lock("f", 2, 0, 1, **listed)),
                 (WAIT, S1.ip, lock("f", 1, 0, 10, **copy, **BACK)),
                 (GRANTED, S1.ip, lock("f", 1, 0, 10, **listed, **BACK)))
        self.finish()

    def test_ambiguous(self):
        """A name that two have, even if one only waited, is nobody's; nor is one of two takers."""
        self.serve_twice()
        def at(ip, name):
            return {"source": ip, "caller": name}
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10, **at(self.old, "both"))),
                 (GRANTED, S1.ip, lock("g", 1, 0, 10, **at(self.other, "both"))))
        self.to_b(2)
        self.ask((WAIT, S1.ip, lock("f", 1, 0, 10, **at(self.new, "both"), **BACK)),
                 (GRANTED, S1.ip, {**unlock("f", 1, 0, 0), **at(self.new, "both")}))
        self.left(2)
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10, **at(self.old, "both"), **BACK)),
                 (GRANTED, S1.ip, lock("g", 1, 0, 10, **at(self.other, "both"), **BACK)))
        self.finish()

    def test_two_takers(self):
        """The first that reclaims by a name is who had it, and no other that comes."""
        self.serve_twice()
        old, new, other = ({"source": ip, "caller": "one"}
                           for ip in (self.old, self.new, self.other))
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10, **old)),
                 (GRANTED, S1.ip, lock("g", 1, 0, 10, **old)))
        self.to_b(2)
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10, **new, **BACK)),
                 (WAIT, S1.ip, lock("g", 1, 0, 10, **other, **BACK)),
                 (GRANTED, S1.ip, {**unlock("g", 1, 0, 0), **other}),
                 (WAIT, S1.ip, lock("g", 2, 0, 10, **other)),
                 (GRANTED, S1.ip, lock("g", 1, 0, 10, **new, **BACK)))
        self.finish()

    def test_onward(self):
        """What it has not reclaimed when the filesystem goes on is listed as its own."""
        self.serve_twice()
        old, new = ({"source": ip, "caller": "one"} for ip in (self.old, self.new))
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10, **old)),
                 (GRANTED, S1.ip, lock("g", 1, 0, 10, **old)))
        self.to_b(2)
        self.ask((GRANTED, S1.ip, lock("f", 1, 0, 10, **new, **BACK)))
        self.expect_released("b", S1, 10, locks=1, blocked=0)
        self.cluster.command("b", "nlm_unlock", "1234 fence=10")
        listed = [line.split() for line in self.manifest("b").splitlines()[2:-1]]
        self.assertEqual([line[3:5] for line in listed], [[f"client={self.new}", "name=one"]] * 2)
        self.give_up("a")
        self.give_up("b")
