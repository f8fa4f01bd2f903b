# SPDX-License-Identifier: GPL-2.0-only
"""unlock_ip, unlock_filesystem, nlm_unlock: what they release, and what not."""

from testbed import CONTROL, S1, S2, Case, until

SERVERS = ("a",)
CLIENTS = ("c1",)

GRANTED, DENIED, BLOCKED, IN_GRACE = "GRANTED", "DENIED", "BLOCKED", "DENIED_GRACE_PERIOD"
N2, N2_IP, N2_CONTROL = "n2", "10.77.0.120", "/var/tmp/n2/nfsd"
UUID = "01234567-89ab-cdef-5e1c-b0987754021f"
NONE = "locks=0 blocked=0 shares=0 files=0\n"


def lock(host, fh, svid, start, **more):
    return {"do": "lock", "host": host, "fh": fh, "svid": svid, "start": start, "length": 10,
            "exclusive": True, **more}


def holding(host, fs, start, **more):
    """A lock and a request blocked by it on f, and a share of g."""
    f, g = f"{fs.name}/f", f"{fs.name}/g"
    return [(GRANTED, lock(host, f, 1, start, **more)),
            (BLOCKED, lock(host, f, 2, start, block=True, **more)),
            (GRANTED, {"do": "share", "host": host, "fh": g, "access": 1, "deny": 0, **more})]


class Release(Case):
    handles = {}

    def serve(self, *filesystems, options="fsid={}"):
        self.handles = {}
        run = self.cluster["a"].run
        for fs in filesystems:
            self.cluster.mount_fs("a", fs)
            run(f"exportfs -o rw,no_root_squash,sync,{options.format(fs.fsid)} '*:{fs.path}'; "
                f"cd {fs.path} && touch f g k")
            for ip in fs.ips:
                self.cluster.address_up("a", ip)
            self.files |= {f"{fs.name}/{name}": (fs.ip, fs.path, name) for name in "fgk"}

    def setUp(self):
        super().setUp()
        self.handles, self.files = {}, {}

    def play(self, *rows):
        """Requests and the answers they must get."""
        known, answers = self.cluster.nlm("c1", [step for _, step in rows], self.files,
                                          self.handles)
        self.handles, self.files = known, {}
        wrong = [f"{step}: {got}, expected {want}"
                 for (want, step), got in zip(rows, answers, strict=True) if got != want]
        self.assertEqual(wrong, [])

    def locks(self, *filesystems):
        """What /proc/locks has of the filesystems: words like s1/f:20 or, blocked, s1/f:20-."""
        paths = " ".join(f"{fs.path}/*" for fs in filesystems)
        text = self.cluster["a"].run(f"stat -c '%Hd %Ld %i %n' {paths}; cat /proc/locks")
        names, found = {}, set()
        for line in text.splitlines():
            words = line.split()
            if words[-1].startswith("/srv/"):
                major, minor, inode = map(int, words[:3])
                names[f"{major:02x}:{minor:02x}:{inode}"] = words[3].removeprefix("/srv/")
            else:
                waits = "->" in words
                file, start = words[-3:-1]
                if file in names:
                    found.add(f"{names[file]}:{start}{'-' if waits else ''}")
        return found

    def left(self, *starts, also=()):
        """The locks that holding() made at these places are there, and no others."""
        expected = {f"{fs.name}/f:{start}{tail}" for fs, start in starts for tail in ("", "-")}
        self.assertEqual(self.locks(*{fs for fs, _ in starts} | {S1}), expected | set(also))

    def release(self, file, text, expected="", control=CONTROL):
        """Write to one of the files; nlm_unlock must answer what is expected."""
        if file == "nlm_unlock":
            complete = "" if text.endswith("fence=0") else " manifest=complete"
            self.assertEqual(self.cluster.command("a", file, text, control),
                             f"{expected.strip()}{complete}\n")
            net = "" if control == CONTROL else r" in net:\[\d+\]"
            seconds = text.rpartition("=")[2]
            self.log_expect("a", f"fsid={text.split()[0]}{net}: released for {seconds} s, "
                            f"dropped {expected.strip()}")
        else:
            self.cluster["a"].run(f"echo {text} > {control}/{file}")

    def test_addresses_and_filesystems(self):
        """Each file releases one address or one filesystem, of several clients; nothing else."""
        self.serve(S1, S2)
        v4, v6 = S1.ips
        self.cluster["c1"].run("ip addr replace 10.77.0.77/24 dev eth0")
        other = {"source": "10.77.0.77", "caller": "other"}
        first, second, third = (holding(v4, S1, 0), holding(v4, S1, 20, **other),
                                holding(v6, S1, 40))
        fourth = holding(S2.ip, S2, 0)
        places = (S1, 0), (S1, 20), (S1, 40), (S2, 0)
        self.play(*first, *second, *third, *fourth)
        self.left(*places)
        self.release("unlock_ip", "10.77.0.200")
        self.left(*places)
        self.release("unlock_ip", v4)
        self.left(*places[2:])
        # That the shares went and stayed is in what is still there to be released.
        self.release("nlm_unlock", "1234 fence=0", "locks=1 blocked=1 shares=1 files=2\n")
        self.left(*places[3:])
        self.play(*first, *second, *third)
        self.release("unlock_filesystem", S1.path)
        self.left(*places[3:])
        self.release("nlm_unlock", "1234 fence=0", NONE)
        self.release("nlm_unlock", "5678 fence=0", "locks=1 blocked=1 shares=1 files=2\n")
        self.assertEqual(self.locks(S1, S2), set())
        # fence=0 leaves nothing that would keep anybody waiting.
        self.assertEqual([line["kind"] for line in self.cluster.status("a")], ["totals"])
        self.play(*first, *fourth)

    def test_uuids(self):
        """A unit is what its export is named: UUID of the filesystem, given UUID, or number."""
        self.serve(S1, options="nohide")
        self.serve(S2, options=f"fsid={UUID}")
        run = self.cluster["a"].run
        run(f"cd {S1.path} && mkdir -p sub && touch sub/x && "
            f"exportfs -o rw,no_root_squash,sync '*:{S1.path}/sub'")
        for fs in (S1, S2):
            self.files |= {f"{fs.name}/{name}": (fs.ip, fs.path, name) for name in "fgk"}
        self.files["sub"] = (S1.ip, f"{S1.path}/sub", "x")
        own = self.cluster.lab.disk_uuid("s1")
        self.play(*holding(S1.ip, S1, 0), *holding(S2.ip, S2, 0), (GRANTED, lock(S1.ip, "sub", 1, 0)))
        for name in ("1234", "5678", self.cluster.lab.disk_uuid("s2")):
            self.release("nlm_unlock", f"{name} fence=0", NONE)
        # The file below the second export has a handle of another kind.
        self.release("nlm_unlock", f"{own} fence=600", "locks=2 blocked=1 shares=1 files=3\n")
        self.left((S2, 0))
        self.assertEqual(self.cluster.status("a")[0]["fsid"], own)
        self.play((IN_GRACE, lock(S1.ip, "s1/f", 1, 0)), (IN_GRACE, lock(S1.ip, "sub", 1, 0)),
                  (GRANTED, lock(S2.ip, "s2/k", 1, 0)))
        self.release("nlm_unlock", f"{UUID} fence=0", "locks=2 blocked=1 shares=1 files=3\n")
        self.assertEqual(self.locks(S1, S2), set())
        self.release("nlm_unlock", f"{own} fence=0", NONE)

    def test_unlock_ip_v6(self):
        """unlock_ip takes an IPv6 address."""
        self.serve(S1)
        self.play(*holding(S1.ips[0], S1, 0), *holding(S1.ips[1], S1, 40))
        self.release("unlock_ip", S1.ips[1])
        self.left((S1, 0))
        self.release("nlm_unlock", "1234 fence=0", "locks=1 blocked=1 shares=1 files=2\n")

    def test_umount(self):
        """After nlm_unlock and unexport umount succeeds; who wants a lock waits."""
        # Without any export left lockd would not know the client and refuse to talk to it.
        self.serve(S1, S2)
        client = self.cluster["c1"]
        for ip, at in zip(S1.ips, ("/mnt/v4", "/mnt/v6")):
            self.cluster.mount("c1", S1, ip=ip, at=at)
        self.addCleanup(client.run, "kill -9 $(cat /run/rival.pid); pkill -x flock; "
                        "pkill -x sleep; rm -f /run/held /run/rival* /run/blocked /run/errors; "
                        "umount -f -l /mnt/v4 /mnt/v6; true")
        client.run("""
            exec </dev/null >/dev/null 2>/run/errors
            setsid flock /mnt/v4/f sh -c 'touch /run/held; exec sleep 1000' &
            until [ -e /run/held ]; do sleep 0.1; done
            setsid sh -c 'flock /mnt/v6/f true; echo $? > /run/blocked' &
            setsid sh -c 'echo $$ > /run/rival.pid; exec 3<>/mnt/v6/f
                while :; do flock -n -E 11 3; echo $? >> /run/rival; done' &
            until [ -e /run/rival ]; do sleep 0.1; done""", timeout=90)
        until(lambda: any(word.endswith("-") for word in self.locks(S1)), 60,
              "no request is blocked")
        # The addresses stay: requests keep coming while the filesystem goes.
        self.cluster.save_clients("a", S1)
        self.release("nlm_unlock", "1234 fence=600", "locks=1 blocked=1 shares=0 files=1\n")
        self.cluster.unexport("a", S1)
        self.cluster.umount("a", S1)

        def waits():
            return int(self.cluster.status("a")[0]["waits"])
        before = waits()
        until(lambda: waits() >= before + 2, 60, "nobody tries to lock")
        self.assertEqual(client.exec("cat /run/blocked /run/errors").text, "")
        # And back again, which also is a move from this node to itself.
        self.cluster.mount_fs("a", S1)
        self.cluster.command("a", "nlm_set_igrace", "1234 600")
        self.cluster.export("a", S1)
        self.cluster.notify("a", S1)
        until(lambda: self.cluster.status("a")[0]["reclaimed"] == "1", 60, "no reclaim")
        self.cluster.end_recovery("a", S1)
        self.expect_recovering("a", S1, 600)
        self.log_expect("a", r"fsid=1234: recovery over, ended by hand: reclaimed=1 refused=0 "
                        r"waits=\d+")
        # Whoever waited is refused, and so is who comes later.
        client.run("n=$(wc -l < /run/rival); until [ $(wc -l < /run/rival) -gt $((n + 2)) ]; do "
                   "sleep 0.2; done", timeout=90)
        self.assertEqual(client.run("sort -u /run/rival"), "11")
        self.assertEqual(client.exec("cat /run/blocked /run/errors").text, "")
        client.run("pkill -x sleep; until [ -s /run/blocked ]; do sleep 0.2; done", timeout=90)
        self.assertEqual(client.run("cat /run/blocked"), "0")

    def namespace(self):
        self.addCleanup(self.cluster["a"].run, f"sh /lab/bin/netns-down.sh {N2}")
        self.cluster["a"].run(f"sh /lab/bin/netns-up.sh {N2} {N2_IP} 2", timeout=120)

    def test_namespaces(self):
        """A release or a unit in one network namespace is nothing to another one."""
        self.serve(S1)
        self.namespace()
        here, there = holding(S1.ip, S1, 0), holding(N2_IP, S1, 20)
        there.append((GRANTED, lock(N2_IP, "s1/k", 1, 60)))
        only_there = ["s1/k:60"]
        full_here = "locks=1 blocked=1 shares=1 files=2\n"
        full_there = "locks=2 blocked=1 shares=1 files=3\n"

        def fill():
            self.play(*here, *there)
            self.left((S1, 0), (S1, 20), also=only_there)

        def release_there(file, text, expected=""):
            self.release(file, text, expected, N2_CONTROL)
        fill()
        self.release("unlock_ip", N2_IP)
        release_there("unlock_ip", S1.ip)
        self.left((S1, 0), (S1, 20), also=only_there)
        for file, text_here, text_there in (("unlock_ip", S1.ip, N2_IP),
                                            ("unlock_filesystem", S1.path, S1.path)):
            self.release(file, text_here)
            self.left((S1, 20), also=only_there)
            release_there("nlm_unlock", "1234 fence=0", full_there)
            fill()
            release_there(file, text_there)
            self.left((S1, 0))
            self.release("nlm_unlock", "1234 fence=0", full_here)
            fill()
        # What the other has shows in what its own nlm_unlock finds afterwards.
        dropped = self.cluster.command("a", "nlm_unlock", "1234 fence=0")
        self.log_expect("a", f"fsid=1234: released for 0 s, dropped {dropped.strip()}")
        self.left((S1, 20), also=only_there)
        release_there("nlm_unlock", "1234 fence=0", full_there)
        self.assertEqual(self.locks(S1), set())

    def test_namespace_counts(self):
        """nlm_unlock counts what it dropped, not what another network namespace keeps."""
        self.serve(S1)
        self.namespace()
        self.play(*holding(S1.ip, S1, 0), *holding(N2_IP, S1, 20),
                  (GRANTED, lock(N2_IP, "s1/k", 1, 60)))
        dropped = self.cluster.command("a", "nlm_unlock", "1234 fence=0")
        self.log_expect("a", f"fsid=1234: released for 0 s, dropped {dropped.strip()}")
        self.left((S1, 20), also=["s1/k:60"])
        self.assertEqual(dropped, "locks=1 blocked=1 shares=1 files=2\n")

    def test_namespace_units(self):
        """A unit is seen and obeyed in its network namespace only, and ends with it."""
        self.serve(S1)
        self.namespace()
        self.cluster.command("a", "nlm_set_igrace", "1234 600")
        self.assertEqual(self.cluster.status("a", N2_CONTROL)[0]["kind"], "totals")
        self.play((IN_GRACE, lock(S1.ip, "s1/f", 1, 0)), (GRANTED, lock(N2_IP, "s1/f", 1, 0)))
        self.assertEqual(self.cluster.command("a", "nlm_unlock", "1234 fence=600", N2_CONTROL),
                         "locks=1 blocked=0 shares=0 files=1 manifest=complete\n")
        self.play((GRANTED, lock(S1.ip, "s1/f", 1, 0, reclaim=True)),
                  (IN_GRACE, lock(N2_IP, "s1/f", 1, 40, reclaim=True)))
        status = self.cluster.status("a"), self.cluster.status("a", N2_CONTROL)
        self.assertEqual([[unit.get("phase") for unit in lines] for lines in status],
                         [["recovering", None], ["released", None]])
        # Sweeps of the released unit go on and must not find the lock of the other namespace.
        self.cluster["a"].run(f"sh /lab/bin/netns-down.sh {N2}")
        self.expect_recovering("a", S1, 600)
        self.log_expect("a", r"fsid=1234 in net:\[\d+\]: released for 600 s, "
                        "dropped locks=1 blocked=0 shares=0 files=1",
                        r"fsid=1234 in net:\[\d+\]: fence over, network namespace is going: "
                        "reclaimed=0 refused=1 waits=0 released=1 .*")
        until(lambda: "namespace is going" in "\n".join(self.log("a")), 60, "the unit stays")
        self.assertEqual(self.locks(S1), {"s1/f:0"})
        self.assertEqual([unit.get("phase") for unit in self.cluster.status("a")],
                         ["recovering", None])
        self.cluster.end_recovery("a", S1)
        self.log_expect("a", "fsid=1234: recovery over, ended by hand: "
                        "reclaimed=1 refused=0 waits=1")
        self.cluster.unload("a")

    def test_sweep_of_many(self):
        """Released units with nothing left are gone through all at once, and once a second."""
        node, units = self.cluster["a"], range(1, 21)
        for fsid in units:
            self.assertEqual(self.cluster.command("a", "nlm_unlock", f"{fsid} fence=60"),
                             "locks=0 blocked=0 shares=0 files=0 manifest=complete\n")
            self.log_expect("a", f"fsid={fsid}: released for 60 s, dropped {NONE.strip()}")
        tracing = "cd /sys/kernel/tracing &&"
        self.addCleanup(node.run, f"{tracing} if [ -e events/kprobes ]; then "
                        "echo 0 > events/kprobes/enable && echo > kprobe_events; fi")
        node.run(f"{tracing} echo 'p:sweep nlmsvc_unlock_all_by_sb' > kprobe_events && "
                 "echo 1 > events/kprobes/enable && sleep 10")
        sweeps = int(node.run(f"{tracing} cat kprobe_profile").split()[1])
        self.assertIn(sweeps, range(2, 14))
        for fsid in units:
            self.cluster.command("a", "nlm_set_igrace", f"{fsid} 60")
            self.cluster.command("a", "nlm_set_igrace", f"{fsid} 0")
            self.log_expect("a", f"fsid={fsid}: recovering for 60 s",
                            f"fsid={fsid}: recovery over, ended by hand: "
                            "reclaimed=0 refused=0 waits=0")
