# SPDX-License-Identifier: GPL-2.0-only
"""What NFSv4 clients are answered, request by request: a reclaim is never told that there is a grace
period, which a client takes for the end of what it reclaims, nor that there is none, which ends all."""

import nfs4_list
from nfs4_list import ANYTHING
from nfs4cases import Nfs4Case
from testbed import S1, S2

SERVERS = ("a",)
CLIENTS = ("c1",)
VERSIONS = ("4.0", "4.1", "4.2")
# With the version; the longest has 1024 bytes, and the address is to go into it.
LONG = "x" * 1016
SECONDS = 600
MANY = 300
OK, LATER, LOST, WAIT, DENIED = "OK", "DELAY", "RECLAIM_BAD", "GRACE", "DENIED"
BEGIN = [(OK, {"do": "begin"}), (OK, {"do": "complete"})]


def act(do, file, start=None, **more):
    return {"do": do, "file": file, **({} if start is None else {"start": start}), **more}


def again(do, file, start=None, **more):
    return act(do, file, start, again=True, **more)


# Whatever could conflict with what somebody has not got back, on a file that was not opened.
NEW = [act("open", "g"), act("test", "f", 0), act("remove", "g"), act("rename", "g", to="h")]


def line(vers, name="own", fs=S1):
    """What nfs4_held says of such a client."""
    return f"{'completes=no ' if vers == '4.0' else ''}name={name}-{vers}@{fs.ip}"


def opened(name, access, deny="-", delegation="-"):
    """What it says of a file, and of no locks."""
    return name, f"open={access} deny={deny} delegation={delegation}", []


def locked(name, *locks):
    return name, "open=- deny=- delegation=-", list(locks)


class Raw4(Nfs4Case):
    def setUp(self):
        super().setUp()
        self.forget_raw("c1")
        for fs in S1, S2:
            self.log_expect("a", f"ip={fs.ip}: floating address")
            self.cluster.command("a", "floating_ips", f"+{fs.ip}")
            self.cluster.serve("a", fs)
            self.cluster["a"].run(f"cd {fs.path} && touch f g {' '.join(VERSIONS)}")

    def opened(self, name="own"):
        """Clients of all versions have opened and locked a file, and completed what they reclaim."""
        for number, vers in enumerate(VERSIONS):
            self.play(vers, name, *BEGIN, (OK, act("open", "f")), (OK, act("lock", "f", 100 * number)))

    def recover(self):
        self.expect_recovering("a", S1, SECONDS)
        self.cluster.command("a", "nlm_set_igrace", f"1234 {SECONDS}")

    def inode(self, file):
        return int(self.cluster["a"].run(f"stat -c %i {S1.path}/{file}"))

    def list(self, clients):
        """These are waited for, and had that."""
        taken = self.cluster["a"].run("date +%s.%N").strip()
        self.log_expect("a", f"fsid=1234: waiting for {len(clients)} NFSv4 clients")
        self.cluster.command("a", "nfs4_clients", nfs4_list.text("1234", taken, SECONDS, clients))

    def over(self, reclaimed, refused, name="fsid=1234", **reasons):
        """The recovery is ended by hand; that is what has become of reclaims."""
        counts = {"released": 0, "address": 0, "unlisted": 0, "conflict": 0, **reasons}
        said = " ".join(f"{reason}={count}" for reason, count in counts.items()) if refused else ""
        self.log_expect("a", f"{name}: recovery over, ended by hand: reclaimed={reclaimed} "
                        rf"refused={refused} waits=\d+{said and ' ' + said}")

    def test_recovering(self):
        """Who has completed its reclaims here for something else reclaims; what is new waits."""
        self.opened()
        self.recover()
        for number, vers in enumerate(VERSIONS):
            at = 100 * number
            self.play(vers, "own", (OK, again("open", "f")), (OK, again("lock", "f", at + 20)),
                      (WAIT, act("lock", "f", at + 40)), *[(WAIT, step) for step in NEW],
                      (OK, act("unlock", "f", at + 20)), (OK, act("close", "f")))
            # Another filesystem of the same node.
            self.play(vers, "other", *BEGIN, (OK, act("open", "f")), (OK, act("lock", "f", at)),
                      (OK, act("lock", "f", at + 20)), (OK, act("test", "f", at + 40)),
                      (OK, act("unlock", "f", at)), (OK, act("open", "g")), (OK, act("close", "g")),
                      (OK, act("rename", "g", to="h")), (OK, act("rename", "h", to="g")),
                      (OK, act("remove", vers)), fs=S2)
            self.play(vers, "third", *BEGIN, (OK, act("open", "f")), (DENIED, act("lock", "f", at + 15)),
                      (DENIED, act("test", "f", at + 15)), (OK, act("test", "f", at)), fs=S2)
        self.over(2 * len(VERSIONS), 0)
        self.cluster.command("a", "nlm_set_igrace", "1234 0")

    def test_long(self):
        """A name that has no room for the address is cut for it: he is known by it in a list, and by another
        one through another address."""
        self.opened(LONG)
        names = self.cluster["a"].run("sed -n 's/^name: \"\\(.*\\)\"/\\1/p' /proc/fs/nfsd/clients/*/info").split()
        self.assertEqual([(len(name), name.endswith(f"@{S1.ip}")) for name in names], [(1024, True)] * 3)
        self.assertEqual(len(set(names)), 3)
        self.recover()
        self.list({name: {self.inode("f"): ANYTHING} for name in names})
        for number, vers in enumerate(VERSIONS):
            self.play(vers, LONG, (OK, again("open", "f")), (OK, again("lock", "f", 100 * number + 20)))
            # So begins another one's, too.
            self.play(vers, f"y{LONG[1:]}", *BEGIN, (LOST, again("open", "f")))
            self.play(vers, f"{LONG[1:]}z", *BEGIN, (LOST, again("open", "f")))
        self.over(2 * len(VERSIONS), 2 * len(VERSIONS), unlisted=r"\d+", conflict=r"\d+")
        self.cluster.command("a", "nlm_set_igrace", "1234 0")

    def test_exactly(self):
        """What is new waits only for what conflicts with it, and a reclaim of more than is listed is turned
        away only if somebody else had that."""
        for vers in VERSIONS:
            self.play(vers, "own", *BEGIN, (OK, act("open", "f")))
            self.play(vers, "new", *BEGIN)
        self.cluster["a"].run(f"cd {S1.path} && touch locked shut read written")
        self.recover()
        cut = 'import os; fd = os.open("/proc/fs/nfsd/nfs4_clients", 1); ' \
              'os.write(fd, b"nfs-failover nfs4-clients 3\\n"); os.close(fd)'
        self.assertIn("Invalid argument", self.cluster["a"].exec(["python3", "-c", cut]).err.decode())
        own = {f"own-{vers}@{S1.ip}": {self.inode("f"): ("rw", "-", "-", ("write", at, at + 9))}
               for vers, at in zip(VERSIONS, (0, 100, 200))}
        self.list({**own, f"absent@{S1.ip}": {
            self.inode("locked"): ("rw", "-", "-", ("read", 0, 9), ("write", 20, 29)),
            self.inode("shut"): ("r", "w", "-"),
            self.inode("read"): ("-", "-", "r"),
            self.inode("written"): ("-", "-", "rw")}})
        for number, vers in enumerate(VERSIONS):
            at, other = 100 * number, 100 * ((number + 1) % len(VERSIONS))
            self.play(vers, "own", (OK, again("open", "f")), (LOST, again("lock", "f", other)),
                      (OK, again("lock", "f", at)), (OK, again("lock", "f", at + 50)))
            reads, writes = {"access": "read"}, {"access": "write"}
            self.play(vers, "new", (OK, act("open", "locked")), (WAIT, act("lock", "locked", 9)),
                      (OK, act("lock", "locked", 10)), (WAIT, act("lock", "locked", 11)),
                      (WAIT, act("test", "locked", 29)), (OK, act("test", "locked", 30)),
                      (OK, act("unlock", "locked", 10)), (OK, act("close", "locked")),
                      (WAIT, act("open", "shut", **writes)), (OK, act("open", "shut", **reads)),
                      (WAIT, act("open", "read", **writes)), (OK, act("open", "read", **reads)),
                      (WAIT, act("open", "written", **reads)), (LATER, act("remove", "locked")))
        self.over(3 * len(VERSIONS), len(VERSIONS), unlisted=r"\d+", conflict=r"\d+")
        self.cluster.command("a", "nlm_set_igrace", "1234 0")

    def test_released(self):
        """A reclaim comes back, as the filesystem may; what is new waits."""
        self.opened()
        self.expect_released("a", S1, SECONDS, locks=0)
        self.cluster.command("a", "nlm_unlock", f"1234 fence={SECONDS}")
        for number, vers in enumerate(VERSIONS):
            at = 100 * number
            self.play(vers, "own", (LATER, again("open", "f")), (LATER, again("lock", "f", at + 20)),
                      (WAIT, act("lock", "f", at + 40)), *[(WAIT, step) for step in NEW],
                      (OK, act("unlock", "f", at)), (OK, act("close", "f")))
            # One that this node has never met.
            self.play(vers, "new", (OK, {"do": "begin"}), (LATER, again("open", "f")))
        self.expect_released("a", S1, 0, locks=0)
        self.cluster.command("a", "nlm_unlock", "1234 fence=0")

    def test_address(self):
        """resume_ip: only who comes by that address reclaims; others are told that it is lost."""
        self.opened()
        ip = S1.ips[1]
        name = rf"path=/srv/s1 dev=\d+:\d+ ip={ip}"
        self.log_expect("a", f"{name}: recovering for {SECONDS} s")
        self.cluster.command("a", "resume_ip", f"{ip} {S1.path} {SECONDS}")
        for number, vers in enumerate(VERSIONS):
            at = 100 * number
            self.play(vers, "own", (LOST, again("open", "f")), (LOST, again("lock", "f", at + 20)),
                      (WAIT, act("open", "g")))
            self.play(vers, "right", *BEGIN, (OK, again("open", "f")), (OK, again("lock", "f", at + 40)),
                      ip=ip)
        self.over(2 * len(VERSIONS), 2 * len(VERSIONS), name, address=2 * len(VERSIONS))
        self.cluster.command("a", "resume_ip", f"{ip} {S1.path} 0")

    def test_delegated(self):
        """A delegation that is claimed is given, or its OPEN comes back: a Linux client believes in it."""
        for vers in VERSIONS:
            self.cluster["a"].run(f"cd {S1.path} && touch r{vers} w{vers} u{vers}")
            self.play(vers, "own", *BEGIN, *[(OK, act("open", file)) for file in ("f", vers, f"w{vers}")],
                      (OK, act("open", f"r{vers}", access="read")), (OK, act("open", f"u{vers}")))
        self.recover()
        for vers in VERSIONS:
            self.play(vers, "own", (OK, again("open", "f")))
        for vers in VERSIONS:
            self.play(vers, "own", ("OK, write", again("open", f"w{vers}", delegated="write")),
                      ("OK, read", again("open", f"r{vers}", access="read", delegated="read")),
                      # Another user's comes first. He has one then.
                      ("OK, read", again("open", f"u{vers}", access="read", delegated="write")),
                      (LATER, again("open", f"u{vers}", delegated="write")),
                      # nfsd would make it one for writing, and does not look who reads.
                      (OK, again("open", vers, delegated="read")),
                      ("OK, read", again("open", vers, access="read", delegated="read")),
                      # Others write.
                      (LATER, again("open", "f", delegated="write")))
        self.over(6 * len(VERSIONS), 0)
        self.cluster.command("a", "nlm_set_igrace", "1234 0")

    def held(self, fs=S1):
        """What nfs4_held has of a filesystem: for each line of a client the lines of its files by the name of
        the file, with those of locks."""
        said = self.cluster.command("a", "nfs4_held", fs.fsid)
        found = self.cluster["a"].run(f"cd {fs.path} && stat -c '%i %n' *")
        names = dict(line.split() for line in found.splitlines())
        *lines, end = said.splitlines()
        seen, count = {}, {"client": 0, "file": 0, "lock": 0}
        for kind, rest in (line.split(" ", 1) for line in lines):
            count[kind] += 1
            if kind == "client":
                files = seen[rest] = []
            elif kind == "file":
                inode, has = rest.removeprefix("inode=").split(" ", 1)
                files.append((names[inode], has, []))
            else:
                files[-1][2].append(rest)
        self.assertEqual(end, "end clients={client} files={file} locks={lock}".format(**count))
        self.assertEqual(len(seen), count["client"], said)
        return {client: sorted(files) for client, files in seen.items()}

    def test_held(self):
        """What each has is shown at the moment, and nothing of another filesystem, or what was given up."""
        own, delegated = {}, {}
        for number, vers in enumerate(VERSIONS):
            self.cluster["a"].run(f"cd {S1.path} && touch r{vers} w{vers}")
            at = 100 * number
            self.play(vers, "own", *BEGIN, (OK, act("open", "f")), (OK, act("lock", "f", at)),
                      (OK, act("lock", "f", at + 20, shared=True)), (OK, act("open", "g", access="write")),
                      (OK, act("open", vers, deny="write")), (OK, act("open", f"w{vers}")),
                      (OK, act("open", f"r{vers}", access="read")))
            self.play(vers, "other", *BEGIN, (OK, act("open", "f")), (OK, act("lock", "f", at)), fs=S2)
            own[vers] = [opened("f", "rw"), locked("f", f"type=write start={at} end={at + 9}"),
                         locked("f", f"type=read start={at + 20} end={at + 29}"), opened("g", "w"),
                         opened(vers, "rw", "w"), opened(f"w{vers}", "rw"), opened(f"r{vers}", "r")]
            delegated[vers] = [opened(f"w{vers}", "-", delegation="rw"), opened(f"w{vers}", "rw"),
                               opened(f"r{vers}", "-", delegation="r"), opened(f"r{vers}", "r")]
        self.assertEqual(self.held(), {line(vers): sorted(has) for vers, has in own.items()})
        # Nobody calls back such clients: only what they reclaim is delegated to them.
        self.recover()
        for vers in VERSIONS:
            self.play(vers, "own", ("OK, write", again("open", f"w{vers}", delegated="write")),
                      ("OK, read", again("open", f"r{vers}", access="read", delegated="read")))
            # An open of another owner, too.
            own[vers] += delegated[vers]
        self.over(2 * len(VERSIONS), 0)
        self.cluster.command("a", "nlm_set_igrace", "1234 0")
        self.assertEqual(self.held(), {line(vers): sorted(has) for vers, has in own.items()})
        for number, vers in enumerate(VERSIONS):
            self.play(vers, "own", (OK, act("unlock", "f", 100 * number + 20)), (OK, act("close", vers)))
            own[vers][2] = locked("f")
            own[vers].remove(opened(vers, "rw", "w"))
        self.assertEqual(self.held(), {line(vers): sorted(has) for vers, has in own.items()})
        for vers in VERSIONS:
            self.play(vers, "own", (OK, act("close", "f")))
        self.assertEqual(self.held(), {line(vers): sorted(has for has in own[vers] if has[0] != "f")
                                       for vers in VERSIONS})
        self.assertEqual(self.held(S2), {
            line(vers, "other", S2): sorted([opened("f", "rw"),
                                             locked("f", f"type=write start={at} end={at + 9}")])
            for vers, at in zip(VERSIONS, (0, 100, 200))})
        self.cluster.expire("a", S1)
        self.assertEqual(self.held(), {})

    def test_many_held(self):
        """More than there is room for at first."""
        self.delegations(False)
        at = self.cluster.mount("c1", S1, vers="4.2")
        holder = self.cluster.spawn("c1", "locks.py", "hold", at, MANY, "--range", "--prefix", "many")
        holder.expect(f"held {MANY}", 60)
        (_, files), = self.held().items()
        locks, = (has for _, _, has in files if has)
        self.assertEqual(len(locks), MANY)
        self.assertEqual(len(set(locks)), MANY)
        self.assertEqual([(name, has) for name, has, _ in files],
                         [("many", "open=- deny=- delegation=-"), ("many", "open=rw deny=- delegation=-")])
        self.stop_all([holder])
        self.assertEqual(self.held(), {})

    def test_unlisted(self):
        """Of those who are listed only they reclaim, only those files, and not when they are through."""
        self.cluster["a"].run(f"touch {S1.path}/u")
        for vers in VERSIONS:
            self.play(vers, "own", *BEGIN, (OK, act("open", "f")), (OK, act("open", "u")))
            self.play(vers, "nobody", *BEGIN, (OK, act("open", "f")))
        self.recover()
        clients = {f"{name}-{vers}@{S1.ip}": {self.inode("f"): ANYTHING} for vers in VERSIONS
                   for name in ("own", "new")}
        self.list({**clients, f"absent@{S1.ip}": {self.inode("g"): ANYTHING}})
        for number, vers in enumerate(VERSIONS):
            own, new = 100 * number, 100 * number + 50
            self.play(vers, "own", (OK, again("open", "f")), (OK, again("lock", "f", own)),
                      (LOST, again("open", "u")), (LOST, again("lock", "u", own)))
            self.play(vers, "nobody", (LOST, again("open", "f")), (LOST, again("lock", "f", new)))
            through = [(LOST, again("open", "f")), (LOST, again("lock", "f", new + 20))]
            self.play(vers, "new", (OK, {"do": "begin"}), (OK, again("open", "f")),
                      (OK, again("lock", "f", new)), (OK, {"do": "complete"}),
                      # NFSv4.0 does not say it.
                      *(through if vers != "4.0" else ()))
        refused = 4 * len(VERSIONS) + 2 * 2
        # Who asks by NFSv4.0 is not known yet when an operation begins, and is counted otherwise.
        self.over(4 * len(VERSIONS), refused, unlisted=r"\d+", conflict=r"\d+")
        self.cluster.command("a", "nlm_set_igrace", "1234 0")
