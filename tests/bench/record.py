# SPDX-License-Identifier: GPL-2.0-only
"""What it costs to record a client before its first lock, and what after that.

A client takes and gives back a lock that is its first on the server, and then more of them: in
turns as stock (rpc.statd is asked once) and through a floating address (rpc.statd runs
nfs-failoverctl, which writes the record to the disk of the filesystem).
"""

import json
import statistics

from cluster import BIN, CONTROL, CTL
from moves import S1

TURNS = 5
ROUND_TRIPS = 60
STATE = f"{S1.path}/.nsm/{S1.ip}"


def forget(cluster, ours):
    """Neither lockd nor rpc.statd nor the filesystem knows the client."""
    node = cluster["a"]
    node.run("rpc.nfsd 0; pkill -x rpc.statd; rm -f /var/lib/nfs/sm/*; "
             f"rm -rf {S1.path}/.nsm; while pidof rpc.statd; do sleep 0.1; done; "
             "rm -f /etc/nfs.conf.d/statd.conf; "
             f"rpc.statd --no-notify -p 4002 {'-H /lab/statd-callout' if ours else ''}")
    cluster.server_up("a", nlm_grace=1, nfs4_grace=1)
    cluster.wait_no_grace("a")
    if ours:
        cluster.load("a")
        node.run(f"mkdir -p {STATE}/clients && "
                 f"chown -R $(stat -c %u /var/lib/nfs/sm) {S1.path}/.nsm && "
                 f"echo +{S1.ip} > {CONTROL}/floating_ips && "
                 f"chown $(stat -c %u /var/lib/nfs/sm) {CONTROL}/floating_ips")


def turn(cluster, ours):
    """Round trips in seconds: the first, and the median of the others."""
    cluster["c1"].run("umount -a -t nfs")
    forget(cluster, ours)
    cluster.mount("c1", S1)
    trips = json.loads(cluster["c1"].run(
        f"python3 {BIN}/locks.py trips /mnt/s1/record {ROUND_TRIPS}", timeout=120))
    records = cluster["a"].exec(f"ls {STATE}/clients").text.split()
    if ours:
        cluster.unload("a")
    assert len(records) == ours, f"{CTL} recorded {records}"
    return trips[0], statistics.median(trips[1:])


def measure(cluster, say):
    """{"first": .., "later": ..}, each {"stock": [seconds], "ours": [seconds], "ratio": r}."""
    cluster.configure()
    times = {what: {"stock": [], "ours": []} for what in ("first", "later")}
    for number in range(2 * TURNS):
        # a b b a: a drift of the machine hits both alike
        way = "ours" if number % 4 in (1, 2) else "stock"
        first, later = turn(cluster, way == "ours")
        times["first"][way].append(first)
        times["later"][way].append(later)
        say(f"record: turn {number + 1} of {2 * TURNS}, {way}: first {first * 1e3:.1f} ms, "
            f"later {later * 1e3:.2f} ms")
    for both in times.values():
        both["ratio"] = statistics.median(both["ours"]) / statistics.median(both["stock"])
    return times
