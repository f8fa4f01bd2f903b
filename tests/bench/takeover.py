#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""How long the clients of a dead node are without their locks, and who hears of it.

takeover.py [--kernel 7.2] [--clients 4] [--locks 100]

The clients hold locks through a floating address of one node, one more client holds some on the
other node. The first node is killed, the other takes over with nfs-failoverctl. Prints when the
locks were back, counted from the moment the address was up, and whom packets went to. Exit
status: 0; 1 if a lock was lost or somebody else was told; 69 if the lab failed.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

from cluster import S1, S2, Cluster, Lab, LabError, until  # noqa: E402

RECOVERY = 300
OTHER = "other"


def serve(cluster, node, fs):
    cluster.ctl(node, "takeover", fs.name, "--mount", "--export", "--no-notify", "--grace", RECOVERY)
    cluster.address_up(node, fs.ip)
    cluster.end_recovery(node, fs)


def hold(cluster, client, fs, locks):
    cluster.mount(client, fs)
    holder = cluster.spawn(client, "locks.py", "hold", f"/mnt/{fs.name}", locks, "--prefix", client)
    holder.expect(f"held {locks}", 300)
    return holder


def measure(cluster, locks):
    for node in cluster.servers:
        cluster.load(node)
    cluster.configure()
    serve(cluster, "a", S1)
    serve(cluster, "b", S2)
    clients = [client for client in cluster.clients if client != OTHER]
    holders = [hold(cluster, client, S1, locks) for client in clients]
    other = hold(cluster, OTHER, S2, locks)
    every = locks * len(clients)
    cluster["a"].kill()
    watch = cluster.spawn("b", "watch.py", "--interval", "0.02", "unit", S1.fsid)
    watch.expect("", 60)
    capture = cluster.lab.dir / "takeover.pcap"
    cluster.lab.capture_start(capture)
    cluster.ctl("b", "takeover", "s1", "--mount", "--export", "--no-notify", "--grace", RECOVERY)
    cluster.address_up("b", S1.ip)
    up = float(cluster["b"].run("date +%s.%N"))
    told = json.loads(cluster.ctl("b", "--json", "notify", "--ip", S1.ip).text)
    until(lambda: watch.output().split()[-3] == str(every), 200, "not all locks are reclaimed")
    cluster.lab.capture_stop()
    lines = [line.split() for line in watch.output().splitlines()]
    back = {int(words[2]): float(words[0]) - up for words in reversed(lines) if len(words) > 2}
    sent = cluster.lab.captured(capture, f"src host {S1.ip} and udp")
    heard = {packet.split()[4].rpartition(".")[0] for packet in sent}
    strangers = heard - {cluster[client].ip for client in clients}
    others = cluster.lab.captured(capture, f"udp and host {cluster[OTHER].ip}")
    errors = [program.stop()["errors"] for program in [*holders, other]]
    return {"clients": len(clients), "locks": every, "first": round(back[min(back.keys() - {0})], 2),
            "last": round(back[every], 2), "notified": told["seconds"],
            "strangers": sorted(strangers), "packets to the other client": len(others),
            "errors": sum(map(len, errors))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="7.2")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--locks", type=int, default=100)
    options = parser.parse_args()
    names = [f"c{number + 1}" for number in range(options.clients)]
    cluster = Cluster(Lab("takeover"), clients=[*names, OTHER])
    try:
        cluster.start(options.kernel)
        cluster.up()
        result = measure(cluster, options.locks)
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        return 69
    finally:
        cluster.lab.close()
    print(json.dumps(result))
    return int(bool(result["strangers"] or result["packets to the other client"]
                    or result["errors"]))


if __name__ == "__main__":
    sys.exit(main())
