# SPDX-License-Identifier: GPL-2.0-only
"""What a client does to the state directory, which is on what it has mounted."""

from cluster import CTL
from test_takeover import IP, RECOVERY, Base
from testbed import S1

CLIENTS = ("c1",)
# More than a step may take, and less than for ever.
SECONDS = 60
STATE = f"{S1.path}/.nsm"
# It is about the command, whatever the kernel.
ONE_KERNEL = True


class StateDir(Base):
    """Clients' root is root on the export, as with no_root_squash, unless a test says else."""

    def _check_log(self, node):
        return []

    def served(self, squash=False):
        """a serves S1."""
        if squash:
            for node in self.cluster.servers:
                self.cluster[node].run(
                    "sed -i s/no_root_squash/root_squash/ /etc/nfs-failover.toml")
        self.take("a", S1, notify=False)
        self.cluster["a"].run(f"chmod 755 {S1.path}")
        self.cluster.mount("c1", S1)

    def by_client(self, script, user=0):
        """What a client's root can do: it says it is whoever it likes to be."""
        return self.cluster["c1"].run(
            ["setpriv", "--reuid", str(user), "--clear-groups", "sh", "-ec",
             f"cd /mnt/s1/.nsm; {script}"])

    def ctl_in_time(self, node, *words):
        """nfs-failoverctl, which has to end; returns its status and all that it says."""
        result = self.cluster[node].exec(["timeout", str(SECONDS), CTL, *map(str, words)],
                                         timeout=SECONDS + 30)
        said = result.text + result.err.decode()
        self.assertNotEqual(result.status, 124, said)
        return result.status, said

    def takeover(self, node):
        return self.ctl_in_time(node, "takeover", S1.name, "--mount", "--export", "--no-notify",
                                "--grace", RECOVERY)

    def look(self, node):
        return self.cluster[node].run(
            "stat -c '%n %u:%g %a' /etc /etc/passwd; ls -d /etc/clients /etc/state 2>&1 || true; "
            "md5sum /etc/passwd")

    def test_squashed(self):
        """Who is not root on the export can make and remove records, and nothing else."""
        self.served(squash=True)
        node = self.cluster["a"]
        statd = node.run("stat -c %u /var/lib/nfs/sm").strip()
        self.assertEqual(
            node.run(f"stat -c '%u %a' {STATE} {STATE}/{IP} {STATE}/{IP}/clients").splitlines(),
            ["0 711", "0 711", f"{statd} 700"])
        for script in (f"mv {IP} away", f"ln -s /etc {IP}/x", f"mkfifo {IP}/state", "mkfifo manifest",
                       f"mv {IP}/clients {IP}/away", f"chmod 777 {IP}"):
            with self.assertRaises(Exception, msg=script):
                self.by_client(script, statd)
        self.by_client(f"touch {IP}/clients/10.77.0.99", statd)
        self.assertIn("10.77.0.99", self.records("a"))

    def test_link(self):
        """A link out of the filesystem does not lead root there."""
        self.served()
        self.cluster["a"].run("pkill -f '[r]ecords --watch' || true")
        self.addCleanup(self.cluster["b"].exec, "chown 0:0 /etc; rm -rf /etc/clients")
        before = self.look("b")
        self.by_client(f"mv {IP} away; ln -s /etc {IP}")
        self.give("a", S1)
        status, said = self.takeover("b")
        self.assertEqual(self.look("b"), before)
        self.assertEqual(status, 3, said)
        self.assertIn(f"{STATE}/{IP} was a symbolic link", said)
        # Clients are recorded as ever.
        self.cluster.address_up("b", IP)
        self.cluster.end_recovery("b", S1)
        self.assertEqual(self.lock("c1"), "")
        self.assertEqual(self.records("b"), [self.address("c1")])

    def test_links(self):
        """The same with links instead of the other names."""
        self.served()
        before = self.look("b")
        # It would put right within two seconds what is planted.
        self.cluster["a"].run("pkill -f '[r]ecords --watch' || true")
        self.by_client(f"rm -rf {IP}/clients {IP}/state manifest; ln -s /etc {IP}/clients; "
                       f"ln -s /etc/passwd {IP}/state; ln -s /etc/passwd manifest")
        self.give("a", S1)
        status, said = self.takeover("b")
        self.assertEqual(status, 3, said)
        self.cluster.address_up("b", IP)
        # Somebody is on record, or nobody has to be told.
        self.cluster["b"].run(f"touch {STATE}/{IP}/clients/{self.address('c1')}")
        status, said = self.ctl_in_time("b", "notify", "--ip", IP)
        self.assertEqual(status, 0, said)
        self.cluster.end_recovery("b", S1)
        self.assertEqual(self.lock("c1"), "")
        self.assertIn("is sent", said)
        self.assertEqual(self.look("b"), before)
        self.assertGreater(self.state("b"), 1_700_000_000)

    def test_pipe_state(self):
        """A pipe, and what has no end, instead of the state number: notify says so and goes on."""
        self.served()
        # Somebody is on record, or nobody has to be told.
        self.by_client(f"touch {IP}/clients/{self.address('c1')}")
        for plant in "mkfifo state", "truncate -s 1T state", "mknod state c 1 5", "mkdir -p state/x":
            self.by_client(f"cd {IP}; rm -rf state; {plant}")
            status, said = self.ctl_in_time("a", "notify", "--ip", IP)
            self.assertEqual(status, 0, said)
            self.assertRegex(said, r"/state: .*; \d+ is sent")
            self.assertGreater(self.state("a"), 1_700_000_000)

    def test_pipe_manifest(self):
        """Something else instead of the manifest: takeover does without."""
        self.served()
        self.cluster.address_down("a", IP)
        self.cluster.end_recovery("a", S1)
        for plant in "mkfifo manifest", "truncate -s 1T manifest", "mknod manifest c 1 5", "mkdir manifest":
            self.cluster["a"].run(f"cd {STATE}; rm -rf manifest; {plant}")
            status, said = self.takeover("a")
            self.assertEqual(status, 3, said)
            self.assertIn("all clients get the time to reclaim", said)
            self.cluster["a"].run(f"[ ! -e {STATE}/manifest ]")

    def test_cut_manifest(self):
        """A manifest without its last line: the kernel has none, and takeover says so."""
        holder = self.holds()
        self.cluster.ctl("a", "release", S1.name, "--address", "--fence", 25)
        self.cluster["a"].run(f"cd {STATE}; sed -i '$d' manifest; chmod 600 manifest; "
                              f"exportfs -u '*:{S1.path}'")
        self.cluster.umount("a", S1)
        status, said = self.takeover("b")
        self.assertEqual(status, 0, said)
        self.assertIn("the kernel has not taken it", said)
        self.comes_back(holder, manifest=False)

    def test_forged(self):
        """A client that is root there writes a manifest; with a key it is not believed."""
        holder = self.holds()
        self.keys()
        self.cluster.ctl("a", "release", S1.name, "--address", "--fence", 25)
        self.cluster["a"].run(f"grep -q '^hmac-sha256 ' {STATE}/manifest")
        # One lock less.
        self.cluster["a"].run(f"cd {STATE}; sed -i '3d; s/^end locks=10/end locks=9/' manifest; "
                              f"chmod 600 manifest; exportfs -u '*:{S1.path}'")
        self.cluster.umount("a", S1)
        status, said = self.takeover("b")
        self.assertEqual(status, 3, said)
        self.assertIn("its signature is wrong", said)
        self.comes_back(holder, manifest=False)

    def test_signed(self):
        """With the same key on both nodes all is as ever."""
        holder = self.holds()
        self.keys()
        self.give("a", S1)
        self.goes_on(holder, manifest=True)

    def keys(self):
        for node in self.cluster.servers:
            self.addCleanup(self.cluster[node].exec, "rm -f /etc/nfs-failover.key")
            self.cluster[node].run("umask 077; echo 0123456789abcdef0123 >/etc/nfs-failover.key")

    def holds(self, locks=10):
        """c1 has so many locks, and a is through with its recovery."""
        self.served()
        self.cluster.end_recovery("a", S1)
        holder = self.cluster.spawn("c1", "locks.py", "hold", "/mnt/s1", locks, "--prefix", "c1")
        holder.expect(f"held {locks}", 100)
        return holder

    def release(self):
        return self.ctl_in_time("a", "release", S1.name, "--address", "--unexport", "--umount",
                                "--fence", 25)

    def goes_on(self, holder, manifest):
        """b takes over, and all locks are there."""
        self.cluster["a"].run(f"! mountpoint -q {S1.path}")
        status, said = self.takeover("b")
        self.assertEqual(status, 0, said)
        self.assertEqual("manifest" in self.unit("b"), manifest, said)
        self.comes_back(holder, manifest)

    def comes_back(self, holder, manifest):
        """The holder has all its locks on b."""
        self.cluster.address_up("b", IP)
        self.cluster.ctl("b", "notify", "--ip", IP)
        if not manifest:
            self.end("b", S1, 10)
        # The application writes under its locks.
        self.cluster["b"].run(f"rm -f {S1.path}/fill.*")
        self.check(holder, 10)
        self.assertEqual(holder.stop()["errors"], {})

    def fill(self, node):
        """Not a block is left, not even for root."""
        self.cluster[node].run(f"for size in 64k 4k 1k; do dd if=/dev/zero of={S1.path}/fill.$size "
                               f"bs=$size 2>/dev/null || true; done; sync; "
                               f"! dd if=/dev/zero of={S1.path}/more bs=4k count=1 2>/dev/null; "
                               f"rm -f {S1.path}/more")
        self.addCleanup(self.unfill)

    def unfill(self):
        for node in self.cluster.servers:
            self.cluster[node].exec(f"mountpoint -q {S1.path} || mount {S1.device} {S1.path}; "
                                    f"rm -f {S1.path}/fill.*; umount {S1.path}")

    def test_full_filesystem(self):
        """The list of locks goes along all the same: there is room for it."""
        holder = self.holds()
        self.fill("a")
        status, said = self.release()
        self.assertEqual(status, 0, said)
        self.goes_on(holder, manifest=True)

    def test_no_room(self):
        """Without that room, the move goes on without the list."""
        holder = self.holds()
        self.cluster["a"].run(f"rm {STATE}/reserve")
        self.fill("a")
        status, said = self.release()
        self.assertEqual(status, 3, said)
        self.assertRegex(said, "manifest: .* NOT COMPLETE .*No space left on device")
        self.goes_on(holder, manifest=False)

    def test_read_only(self):
        """The same on a filesystem that has become read-only because of an error."""
        holder = self.holds()
        self.cluster["a"].run(f"mount -o remount,abort {S1.path}; ! touch {S1.path}/x")
        status, said = self.release()
        self.addCleanup(self.cluster["b"].exec,
                        f"umount {S1.path}; e2fsck -fy {S1.device}; mount {S1.device} {S1.path}")
        self.assertEqual(status, 3, said)
        self.assertRegex(said, "manifest: .* NOT COMPLETE ")
        self.goes_on(holder, manifest=False)

    def test_frozen(self):
        """A frozen filesystem: nothing is changed, in a bounded time."""
        holder = self.holds()
        node = self.cluster["a"]
        node.run(f"fsfreeze -f {S1.path}")
        try:
            status, said = self.release()
            self.assertEqual(status, 1, said)
            self.assertIn("does not answer within", said)
            node.run(f"ip addr show | grep -q {IP}/")
            self.assertEqual(len(self.cluster.locks("a", S1)), 10)
        finally:
            node.run(f"fsfreeze -u {S1.path}")
        self.check(holder, 10)
        status, said = self.release()
        self.assertEqual(status, 0, said)
        self.goes_on(holder, manifest=True)
