# SPDX-License-Identifier: GPL-2.0-only
"""Loading and unloading: at any time, with everybody in the way, or not at all."""

import json
import re

from cluster import REPO
from testbed import S1, Case

SERVERS = ("a",)
CLIENTS = ("c1",)
# It is about the module, whatever the kernel.
ONE_KERNEL = True
WEIGHT = 2
ROUNDS = 10
LOCKS = 3
SYMBOLS = sorted({symbol
                  for path in [REPO / "rust/sys/grace.rs", *(REPO / "rust/sys").glob("*/*calls.rs")]
                  for symbol in re.findall(r'c"(\w+)"', path.read_text())})
# What is not hooked, but recognised by its address.
RECOGNISED = ["nfsd_lease_mng_ops", "nfsd_mutex", "nfsd_net_id", "nlmsvc_lock_operations",
              "nlmsvc_traverse_blocks", "nlmsvc_traverse_shares"]
COUNTS = "reclaimed=0 refused=0 waits=0"
# The control files that the module adds.
FILES = ["failover_status", "floating_ips", "lock_manifest", "nfs4_clients", "nfs4_held",
         "nlm_set_igrace", "nlm_unlock", "resume_ip"]
CLEAN = {"hooked": [], "files": [], "loaded": False}


class Load(Case):
    load_module = False

    def program(self, *words, timeout=240):
        """Run a program in the server's VM and return what it says."""
        return json.loads(self.cluster["a"].run(["python3", *map(str, words)], timeout=timeout))

    def loadfail(self, *words):
        return self.program("/lab/bin/loadfail.py", *words)

    def expect_normal(self):
        """The module loads and unloads as ever."""
        self.cluster.load("a")
        self.log_expect("a", "loaded")
        here = self.loadfail("here", *SYMBOLS)
        self.assertEqual(here, {"hooked": SYMBOLS, "files": FILES, "loaded": True})
        self.cluster.unload("a")
        self.assertEqual(self.loadfail("here", *SYMBOLS), CLEAN)

    def under_load(self, holder, rival, *loops):
        """Ten loads and unloads, with control files open and nfsd mounted, while two have the same locks on
        their minds and others lock and unlock."""
        holder = self.cluster.spawn("c1", "locks.py", "hold", holder, LOCKS)
        holder.expect(f"held {LOCKS}")
        rival = self.cluster.spawn("c1", "locks.py", "rival", rival, LOCKS, "--interval", "0.3")
        loops = [self.cluster.spawn("c1", "locks.py", "loop", *words, "--open", "--interval", "20",
                                    "--log", f"/run/loop{number}.log")
                 for number, words in enumerate(loops)]
        rival.expect("round 1")
        seen = self.program("/lab/bin/loadloop.py", ROUNDS, *SYMBOLS, timeout=400)
        self.log_expect("a", *["loaded"] * ROUNDS)
        self.assertEqual(seen["problems"], [])
        self.assertEqual((seen["loaded"], seen["unloaded"]), (ROUNDS, ROUNDS))
        self.assertGreater(seen["busy"], 0)
        # While the module goes, its files are there or not, or found and then gone (EIO); nothing
        # else may be seen of it.
        self.assertLessEqual({"opens", "missing", "mounts"}, set(seen["seen"]))
        self.assertLessEqual(set(seen["seen"]),
                             {"opens", "missing", "mounts", "open ENODEV", "open EIO"})
        # A whole round that began when all was over.
        done = rival.output().count("round")
        rival.expect(f"round {done + 2}")
        summaries = [program.stop() for program in (rival, holder, *loops)]
        self.assertEqual([summary["errors"] for summary in summaries], [{}] * len(summaries))
        self.assertEqual(summaries[0]["grants"], 0)
        for summary in summaries[2:]:
            self.assertGreater(summary["count"], ROUNDS)
            # Nobody was made to wait: not even for one retry of a client.
            self.assertLess(summary["max"], 5)
        self.assertEqual(self.loadfail("here", *SYMBOLS), CLEAN)

    def test_loop(self):
        """Under NFSv3 load."""
        self.cluster.serve("a", S1)
        here, there = self.cluster.mount("c1", S1), "/mnt/s1-again"
        # A rival has a superblock of its own, or the client itself would judge.
        self.cluster.mount("c1", S1, at=there, options="nosharecache")
        self.under_load(here, there, [f"{here}/bystander"])

    def test_loop_nfs4(self):
        """Under NFSv4 load of two clients, as which nfsd takes two versions of one machine. Both open one
        file all the time, so that often one opens for writing what the other has open."""
        self.cluster.serve("a", S1)
        four, two = [self.cluster.mount("c1", S1, vers=vers, at=f"/mnt/v{vers}") for vers in ("4.0", "4.2")]
        self.under_load(four, two, *([f"{at}/shared", "--half", half] for half, at in enumerate((four, two))))
        names = self.cluster["a"].run("grep -h ^name: /proc/fs/nfsd/clients/*/info").splitlines()
        self.assertEqual(len(set(names)), 2, names)

    def test_busy(self):
        """No unload while a control file is open or a unit is active, in any namespace."""
        seen = self.loadfail("busy")
        self.assertTrue(seen.pop("still all there"))
        # Two mounts, each file open and closed; three units that recover, one released.
        self.assertEqual(len(seen), 2 * 2 * len(FILES) + 2 * 3 + 2 + 1)
        # EAGAIN is what delete_module(2) says of a module in use.
        self.assertEqual(seen, {what: "EAGAIN" if what.endswith((" open", " active")) else ""
                                for what in seen})
        elsewhere = r"fsid=1234 in net:\[\d+\]"
        root = r"path=/ dev=\d+:\d+ ip=10.9.9.9"
        self.log_expect(
            "a", *["loaded"] * (2 * len(FILES) + 1),
            "fsid=1234: recovering for 600 s", f"fsid=1234: recovery over, ended by hand: {COUNTS}",
            "loaded", f"{root}: recovering for 600 s",
            f"{root}: recovery over, ended by hand: {COUNTS}",
            "loaded", f"{elsewhere}: recovering for 600 s",
            f"{elsewhere}: recovery over, ended by hand: {COUNTS}",
            "loaded", "fsid=1234: released for 1 s, dropped locks=0 .*",
            f"fsid=1234: fence over, time is up: {COUNTS} manifest=0 outstanding=0",
            "loaded", f"{elsewhere}: recovering for 600 s",
            f"{elsewhere}: recovery over, network namespace is going: {COUNTS}")
        self.assertEqual(self.loadfail("here", *SYMBOLS), CLEAN)

    def test_polled(self):
        """No unload while somebody waits in poll(2) for changes; an epoll set outlives the module."""
        seen = self.program("/lab/bin/polled.py", "unload")
        self.assertEqual(seen, {"waits": "EAGAIN", "closed": "EAGAIN", "told": "", "again": "",
                                "poll": True})
        self.log_expect("a", "loaded", "fsid=1234: recovering for 600 s",
                        f"fsid=1234: recovery over, ended by hand: {COUNTS}", "loaded")
        self.assertEqual(self.loadfail("here", *SYMBOLS), CLEAN)

    def test_missing_hook(self):
        """If a function to hook is not there, loading fails and names it; nothing is left."""
        self.assertEqual(len(SYMBOLS), 34)
        seen = self.loadfail("symbols", *SYMBOLS)
        self.assertEqual(seen, {symbol: {"error": "ENOENT", **CLEAN} for symbol in SYMBOLS})
        self.log_expect("a", *(rf"cannot hook {symbol[:-1]}Z: ENOENT; is this kernel supported\?"
                               for symbol in SYMBOLS))
        self.expect_normal()

    def test_missing_symbol(self):
        """If something cannot be recognised, loading fails and names it; nothing is left."""
        seen = self.loadfail("symbols", *RECOGNISED)
        self.assertEqual(seen, {symbol: {"error": "ENOENT", **CLEAN} for symbol in RECOGNISED})
        self.log_expect("a", *(rf"cannot recognise {symbol[:-1]}Z: .*; is this kernel supported\?"
                               for symbol in RECOGNISED))
        self.expect_normal()

    def test_ftrace_off(self):
        """If the kernel calls no hooks, loading fails and says so."""
        if self.cluster["a"].exec("sysctl -q -w kernel.ftrace_enabled=0").status:
            self.skipTest("this kernel does not let ftrace be switched off")
        self.cluster["a"].run("sysctl -q -w kernel.ftrace_enabled=1")
        self.assertEqual(self.loadfail("ftrace", *SYMBOLS), {"error": "ENODEV", **CLEAN})
        self.log_expect("a", r"hooks are not called; is kernel.ftrace_enabled 0\?")
        self.expect_normal()

    def test_nfsd_not_loaded(self):
        """Loading the module loads nfsd, and its first mount has the control files."""
        node = self.cluster["a"]
        node.run("sh /lab/bin/nfsd-down.sh", timeout=90)
        try:
            self.assertNotEqual(node.exec("grep ^nfsd /proc/modules").status, 0)
            self.cluster.load("a")
            self.log_expect("a", "loaded")
            node.run("mount -t nfsd nfsd /proc/fs/nfsd")
            here = self.loadfail("here", *SYMBOLS)
            self.assertEqual((here["hooked"], here["files"]), (SYMBOLS, FILES))
            self.cluster.unload("a")
        finally:
            self.cluster.server_up("a")
            self.cluster.wait_no_grace("a")
