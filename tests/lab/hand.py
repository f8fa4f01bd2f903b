#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Boots two servers and a client to work with by hand."""

import argparse
import sys

from cluster import S1, S2, Cluster, Lab, LabError, ways_in


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", default="7.2")
    options = parser.parse_args()
    cluster = Cluster(Lab("lab"), clients=["client"])
    try:
        cluster.start(options.kernel, progress=lambda text: print(text, flush=True))
        cluster.up()
        for node in cluster.servers:
            cluster.load(node)
        cluster.serve("a", S1)
        cluster.serve("b", S2)
        for fs in S1, S2:
            cluster.mount("client", fs)
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        cluster.lab.close()
        return 69
    print(f"""
Server a serves {S1.path} (fsid {S1.fsid}, {' '.join(S1.ips)}),
server b serves {S2.path} (fsid {S2.fsid}, {' '.join(S2.ips)}),
client has both in /mnt, by NFSv3. nfs_failover.ko is loaded on a and b.

{ways_in(cluster.lab)}

Documentation/operations.rst has the steps of a move, by-hand.rst those with echo.""")
    return 0


if __name__ == "__main__":
    sys.exit(main())
