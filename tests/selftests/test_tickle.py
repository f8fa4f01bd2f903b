# SPDX-License-Identifier: GPL-2.0-only
"""A node dies, and clients believe in their connections to it."""

import ipaddress
import json
import sys

from test_takeover import IP, LOCKS, RECOVERY, Base
from testbed import S1, until

CLIENTS = {"c1": "3", "c2": "4.2"}
LIST = f"{S1.path}/.nsm/{IP}/connections"
NFS = 2049
# So long a client would wait, if nobody told it: its TCP waits twice as long each time.
LEFT = 15
# Seconds until NFS itself gives a connection up (NFSv4 after a lease): the test must be through by then,
# on a slow machine.
LEASE = 300
PATIENT = f"timeo={10 * LEASE}"
# It is about the command, whatever the kernel.
ONE_KERNEL = True


def remote(ip, port):
    """An end of a connection as /proc/net/tcp has it."""
    address = int.from_bytes(ipaddress.ip_address(ip).packed, sys.byteorder)
    return f"{address:08X}:{port:04X}"


class Tickle(Base):
    def server_up(self, node):
        self.cluster.server_up(node, nfs4_grace=LEASE)
        self.cluster.end_grace(node)
        # Or clients keep their NFSv4 locks to themselves.
        self.cluster[node].run("sysctl -q fs.leases-enable=0")
        self.addCleanup(self.delegate_again, node)

    def delegate_again(self, node):
        if self.cluster[node].pid:
            self.cluster[node].run("sysctl -q fs.leases-enable=1")

    def left(self, client):
        """For how long the client's TCP will not try again to reach nfsd."""
        for line in self.cluster[client].run("cat /proc/net/tcp").splitlines():
            _, _, end, _, _, timer, *_ = line.split()
            kind, _, ticks = timer.partition(":")
            if end == remote(IP, NFS) and kind == "01":
                return int(ticks, 16) / 100
        return 0

    def crash(self, source, target):
        """How long each client is kept when the address is up on the target, in seconds, and how many
        connections were tickled."""
        cluster = self.cluster
        until(lambda: cluster[source].exec(f"grep -c ' {NFS}$' {LIST}").text.strip() == "2", 60,
              "the connections are not listed")
        self.kill(source)
        cluster.mount_fs(target, S1)
        self.expect_recovering(target, S1, RECOVERY)
        self.log_expect(target, self.floating(target, IP))
        cluster.ctl(target, "takeover", "s1", "--export", "--no-notify", "--grace", RECOVERY)
        until(lambda: min(map(self.left, CLIENTS)) > LEFT, 150, "no client waits for long")
        cluster.address_up(target, IP)
        begun = {client: float(cluster[client].run("date +%s.%N")) for client in CLIENTS}
        report = json.loads(cluster.ctl(target, "--json", "notify", "--ip", IP).text)

        def stall(client):
            lines = map(float, self.writers[client].output().splitlines())
            return next((wall - begun[client] for wall in lines if wall > begun[client]), None)
        until(lambda: all(map(stall, CLIENTS)), 150, "nothing is written")
        until(lambda: len(cluster.locks(target, S1)) == len(CLIENTS) * LOCKS, 150,
              "locks are missing")
        self.log_expect(target, rf"fsid={S1.fsid}: recovery over, ended by hand: "
                        r"reclaimed=\d+ refused=0 waits=\d+")
        cluster.end_recovery(target, S1)
        return {client: stall(client) for client in CLIENTS}, report["tickled"]["connections"]

    def test_crash(self):
        """Clients go on as soon as the address is up, and not when they have waited long enough."""
        cluster = self.cluster
        for node in "a", "b":
            self.server_up(node)
        self.take("a", S1)
        self.end("a", S1, 0)
        holders = []
        for client, vers in CLIENTS.items():
            cluster.mount(client, S1, vers=vers, options=PATIENT)
            holders.append(cluster.spawn(client, "locks.py", "hold", "/mnt/s1", LOCKS,
                                         "--prefix", client))
            holders[-1].expect(f"held {LOCKS}", 150)
        self.writers = {client: cluster.spawn(client, "writes.py", f"/mnt/s1/{client}.written")
                        for client in CLIENTS}
        kept, count = self.crash("a", "b")
        # nfsd's, and lockd's of the one that has locks by it.
        self.assertGreaterEqual(count, len(CLIENTS) + 1)
        print(f"    # kept for so long: {kept}, and {LEFT} s or more without that")
        self.assertLess(max(kept.values()), LEFT / 2)
        for holder in holders:
            self.check(holder)
            self.assertEqual(holder.stop()["errors"], {})
        for writer in self.writers.values():
            writer.signal()
            self.assertEqual((writer.wait(60), writer.errors()), (0, ""))
