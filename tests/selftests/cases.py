# SPDX-License-Identifier: GPL-2.0-only
"""Cases that several test files are made of: what their tests do again and again."""

from cluster import words
from testbed import S1, S2, Case, until

LOCKS = 10
# Seconds of a phase. Tests end these by hand, so they only have to outlast a slow machine.
LONG_FENCE = 300
RECOVERY = 200
# A node grants nothing for the whole of a fence whose manifest was read.
FENCE = 15
COUNTS = r"reclaimed=\d+ refused=\d+ waits=\d+"
GRANTED, DENIED, BLOCKED, WAIT = "GRANTED", "DENIED", "BLOCKED", "DENIED_GRACE_PERIOD"


class MoveCase(Case):
    """Filesystems that move by hand, with locks of real clients."""

    def serve(self):
        self.cluster.serve("a", S1)
        self.cluster.serve("b", S2)

    def move(self, fs, source, target, locks=LOCKS, blocked=r"\d+"):
        """Move, up to the point where all locks are reclaimed."""
        self.expect_released(source, fs, LONG_FENCE, locks=locks, blocked=blocked, shares=0)
        self.expect_recovering(target, fs, RECOVERY)
        self.cluster.release(source, fs, LONG_FENCE)
        self.cluster.takeover(target, fs, RECOVERY)
        self.reclaimed(target, fs, locks)

    def end(self, node, fs, reclaimed=LOCKS, refused=0):
        self.log_expect(node, rf"fsid={fs.fsid}: recovery over, ended by hand: "
                        rf"reclaimed={reclaimed} refused={refused} waits=\d+"
                        r"( released=.*)?( manifest=\d+ outstanding=\d+)?")
        self.cluster.end_recovery(node, fs)

    def unit(self, node, fs):
        """What failover_status says about a filesystem; {} if nothing."""
        return next((line for line in self.cluster.status(node)
                     if line.get("fsid") == fs.fsid), {})

    def reclaimed(self, node, fs, count):
        until(lambda: self.unit(node, fs).get("reclaimed") == str(count), 150,
              f"{count} locks are not reclaimed on {node}")

    def rounds(self, rival, more):
        """Wait until a rival has gone that many more rounds."""
        def done():
            return sum(line.startswith("round") for line in rival.output().splitlines())
        want = done() + more
        until(lambda: done() >= want, 120, "the rival does not get through its rounds")

    def hold(self, client, where, count=LOCKS):
        holder = self.cluster.spawn(client, "locks.py", "hold", where, count)
        holder.expect(f"held {count}", 150)
        return holder

    def rival(self, client, where, count=LOCKS):
        rival = self.cluster.spawn(client, "locks.py", "rival", where, count, "--interval", "0.5")
        self.rounds(rival, 1)
        return rival

    def got_nothing(self, rival):
        summary = rival.stop()
        self.assertEqual(summary["grants"], 0, rival.output())
        self.assertEqual(summary["errors"], {})
        return summary

    def got_all_back(self, holder):
        self.assertEqual(holder.stop()["errors"], {})

    def seconds(self, node):
        """The monotonic clock of a node."""
        return float(self.cluster[node].run("cut -d' ' -f1 /proc/uptime"))

    def no_delegations(self):
        """Have NFSv4 clients ask the server each time they open or lock a file."""
        for node in self.cluster.servers:
            self.cluster[node].run("sysctl -q fs.leases-enable=0")
            self.addCleanup(self.cluster[node].exec, "sysctl -q fs.leases-enable=1")


def lock(fh, svid, start, length, exclusive=True, do="lock", **more):
    return {"do": do, "fh": fh, "svid": svid, "start": start, "length": length,
            "exclusive": exclusive, **more}


def unlock(fh, svid, start, length):
    return {"do": "unlock", "fh": fh, "svid": svid, "start": start, "length": length}


class ManifestCase(MoveCase):
    """Manifests, and requests that no Linux client would send in that order."""

    def play(self, node, *rows):
        """Requests of c1 to a node's own address, and the answers they must get."""
        steps = [{**step, "host": self.cluster[node].ip} for _, step in rows]
        _, answers = self.cluster.nlm("c1", steps, handles=self.handles)
        wrong = [f"{step}: {got}, expected {want}"
                 for (want, step), got in zip(rows, answers, strict=True) if got != want]
        self.assertEqual(wrong, [])

    def files(self, node, fs, *names):
        """Make files and look up their handles."""
        self.cluster[node].run(f"cd {fs.path} && touch {' '.join(names)}")
        files = {name: [fs.ip, fs.path, name] for name in names}
        self.handles = self.cluster.nlm("c1", [], files=files)[0]

    def manifest(self, node, fsid=S1.fsid):
        """What a node has of one unit, as text."""
        return self.cluster.command(node, "lock_manifest", fsid)

    def offer(self, node, text):
        """Write a manifest; returns what the shell says if it is refused."""
        result = self.cluster[node].exec("cat > /proc/fs/nfsd/lock_manifest", input=text.encode())
        self.assertEqual(bool(result.status), bool(result.err), result)
        return result.err.decode().rpartition(": ")[2].strip()

    def release_only(self, dropped, fence=FENCE, manifest="complete"):
        self.log_expect("a", rf"fsid=1234: released for {fence} s, dropped {dropped}")
        said = self.cluster.command("a", "nlm_unlock", f"1234 fence={fence}")
        self.assertRegex(said, rf"^{dropped} manifest={manifest}\n$")

    def give_up(self, node):
        """What S1 had there ends when its time is over."""
        self.log_expect(node, r"fsid=1234: fence over, time is up: .*")
        until(lambda: not self.unit(node, S1), 120, "the fence does not end")

    def recover(self, node, fs=S1, seconds=RECOVERY):
        self.expect_recovering(node, fs, seconds)
        self.cluster.command(node, "nlm_set_igrace", f"{fs.fsid} {seconds}")

    def taken(self, node, count, fs=S1):
        self.log_expect(node, rf"fsid={fs.fsid}: manifest of {count} locks and shares")

    def carry(self, count):
        """S1 goes to b with what a has listed."""
        manifest = self.manifest("a")
        self.cluster.unexport("a", S1)
        self.cluster.umount("a", S1)
        self.cluster.mount_fs("b", S1)
        self.recover("b")
        self.taken("b", count)
        self.assertEqual(self.offer("b", manifest), "")
        self.cluster.export("b", S1)

    def over(self, node, counts=COUNTS, fs=S1):
        self.log_expect(node, rf"fsid={fs.fsid}: recovery over, nothing is outstanding: {counts} .*")
        # The status has it before a timer says it, and who ends it then keeps it from being said.
        what = "nothing is outstanding"
        want = sum(what in line for line in self.expected[node])
        until(lambda: sum(what in line for line in self.log(node)) >= want, 60, "no end of recovery")
        self.assertEqual(self.unit(node, fs).get("phase"), "recovered")


class FloatingCase(Case):
    """One server with floating addresses, of whose clients statd is told."""

    node = "a"

    def setUp(self):
        super().setUp()
        self.forget()
        for fs in S1, S2:
            self.cluster.serve(self.node, fs)
        self.own = self.cluster[self.node].ip

    def forget(self):
        """lockd knows clients for minutes. When it stops, it and statd forget them."""
        self.cluster[self.node].run("exportfs -ua; rpc.nfsd 0; pkill -x rpc.statd; "
                               "rm -f /var/lib/nfs/sm/*")
        self.cluster.server_up(self.node)
        self.cluster.wait_no_grace(self.node)

    def add(self, ip, confirm=False):
        tail = ", records confirmed" if confirm else ""
        self.log_expect(self.node, rf"ip={ip}: floating address{tail}")
        self.cluster.command(self.node, "floating_ips", f"+{ip}" + (" confirm" if confirm else ""))

    def remove(self, ip):
        self.log_expect(self.node, rf"ip={ip}: no floating address any more")
        self.cluster.command(self.node, "floating_ips", f"-{ip}")

    def lists(self):
        """{ip: {key: value}} of what a read gives."""
        text = self.cluster.read(self.node, "floating_ips")
        lines = [words(line) for line in text.splitlines()]
        return {line.pop("ip"): line for line in lines}

    def monitored(self):
        """Pairs (client, name) that statd has on disk."""
        text = self.cluster[self.node].run("cd /var/lib/nfs/sm && grep -H . * || true")
        return sorted(tuple(line.split()[-2:]) for line in text.splitlines())

    def mount(self, client, ip, fs=S1):
        """A mount of its own, which locks through that address."""
        at = f"/mnt/{ip.replace(':', '-')}"
        return self.cluster.mount(client, fs, ip=ip, at=at, options="nosharecache")

    def lock(self, client, at):
        """Lock and unlock; returns the error's name."""
        return self.cluster.python(client, "locks.py", "once", f"{at}/file")

    def address(self, client, ip=S1.ip):
        address = self.cluster[client].ip
        return f"fd77::{address.rpartition('.')[2]}" if ":" in ip else address
