# SPDX-License-Identifier: GPL-2.0-only
"""Real clients are told although something is in the way."""

import time

from cluster import CTL, REPO
from test_takeover import IP, LOCKS, RECOVERY, Base
from testbed import S1, until

CLIENTS = ("c1", "c2", "c3")
# A packet filter on a client: nothing comes in by UDP.
NO_UDP = """
    tc qdisc add dev eth0 ingress
    tc filter add dev eth0 parent ffff: protocol ip u32 match ip protocol 17 0xff action drop"""
# It is about the command, whatever the kernel.
ONE_KERNEL = True


class Notify(Base):
    """After a crash."""

    def serve_and_hold(self, clients):
        self.take("a", S1)
        self.end("a", S1, 0)
        return [self.holder(client, S1) for client in clients]

    def test_tcp_only(self):
        """A client behind a firewall that lets no UDP through reclaims like the other."""
        holders = self.serve_and_hold(("c1", "c2"))
        self.cluster["c1"].run(NO_UDP)
        self.addCleanup(self.cluster["c1"].exec, "tc qdisc del dev eth0 ingress")
        self.kill("a")
        report = self.take("b", S1)
        self.assertEqual([client["answered"] for client in report["clients"]], [True, True])
        self.assertLess(report["seconds"], 20)
        self.end("b", S1, 2 * LOCKS)
        for holder in holders:
            self.check(holder)
            self.assertEqual(holder.stop()["errors"], {})

    def quiet_statd(self, node):
        """rpc.statd as systemd starts it with our drop-in."""
        files = (REPO / "tools/systemd/nsswitch.conf").read_bytes()
        self.cluster[node].run("cat > /run/nsswitch.conf", input=files)
        self.cluster[node].run("""
            mount --make-rshared /
            kill $(pidof rpc.statd); while pidof rpc.statd; do sleep 0.1; done
            unshare --mount --propagation slave sh -c '
                mount --bind /run/nsswitch.conf /etc/nsswitch.conf
                exec rpc.statd --no-notify -p 4002'""")

    def test_deaf_name_server(self):
        """Name servers that do not answer hold no reclaim."""
        clients = ("c1", "c2", "c3")
        holders = self.serve_and_hold(clients)
        self.kill("a")
        server = self.cluster.spawn("c1", "deaf.py")
        server.expect("deaf")
        node = self.cluster["b"]
        node.run(f"cp /etc/resolv.conf /run/ || : > /run/resolv.conf; "
                 f"echo 'nameserver {self.address('c1')}' > /etc/resolv.conf")
        self.addCleanup(node.exec, "cat /run/resolv.conf > /etc/resolv.conf")
        self.quiet_statd("b")
        report = self.take("b", S1)
        self.assertLess(report["seconds"], 10)
        began = time.monotonic()
        until(lambda: int(self.unit("b")["reclaimed"]) >= 3 * LOCKS, 180, "not all locks are back")
        # Otherwise it is 10, 30 and 50 s for the three.
        self.assertLess(time.monotonic() - began, 30)
        self.end("b", S1, 3 * LOCKS)
        before = server.output().count("asked")
        # One that is in no file.
        self.assertEqual(node.exec("timeout 3 getent hosts 10.77.0.99").status, 124)
        self.assertGreater(server.output().count("asked"), before)
        for holder in holders:
            self.check(holder)
            self.assertEqual(holder.stop()["errors"], {})

    def test_two_addresses(self):
        """A dead client of one address does not keep those of another from their locks."""
        cluster, other = self.cluster, S1.ips[1]
        self.take("a", S1)
        self.expect_recovering("a", S1, RECOVERY)
        self.log_expect("a", self.floating("a", other))
        cluster.ctl("a", "takeover", "s1-1", "--no-notify", "--grace", RECOVERY)
        cluster.address_up("a", other)
        self.end("a", S1, 0)
        self.holder("c1", S1)
        cluster.mount("c2", S1, ip=other)
        holder = cluster.spawn("c2", "locks.py", "hold", "/mnt/s1", LOCKS, "--prefix", "c2")
        holder.expect(f"held {LOCKS}", 150)
        self.assertEqual(self.records("a", ip=other), [cluster["c2"].ip6])
        self.kill("a")
        self.kill("c1")
        # Of all that move together recoveries begin first.
        for _ in (IP, other):
            self.expect_recovering("b", S1, RECOVERY)
        for ip in (IP, other):
            self.log_expect("b", self.floating("b", ip))
        words = f"{CTL} takeover s1 s1-1 --mount --export --address --grace {RECOVERY}"
        cluster["b"].run(f"setsid {words} > /run/takeover 2>&1 < /dev/null &")
        until(lambda: any(line.get("fsid") == S1.fsid and int(line["reclaimed"]) >= LOCKS
                          for line in cluster.status("b")), 100,
              "the clients of the second address are not told")
        self.end("b", S1, LOCKS)
        until(lambda: f"{self.address('c1')}: " in cluster["b"].run("cat /run/takeover"), 30,
              "it does not end with the recovery")
        self.check(holder)
        self.assertEqual(holder.stop()["errors"], {})
