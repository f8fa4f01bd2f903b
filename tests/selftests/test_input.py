# SPDX-License-Identifier: GPL-2.0-only
"""What the control files refuse, what they accept, and what they say about it."""

import json
import re

from testbed import S1, Case

SERVERS = ("a",)
CLIENTS = ()

LIMIT = 64
UUID = "01234567-89ab-cdef-5e1c-b0987754021f"
COUNTS = r"reclaimed=0 refused=0 waits=0"
NOTHING = "locks=0 blocked=0 shares=0 files=0"
LINE = re.compile(r"(unit|totals)( [a-z_]+=[^ =]+)+")
BIG = [("0 bytes", "", "EINVAL"),
       ("4095 bytes", "1" * 4095, "EINVAL"),
       ("4096 bytes", "1" * 4096, "EINVAL"),
       ("4097 bytes", "1" * 4097, "E2BIG"),
       ("64 KiB", "1" * 65536, "E2BIG"),
       ("64 KiB of NUL", "\0" * 65536, "E2BIG")]

# Refused for what comes in place of the first word, whatever follows.
BAD_FSIDS = ["", " ", "\t", "x", "-", "-1", "+1", "0x10", "12a", "1.5", "1,2", "*", "\0", "1\0",
             "\0001", "\xff", "\xff\xfe\xfd", "\xc3\xa4", "\x7f", "\\061", "\\", "\\x31",
             "4294967296", "99999999999999999999", UUID[:-1], UUID + "0", "g" + UUID[1:], "1/2",
             "/srv/s1"]
BAD_SECONDS = ["-1", "+1", "86401", "99999", "4294967296", "99999999999999999999", "1s", "x", "1.5",
               "0x10", "\xff", "1\0", "\\061"]


def file_of_fsids(file, seconds):
    """Cases for a file that takes an fsid and, formatted like that, seconds."""
    for name, data, error in BIG:
        yield file, data, error
    for ending in ("", "\n"):
        for fsid in BAD_FSIDS:
            yield file, fsid + ending, "EINVAL"
        for word in BAD_SECONDS:
            yield file, "1 " + seconds.format(word) + ending, "EINVAL"
    good = "1 " + seconds.format("30")
    for bad in (f"{good} x\n", f"{good} {good}\n", f"1 x {seconds.format('30')}\n",
                f"{good}\n{good}\n", f"{good}\n\n", f"\n{good}", f"{good}\n\0", f"{good}\0\n",
                f"{good}\r\n", f"{good}\v\n", f"1\0{seconds.format('30')}\n"):
        yield file, bad, "EINVAL"


def refused():
    """(file, data, errno) of all that must be refused."""
    yield from file_of_fsids("nlm_set_igrace", "{}")
    yield from file_of_fsids("nlm_unlock", "fence={}")
    for word in ("fence=", "fence", "=1", "30", "fence 30", "fence= 30", "FENCE=30", "fence=30,",
                 "fence=1 fence=1"):
        yield "nlm_unlock", f"1 {word}\n", "EINVAL"
    yield "nlm_set_igrace", "1 fence=30\n", "EINVAL"
    # A unit is needed to end it.
    for name in ("1", "0", "4294967295", UUID):
        yield "nlm_set_igrace", f"{name} 0\n", "ENOENT"
    yield "nlm_set_igrace", "5678 0\n", "ENOENT"        # released, not recovering
    yield "nlm_set_igrace", "1234 00000000\n", "EINVAL"
    yield from refused_by_nfs4_clients()
    yield from refused_by_nfs4_held()
    yield from refused_by_resume_ip()
    yield from refused_by_floating_ips()
    for _, data, _ in BIG:
        yield "failover_status", data, "EINVAL"
    for data in ("1", "1\n", "\0", "1234 30\n", "\xff"):
        yield "failover_status", data, "EINVAL"


def refused_by_nfs4_clients():
    file = "nfs4_clients"
    for data in ("", "\n", " ", "x", "x a\n", "1\n\n", "1234\0", "1234 a\n", "1 " * 32768, "\0" * 65536,
                 "1234 taken=1.000000000 valid=9 a\n", "nfs-failover nfs4-clients 2\n", "n\n",
                 "nfs-failover nfs4-clients 3\r\n", f"n{'x' * 65535}"):
        yield file, data, "EINVAL"
    unit = "unit fsid=1234 phase=released taken=1.000000000 valid=9"
    lines = [unit, "client name=a", "file inode=2 open=rw deny=- delegation=-", "lock type=read start=0 end=9",
             "end clients=1 files=1 locks=1"]

    def text(*lines):
        return "\n".join(["nfs-failover nfs4-clients 3", *lines, ""])

    def with_line(at, *line):
        return text(*lines[:at], *line, *lines[at + 1:])

    for at in range(len(lines) - 1):
        yield file, with_line(at), "EINVAL"
        yield file, with_line(at, lines[at], lines[at]), "EINVAL"
    for bad in (unit.replace("taken=1.000000000", "taken=1"), unit.replace("valid=9", "valid=-1"),
                unit.replace("released", "held"), f"{unit} nfs4=no", f"{unit} x", "unit all phase=held taken=1.0"):
        yield file, with_line(0, bad), "EINVAL"
    for name in ("", "\\", "a\\0", "a\\000", "a b", "a\0", "a" * 1025, "a" * 5000):
        yield file, with_line(1, f"client name={name}"), "EINVAL"
    for bad in ("file inode=-1 open=rw deny=- delegation=-", "file inode=2 open=x deny=- delegation=-",
                "file inode=2 open=rw deny=-", "file inode=2"):
        yield file, with_line(2, bad), "EINVAL"
    for bad in ("lock type=read start=9 end=0", "lock type=read start=0 end=9223372036854775808",
                "lock type=x start=0 end=9", "lock type=read start=0"):
        yield file, with_line(3, bad), "EINVAL"
    for bad in ("end clients=0 files=1 locks=1", "end clients=1 files=2 locks=1", "end", f"{lines[-1]} x"):
        yield file, with_line(4, bad), "EINVAL"
    # It is too old; what comes behind it is not looked at any more.
    yield file, text(*lines, lines[1]), "ETIMEDOUT"
    names = [f"client name={number}" for number in range(257)]
    yield file, text(unit, *names, "end clients=257 files=0 locks=0"), "EINVAL"
    for name in ("1", "0", "5678", UUID):
        yield file, text(unit.replace("1234", name), *lines[1:]), "ENOENT"
    for name in ("1", "0", "1234", UUID):
        yield file, f"{name}\n", "ENOENT"


def refused_by_nfs4_held():
    file = "nfs4_held"
    for _, data, error in BIG:
        yield file, data, error
    for fsid in BAD_FSIDS:
        yield file, f"{fsid}\n", "EINVAL"
    for bad in ("1234 30\n", "1234 1234\n", "1234\n1234\n", "1234\n\n", "\n1234", "1234\n\0", "1234\r\n",
                "fsid=1234\n"):
        yield file, bad, "EINVAL"


def refused_by_resume_ip():
    file = "resume_ip"
    for _, data, error in BIG:
        yield file, data, error
    for ip in ("", "x", "1", "10.0.0", "10.0.0.256", "10.0.0.5/24", "0.0.0.0", "224.0.0.1", "::",
               "ff02::1", "fe80::1%eth0", "[fd77::100]", "s1-ip", "\xff", "10.0.0.5\0", "\\061",
               "/srv/s1", "-1"):
        for rest in ("", " /srv/s1", " /srv/s1 30\n"):
            yield file, ip + rest, "EINVAL"
    ip = "10.77.0.100"
    for path in ("", " ", "srv/s1", "./srv/s1", "../srv/s1", "s1", "/srv/s1\\", "/srv/s1\\0",
                 "/srv/s1\\08x", "/srv/s1\\400", "/srv/s1\\000", "/srv/s1\\n", "/srv\\x2fs1", "\\x",
                 "\\x2", "\\x2g", "\\x2f00", "\\x00", "/srv/s1\0", "\xff", "\xff/srv/s1"):
        yield file, f"{ip} {path}\n", "EINVAL"
    for path in ("/nowhere", "/srv/nowhere/s1", "/srv/s1/nowhere", "/srv/\xff\xfe", "/srv/s1\\040",
                 "/srv/s1\\012", "\\x2f6e6f7768657265", "/run/input/dangling"):
        for tail in ("\n", " 30\n", " 0\n", ""):
            yield file, f"{ip} {path}{tail}", "ENOENT"
    yield file, f"{ip} /etc/hosts/x 30\n", "ENOTDIR"
    yield file, f"{ip} /run/input/loop 30\n", "ELOOP"
    yield file, f"{ip} /{'x' * 256} 30\n", "ENAMETOOLONG"
    for word in BAD_SECONDS:
        yield file, f"{ip} /srv/s1 {word}\n", "EINVAL"
    for bad in (f"{ip} /srv/s1 30 x\n", f"{ip} /srv/s1 30 30\n", f"/srv/s1 {ip} 30\n",
                f"{ip} /srv/s1 30\n{ip} /srv/s1 30\n", f"{ip} /srv/s1 30\n\n", f"\n{ip} /srv/s1",
                f"{ip}\0/srv/s1 30\n", f"{ip} /srv/s1 30\0", f"{ip} /srv/s1 30\r\n"):
        yield file, bad, "EINVAL"
    # Wherever no such unit is active: other address, other filesystem.
    for name in ("10.77.0.101 /run/input", "fd77::100 /run/input", f"{ip} /", f"{ip} /srv/s1"):
        yield file, f"{name} 0\n", "ENOENT"


def refused_by_floating_ips():
    file = "floating_ips"
    for _, data, error in BIG:
        yield file, data, error
    for sign, rest in ("+", ""), ("+", " confirm"), ("-", ""), ("=", " 10.77.0.12"), \
            ("!", " 10.77.0.12"), ("?", ""), ("?", " 10.77.0.12"), ("-", " 10.77.0.12"):
        for ip in ("", " 10.0.0.5", "x", "10.0.0", "10.0.0.256", "10.0.0.5/24", "0.0.0.0",
                   "224.0.0.1", "::", "ff02::1", "fe80::1%eth0", "[fd77::100]", "\xff",
                   "10.0.0.5\0", "+10.0.0.5", "s1-ip"):
            yield file, f"{sign}{ip}{rest}\n", "EINVAL"
    for bad in ("+", "-", "=", "10.0.0.5", "*10.0.0.5", "+10.0.0.5 x", "+10.0.0.5 confirm x",
                "+10.0.0.5 CONFIRM", "-10.0.0.5 confirm", "=10.0.0.5", "=10.0.0.5 c1",
                "=10.0.0.5 10.0.0.6 10.0.0.7", "=10.0.0.5 0.0.0.0", "!", "?", "!10.0.0.5",
                "?10.0.0.5 c1", "-10.0.0.5 10.0.0.6 10.0.0.7", "+10.0.0.5\n+10.0.0.6",
                "+10.0.0.5\n\n", "+10.0.0.5\0", "+10.0.0.5\r"):
        yield file, f"{bad}\n", "EINVAL"
    for unknown in ("-10.0.0.5", "-fd77::100", "=10.0.0.5 10.77.0.12", "=fd77::100 fd77::12",
                    "!10.0.0.5 10.77.0.12", "?10.0.0.5", "?10.0.0.5 10.77.0.12",
                    "-10.0.0.5 10.77.0.12"):
        yield file, f"{unknown}\n", "ENOENT"


class Input(Case):
    def feed(self, cases):
        """Write each (file, data, ...) and return what became of it."""
        job = [{"file": file, "data": data} for file, data, *_ in cases]
        result = self.cluster["a"].exec(["python3", "/lab/bin/badinput.py", "cases"], timeout=240,
                                        input=json.dumps(job).encode())
        self.assertEqual(result.status, 0, result)
        answers = json.loads(result.text)
        self.assertEqual(len(answers), len(job))
        return answers

    def accept(self, cases):
        """Each (file, data, log line, ...) is carried out and says that line, and no other."""
        answers = self.feed(cases)
        for (file, data, line, *_), answer in zip(cases, answers):
            what = f"{file} {data[:60]!r}: {answer}"
            self.assertEqual((answer["error"], len(answer["log"])), ("", 1), what)
            self.assertRegex(answer["log"][0], f"^{line}$", what)
        self.log_expect("a", *(re.escape(line) for answer in answers for line in answer["log"]))
        return answers

    def status(self):
        """failover_status; each line must be one that awk can take apart."""
        text = self.cluster["a"].run("cat /proc/fs/nfsd/failover_status")
        for line in text.splitlines():
            self.assertRegex(line, LINE)
        self.assertTrue(text.splitlines()[-1].startswith("totals "))
        return re.sub(r" left=\d+", "", text).splitlines()

    def setUp(self):
        super().setUp()
        self.cluster.mount_fs("a", S1)
        self.cluster["a"].run("mkdir -p /run/input && cd /run/input && ln -sfn /srv/s1 link && "
                              "ln -sfn loop loop && ln -sfn nowhere dangling")

    def test_refused(self):
        """Every kind of bad input gets its errno, changes nothing and logs nothing."""
        units = [("nlm_set_igrace", "1234 80000\n", "fsid=1234: recovering for 80000 s"),
                 ("nlm_unlock", "5678 fence=80000\n",
                  f"fsid=5678: released for 80000 s, dropped {NOTHING}"),
                 ("resume_ip", "10.77.0.100 /run/input 80000\n",
                  r"path=/run/input dev=\d+:\d+ ip=10.77.0.100: recovering for 80000 s")]
        self.accept(units)
        before = self.status()
        self.assertEqual(len(before), 4)
        cases = list(refused())
        wrong = []
        for (file, data, error), answer in zip(cases, self.feed(cases)):
            if (answer["error"], answer["log"], answer["changed"]) != (error, [], False):
                wrong.append(f"{file} {data[:60]!r} ({len(data)} bytes): {error} expected, "
                             f"got {answer}")
        self.assertEqual(wrong, [])
        self.assertEqual(self.status(), before)

    def test_accepted(self):
        """What is well formed is carried out, and says so in exactly one line."""
        node = self.cluster["a"]
        node.run(["sh", "-c", "mkdir -p \"$0\" \"$1\"", "/run/input/a b\n\\c", "/run/input/ä"])
        ip = "10.77.0.100"
        dev = r"dev=\d+:\d+"
        escaped = r"/run/input/a\\040b\\012\\134c"

        def over(name):
            return rf"{name}: recovery over, ended by hand: {COUNTS}"
        cases = [
            ("nlm_set_igrace", "1234 86400\n", "fsid=1234: recovering for 86400 s"),
            ("nlm_set_igrace", " \t1234 \t 00030\t \n", "fsid=1234: recovering for 30 s"),
            ("nlm_set_igrace", "1234 30".ljust(4096), "fsid=1234: recovering for 30 s"),
            ("nlm_set_igrace", "1234 0", over("fsid=1234")),
            ("nlm_unlock", "7", f"fsid=7: released for 90 s, dropped {NOTHING}"),
            ("nlm_set_igrace", "07 60", "fsid=7: recovering for 60 s"),
            ("nlm_set_igrace", "007 0\n", over("fsid=7")),
            ("nlm_set_igrace", "0 60", "fsid=0: recovering for 60 s"),
            ("nlm_set_igrace", "4294967295 60", "fsid=4294967295: recovering for 60 s"),
            ("nlm_set_igrace", f"{UUID} 60\n", f"fsid={UUID}: recovering for 60 s"),
            ("nlm_set_igrace", UUID.replace("-", "").upper() + " 0", over(f"fsid={UUID}")),
            ("nlm_unlock", "5678", f"fsid=5678: released for 90 s, dropped {NOTHING}"),
            ("nlm_unlock", "5678 fence=86400\n",
             f"fsid=5678: released for 86400 s, dropped {NOTHING}"),
            ("nlm_unlock", "9999 fence=0\n", f"fsid=9999: released for 0 s, dropped {NOTHING}"),
            ("nlm_set_igrace", "5678 60\n", "fsid=5678: recovering for 60 s"),
            ("resume_ip", f"{ip} /run/input/link 60\n",
             f"path=/run/input/link {dev} ip={ip}: recovering for 60 s"),
            # It is the filesystem that counts, not the path; an address in any notation.
            ("resume_ip", f"::ffff:{ip} /srv/s1/. 0\n",
             over(f"path=/run/input/link {dev} ip={ip}")),
            ("resume_ip", f"FD77:0::0100 \\x2f737276{'2f' * 400} 60\n",
             rf"path=/srv/+ {dev} ip=fd77::100: recovering for 60 s"),
            ("resume_ip", "fd77::100 /run/input/\xc3\xa4 60\n",
             r"path=/run/input/\\303\\244 " + dev + " ip=fd77::100: recovering for 60 s"),
            ("resume_ip", "10.9.9.9 /run/input/a\\040b\\012\\134c 60\n",
             f"path={escaped} {dev} ip=10.9.9.9: recovering for 60 s"),
        ]
        answers = self.accept(cases)
        replies = [answer["read"] for answer in answers if answer["read"].startswith("locks=")]
        self.assertEqual(replies, [f"{NOTHING} manifest=complete\n"] * 3 + [f"{NOTHING}\n"])
        self.assertRegex("\n".join(self.status()), re.compile(
            rf"unit fsid=0 phase=recovering {COUNTS}\n"
            rf"unit fsid=4294967295 phase=recovering {COUNTS}\n"
            rf"unit fsid=5678 phase=recovering {COUNTS}\n"
            rf"unit path=/srv/+ {dev} ip=fd77::100 phase=recovering {COUNTS}\n"
            rf"unit path=/run/input/\\303\\244 {dev} ip=fd77::100 phase=recovering {COUNTS}\n"
            rf"unit path={escaped} {dev} ip=10.9.9.9 phase=recovering {COUNTS}\n"
            r"totals units=6 hooks=live nmissed=0 taken_away=0$"))

    def test_addresses(self):
        """Floating addresses of both families, in any notation; each once, and not too many."""
        add, remove = "ip={}: floating address", "ip={}: no floating address any more"
        cases = [("+10.0.0.5", add.format("10.0.0.5")),
                 ("  +::ffff:10.0.0.6\t\n", add.format("10.0.0.6")),
                 ("+FD77:0::0100\n", add.format("fd77::100")),
                 ("+10.0.0.5 confirm\n", add.format("10.0.0.5") + ", records confirmed"),
                 ("+10.0.0.6 confirm", add.format("10.0.0.6") + ", records confirmed"),
                 ("+10.0.0.6", add.format("10.0.0.6"))]
        self.accept([("floating_ips", data, line) for data, line in cases])
        quiet = self.feed([("floating_ips", f"={ip}\n") for ip in
                           ("10.0.0.5 10.77.0.12", "10.0.0.5 10.77.0.12", "fd77::100 fd77::12")])
        self.assertEqual([(answer["error"], answer["log"]) for answer in quiet], [("", [])] * 3)
        read = "cat /proc/fs/nfsd/floating_ips"
        self.assertEqual(self.cluster["a"].run(read).splitlines(), [
            "ip=10.0.0.5 confirm=yes clients=0 refused=0",
            "ip=10.0.0.6 confirm=no clients=0 refused=0",
            "ip=fd77::100 confirm=no clients=0 refused=0"])
        self.accept([("floating_ips", f"-{ip}\n", remove.format(ip))
                     for ip in ("10.0.0.6", "fd77::100", "10.0.0.5")])
        self.assertEqual(self.cluster["a"].run(read), "")
        self.accept([("floating_ips", f"+10.0.1.{n}", add.format(f"10.0.1.{n}"))
                     for n in range(1, 65)])
        answer, = self.feed([("floating_ips", "+10.0.1.65")])
        self.assertEqual((answer["error"], answer["log"]), ("ENOSPC", []))
        self.assertEqual(len(self.cluster["a"].run(read).splitlines()), 64)

    def test_nothing_held(self):
        """Where no NFSv4 client has anything: a list of nothing, also where nfsd does not run; without a
        question no list at all, and one that is refused leaves the one before."""
        nothing = "end clients=0 files=0 locks=0\n"
        questions = [("nfs4_held", data) for data in ("1234", "1234\n", "0", UUID, "1".ljust(4096))]

        def answers():
            return [(answer["error"], answer["log"], answer["read"]) for answer in self.feed(questions)]
        self.assertEqual(answers(), [("", [], nothing)] * len(questions))
        node = self.cluster["a"]
        node.run("rpc.nfsd 0")
        self.assertEqual(answers(), [("", [], nothing)] * len(questions))
        node.run("rpc.nfsd 4")
        self.cluster.end_grace("a")
        self.assertEqual(self.cluster.read("a", "nfs4_held"), "")
        said = node.run("exec 3<>/proc/fs/nfsd/nfs4_held; echo 1234 >&3; echo x >&3 || cat <&3")
        self.assertEqual(said, nothing.strip())

    def test_default_period(self):
        """Without seconds, a recovery is as long as lockd's grace period."""
        node = self.cluster["a"]
        period, timeout = map(int, node.run("cd /proc/sys/fs/nfs && "
                                            "cat nlm_grace_period nlm_timeout").split())
        # As lockd does.
        period = -(-period // timeout) * timeout
        self.accept([("nlm_set_igrace", "1234", f"fsid=1234: recovering for {period} s"),
                     ("nlm_set_igrace", "1", f"fsid=1: recovering for {period} s"),
                     ("resume_ip", "10.77.0.100 /run/input",
                      rf"path=/run/input dev=\d+:\d+ ip=10.77.0.100: recovering for {period} s")])

    def test_end_of_a_fence(self):
        """Ending a fence by hand says so in exactly one line."""
        self.accept([("nlm_unlock", "1234 fence=60\n",
                      f"fsid=1234: released for 60 s, dropped {NOTHING}"),
                     ("nlm_unlock", "1234 fence=0\n", rf"fsid=1234: .*{NOTHING}.*")])
        self.assertEqual(self.status(), ["totals units=0 hooks=live nmissed=0 taken_away=0"])

    def test_limit(self):
        """The 65th unit is refused, whatever file it comes from; ending one makes room."""
        def full(fsid):
            return f"fsid={fsid}: recovering for 60 s"
        self.accept([("nlm_set_igrace", f"{n} 60\n", full(n)) for n in range(LIMIT)])
        one_more = [("nlm_set_igrace", "1000 60\n"), ("nlm_unlock", "1000 fence=60\n"),
                    ("nlm_unlock", "1000\n"), ("resume_ip", "10.77.0.100 /srv/s1 60\n")]
        for case, answer in zip(one_more, self.feed(one_more)):
            self.assertEqual((answer["error"], answer["log"], answer["changed"]),
                             ("ENOSPC", [], False), case)
        self.accept([("nlm_set_igrace", "5 70\n", "fsid=5: recovering for 70 s"),
                     ("nlm_unlock", "6 fence=60\n",
                      f"fsid=6: released for 60 s, dropped {NOTHING}"),
                     ("nlm_unlock", "1000 fence=0\n",
                      f"fsid=1000: released for 0 s, dropped {NOTHING}"),
                     ("nlm_set_igrace", "63 0\n",
                      f"fsid=63: recovery over, ended by hand: {COUNTS}"),
                     ("nlm_set_igrace", "1000 60\n", full(1000))])
        self.assertEqual(self.status()[-1], f"totals units={LIMIT} hooks=live nmissed=0 taken_away=0")

    def test_race(self):
        """Concurrent writers and readers: each answer is a legal one, each text is whole."""
        seen = json.loads(self.cluster["a"].run(["python3", "/lab/bin/badinput.py", "race", "150"],
                                                timeout=120))
        self.log_expect("a", *map(re.escape, seen["log"]))
        self.assertEqual((seen["torn"], seen["died"]), ([], []))
        self.assertGreater(seen["reads"], 10)
        answers = seen["answers"]
        legal = {"set ", "release ", "resume ", "end ", "end ENOENT", "leave ", "leave ENOENT",
                 "bad EINVAL"}
        self.assertEqual(set(answers), legal)
        # One line for each accepted command, none for others.
        said = {"set ": r"fsid=\d+: recovering for 600 s",
                "end ": rf"fsid=\d+: recovery over, ended by hand: {COUNTS}",
                "release ": rf"fsid=\d+: released for 600 s, dropped {NOTHING}",
                "resume ": r"path=/ dev=\d+:\d+ ip=10.9.0.\d+: recovering for 600 s",
                "leave ": rf"path=/ dev=\S+ ip=\S+: recovery over, ended by hand: {COUNTS}"}
        counts = {kind: sum(bool(re.fullmatch(pattern, line)) for line in seen["log"])
                  for kind, pattern in said.items()}
        self.assertEqual(counts, {kind: answers[kind] for kind in said})
        self.assertEqual(sum(counts.values()), len(seen["log"]))
        # What is left is what the log says happened last to each. A release is logged when it
        # is through, so another command on its unit may have come after it and be logged before.
        legal = {}
        for line in seen["log"]:
            name, _, what = line.partition(": ")
            state = None if " over, " in what else what.split()[0]
            before = legal.get(name, {None}) if state == "released" else set()
            legal[name] = before | {state}
        left = {re.search(r"fsid=\d+|path=\S+ dev=\S+ ip=\S+", line)[0]:
                re.search(r"phase=(\w+)", line)[1] for line in seen["left"][:-1]}
        self.assertEqual({name: left.get(name) for name, states in legal.items()
                          if left.get(name) not in states}, {})
        self.assertLessEqual(set(left), set(legal))

    def test_descriptors(self):
        """Modes of opening, offsets, partial reads, bad addresses, replies, other users."""
        seen = json.loads(self.cluster["a"].run(["python3", "/lab/bin/badinput.py", "descriptors"],
                                                timeout=120))
        self.log_expect("a", "fsid=77: recovering for 600 s", "fsid=78: recovering for 600 s",
                        f"fsid=79: released for 600 s, dropped {NOTHING}",
                        f"fsid=77: recovery over, ended by hand: {COUNTS}",
                        "fsid=80: recovering for 600 s")
        for file in ("failover_status", "floating_ips", "nlm_set_igrace", "nlm_unlock",
                     "resume_ip"):
            idle = "totals units=0 hooks=live nmissed=0 taken_away=0\n" if file == "failover_status" else ""
            bad = "EINVAL" if file == "failover_status" else "EFAULT"
            for mode, *expected in (("r", idle, "EBADF", "EBADF"), ("w", "EBADF", "EINVAL", bad),
                                    ("rw", idle, "EINVAL", bad)):
                words = "read", "write", "bad address", "user"
                self.assertEqual([seen[f"{file} {mode} {word}"] for word in words],
                                 [*expected, "EACCES"], f"{file} {mode}")
        unit = re.compile(r"unit fsid=(\d+) phase=(\w+) left=\d+ " + COUNTS)
        self.assertEqual(unit.findall(seen["whole"]), [("77", "recovering")])
        self.assertEqual(seen["1 byte at a time"], seen["whole without time"])
        self.assertEqual(seen["into a bad address"], "EFAULT")
        for what in ("past the end", "far past the end", "behind the end", "before the command",
                     "other descriptor"):
            self.assertEqual(seen[what], "", what)
        self.assertEqual(seen["before the start"], "EINVAL")
        self.assertIs(seen["tail"], True)
        self.assertEqual(unit.findall(seen["again"]), [("77", "recovering"), ("78", "recovering")])
        self.assertEqual(seen["command"], len("79 fence=600\n"))
        reply = f"{NOTHING} manifest=complete\n"
        for what in ("reply", "reply again", "reply after that"):
            self.assertEqual(seen[what], reply, what)
        self.assertEqual(seen["reply from 6"], reply[6:])
        self.assertEqual(seen["refused command"], "EINVAL")
        self.assertEqual((seen["set"], seen["set again"]), (len("77 0\n"), len("80 600\n")))
        # 79 is released, and these two files show who is recovering.
        for what in ("units", "resume_ip"):
            self.assertEqual(unit.findall(seen[what]), [("78", "recovering"), ("80", "recovering")])
