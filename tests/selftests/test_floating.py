# SPDX-License-Identifier: GPL-2.0-only
"""floating_ips: what statd is told of clients that lock through a floating address."""

from testbed import S1, S2, Case, until

SERVERS = ("a",)
CLIENTS = ("c1", "c2")
NODE = "a"
V4, V6 = S1.ips
# What an application sees when statd may not be asked, or has no durable record.
REFUSED = "ENOLCK"


class FloatingCase(Case):
    def setUp(self):
        super().setUp()
        self.forget()
        for fs in S1, S2:
            self.cluster.serve(NODE, fs)
        self.own = self.cluster[NODE].ip

    def forget(self):
        """lockd knows clients for minutes. When it stops, it and statd forget them."""
        self.cluster[NODE].run("exportfs -ua; rpc.nfsd 0; pkill -x rpc.statd; "
                               "rm -f /var/lib/nfs/sm/*")
        self.cluster.server_up(NODE)
        self.cluster.wait_no_grace(NODE)

    def add(self, ip, confirm=False):
        tail = ", records confirmed" if confirm else ""
        self.log_expect(NODE, rf"ip={ip}: floating address{tail}")
        self.cluster.command(NODE, "floating_ips", f"+{ip}" + (" confirm" if confirm else ""))

    def remove(self, ip):
        self.log_expect(NODE, rf"ip={ip}: no floating address any more")
        self.cluster.command(NODE, "floating_ips", f"-{ip}")

    def lists(self):
        """{ip: {key: value}} of what a read gives."""
        text = self.cluster[NODE].run("cat /proc/fs/nfsd/floating_ips")
        lines = [dict(word.split("=", 1) for word in line.split()) for line in text.splitlines()]
        return {line.pop("ip"): line for line in lines}

    def monitored(self):
        """Pairs (client, name) that statd has on disk."""
        text = self.cluster[NODE].run("cd /var/lib/nfs/sm && grep -H . * || true")
        return sorted(tuple(line.split()[-2:]) for line in text.splitlines())

    def mount(self, client, ip, fs=S1):
        """A mount of its own, which locks through that address."""
        at = f"/mnt/{ip.replace(':', '-')}"
        return self.cluster.mount(client, fs, ip=ip, at=at, options="nosharecache")

    def lock(self, client, at):
        """Lock and unlock; returns the error's name."""
        return self.cluster[client].run(f"python3 /lab/bin/locks.py once {at}/file")

    def address(self, client, ip=V4):
        address = self.cluster[client].ip
        return f"fd77::{address.rpartition('.')[2]}" if ":" in ip else address


class Floating(FloatingCase):
    def test_pairs(self):
        """Statd is told once for each client and floating address, and when the client is gone."""
        self.add(V4)
        self.add(V6)
        c1, c2 = self.address("c1"), self.address("c2")
        mounts = {ip: self.mount("c1", ip) for ip in (V4, V6)}
        for _ in range(2):
            for at in mounts.values():
                self.assertEqual(self.lock("c1", at), "")
        pairs = [(c1, V4), (self.address("c1", V6), V6)]
        self.assertEqual(self.monitored(), sorted(pairs))
        # The address of the node is not on the list, nor is that of another filesystem.
        for ip, fs in (self.own, S1), (S2.ip, S2):
            self.assertEqual(self.lock("c1", self.mount("c1", ip, fs)), "")
        self.assertEqual(self.monitored(), sorted([*pairs, (c1, NODE)]))
        self.assertEqual(self.lock("c2", self.mount("c2", V4)), "")
        self.assertEqual(self.monitored(), sorted([*pairs, (c1, NODE), (c2, V4)]))
        self.assertEqual(self.lists(), {V4: {"confirm": "no", "clients": "2", "refused": "0"},
                                        V6: {"confirm": "no", "clients": "1", "refused": "0"}})
        # lockd forgets clients after minutes, or when it stops.
        for client in CLIENTS:
            self.cluster[client].run("umount -a -t nfs")
        # Others find it running.
        self.addCleanup(self.forget)
        self.cluster[NODE].run("rpc.nfsd 0")
        # What is stock for c1 it does only if the last address of the client is the node's.
        self.assertEqual(set(self.monitored()) - {(c1, NODE)}, set())
        self.assertEqual({ip: line["clients"] for ip, line in self.lists().items()},
                         {V4: "0", V6: "0"})

    def test_added_later(self):
        """A client that statd knows already is told of again, with its next lock."""
        c1 = self.address("c1")
        at, other = self.mount("c1", V4), self.mount("c1", S2.ip, S2)
        self.assertEqual(self.lock("c1", at), "")
        self.assertEqual(self.monitored(), [(c1, NODE)])
        for ip in V4, S2.ip:
            self.add(ip)
        self.assertEqual(self.lock("c1", at), "")
        self.assertEqual(self.monitored(), sorted([(c1, NODE), (c1, V4)]))
        self.assertEqual(self.lock("c1", other), "")
        every = sorted([(c1, NODE), (c1, V4), (c1, S2.ip)])
        self.assertEqual(self.monitored(), every)
        self.remove(V4)
        self.assertEqual(self.lock("c1", at), "")
        self.assertEqual(self.monitored(), every)
        self.assertEqual(list(self.lists()), [S2.ip])

    def test_unload(self):
        """The module stays while statd is asked: until then lockd works on memory of ours."""
        self.add(V4)
        at, node = self.mount("c1", V4), self.cluster[NODE]
        node.run("pkill -STOP -x rpc.statd")
        self.addCleanup(node.exec, "pkill -CONT -x rpc.statd")
        locker = self.cluster.spawn("c1", "locks.py", "once", f"{at}/file")
        until(lambda: not node.exec("grep -q rpc_call_sync /proc/$(pgrep -x lockd)/stack").status,
              60, "statd is not asked")
        self.assertIn("in use", node.exec("rmmod nfs_failover").err.decode())
        node.run("pkill -CONT -x rpc.statd")
        self.assertEqual((locker.wait(), locker.output()), (0, ""))
        self.assertEqual(self.monitored(), [(self.address("c1"), V4)])

    def test_confirmed(self):
        """Where records are to be confirmed, nothing is granted before they are."""
        self.add(V4, confirm=True)
        c1 = self.address("c1")
        at = self.mount("c1", V4)
        for _ in range(2):
            self.assertEqual(self.lock("c1", at), REFUSED)
        self.assertEqual(self.lists()[V4], {"confirm": "yes", "clients": "1", "refused": "2"})
        # The record of another client, or for another address, is none of this one.
        self.add(S2.ip, confirm=True)
        for ip, client in (V4, self.address("c2")), (S2.ip, c1):
            self.cluster.command(NODE, "floating_ips", f"={ip} {client}")
        self.assertEqual(self.lock("c1", at), REFUSED)
        self.cluster.command(NODE, "floating_ips", f"={V4} {c1}")
        self.assertEqual(self.lock("c1", at), "")
        # This one was confirmed beforehand.
        self.assertEqual(self.lock("c2", self.mount("c2", V4)), "")
        self.assertEqual(self.monitored(), sorted([(c1, V4), (self.address("c2"), V4)]))
