# SPDX-License-Identifier: GPL-2.0-only
"""floating_ips: what statd is told of clients that lock through a floating address."""

from cases import FloatingCase
from testbed import S1, S2, until

SERVERS = ("a",)
CLIENTS = ("c1", "c2")
# It is about the module, whatever the kernel.
ONE_KERNEL = True
NODE = FloatingCase.node
V4, V6 = S1.ips
# What an application sees when statd may not be asked, or has no durable record.
REFUSED = "ENOLCK"


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

    def test_listed(self):
        """What is known of clients can be read and changed, for each address by itself."""
        def ask(words):
            return self.cluster.command(NODE, "floating_ips", f"?{words}").splitlines()
        self.add(V4)
        self.add(S2.ip)
        self.assertEqual(ask(V4), ["end clients=0 unrecorded=0 lost=0"])
        c1 = self.address("c1")
        self.assertEqual(self.lock("c1", self.mount("c1", V4)), "")
        for client in "10.77.0.9", "10.77.0.99", "fd77::9":
            self.cluster.command(NODE, "floating_ips", f"={V4} {client}")
        listed = ["client=10.77.0.9 monitored=no recorded=yes",
                  f"client={c1} monitored=yes recorded=no",
                  "client=10.77.0.99 monitored=no recorded=yes",
                  "client=fd77::9 monitored=no recorded=yes"]
        self.assertEqual(ask(V4), [*listed, "end clients=4 unrecorded=1 lost=0"])
        self.assertEqual(ask(f"{V4} {c1}"), [listed[1], "end clients=1 unrecorded=1 lost=0"])
        self.assertEqual(ask(f"{V4} 10.77.0.10"), ["end clients=0 unrecorded=0 lost=0"])
        self.assertEqual(ask(S2.ip), ["end clients=0 unrecorded=0 lost=0"])
        for change in f"={V4} {c1}", f"!{V4} fd77::9", f"-{V4} 10.77.0.9":
            self.cluster.command(NODE, "floating_ips", change)
        self.assertEqual(ask(V4), [f"client={c1} monitored=yes recorded=yes", listed[2],
                                   "client=fd77::9 monitored=no recorded=no",
                                   "end clients=3 unrecorded=1 lost=1"])
        for unknown in f"!{V4} 10.77.0.9", f"-{V4} 10.77.0.9", f"!{S2.ip} {c1}":
            self.assertEqual(self.cluster.write(NODE, "floating_ips", unknown)[0], "ENOENT")

    def test_removed_meanwhile(self):
        """Who reads the list finds every address that stays, whichever are removed meanwhile."""
        # Those that go were added first. Who removes them is ahead of who reads, on the only CPU.
        self.cluster[NODE].run("cat > /run/lists.py", input=b"""
import os
import sys
import time
CONTROL = "/proc/fs/nfsd/floating_ips"
gone = [f"10.78.0.{number}" for number in range(1, 21)]
stay = [f"10.79.0.{number}" for number in range(1, 41)]
def change(sign, address):
    fd = os.open(CONTROL, os.O_WRONLY)
    os.write(fd, (sign + address).encode())
    os.close(fd)
hidden = reads = 0
for round in range(int(sys.argv[1])):
    for address in gone + stay:
        change("+", address)
    child = os.fork()
    if not child:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        for address in gone:
            time.sleep(0.002)
            change("-", address)
        os._exit(0)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        with open(CONTROL) as file:
            found = {line.split()[0] for line in file}
        hidden += any(f"ip={address}" not in found for address in stay)
        reads += 1
    for address in stay:
        change("-", address)
print(reads, hidden)
""")
        rounds = 10
        # What the log says of each address is not for the console.
        reads, hidden = map(int, self.cluster[NODE].run(
            "level=$(cut -f 1 /proc/sys/kernel/printk); dmesg -n 1; "
            f"python3 /run/lists.py {rounds}; dmesg -n $level", timeout=120).split())
        print(f"    # {reads} reads, in {hidden} of them addresses are hidden")
        self.assertGreater(reads, rounds)
        self.assertEqual(hidden, 0)

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
