# SPDX-License-Identifier: GPL-2.0-only
"""What the module costs on the lock path while no unit is active.

One client makes lock and unlock round trips against one server (seconds each); the module is
loaded and unloaded in turns in the same run, and the medians are compared.
"""

import json
import statistics

from cluster import BIN

TURNS = 12
ROUND_TRIPS = 400
TARGET = 1.03


def turns(cluster, trips, say, count=TURNS, ip=None):
    """Medians in seconds of the round trips that the command `trips` of locks.py makes on c1, without
    the module and with it, in turns. ip: the floating IP, if the module is to know it."""
    times = {True: [], False: []}
    for turn in range(2 * count):
        # a b b a: a drift of the machine hits both alike
        loaded = turn % 4 in (1, 2)
        if loaded:
            cluster.load("a")
            if ip:
                cluster.command("a", "floating_ips", f"+{ip}")
        found = json.loads(cluster["c1"].run(f"python3 {BIN}/locks.py {trips}", timeout=200))
        times[loaded].append(statistics.median(found))
        if loaded:
            cluster.unload("a")
        say(f"idle: turn {turn + 1} of {2 * count}, {'loaded' if loaded else 'without'}: "
            f"median {times[loaded][-1] * 1e6:.0f} us")
    return times[False], times[True]


def measure(cluster, say):
    """The medians, their ratio, and how far those without the module lie apart."""
    without, loaded = turns(cluster, f"trips /mnt/s1/idle {ROUND_TRIPS}", say)
    return {"without": without, "loaded": loaded,
            "ratio": statistics.median(loaded) / statistics.median(without),
            "spread": max(without) / min(without)}


def measure4(cluster, ip, say, count):
    """The same of an NFSv4 client, also of opens, with how far pairs of turns lie apart."""
    result = {}
    for what, more in ("lock and unlock", ""), ("open and close", " --open"):
        without, loaded = turns(cluster, f"trips /mnt/s1/idle {ROUND_TRIPS}{more}", say, count, ip)
        pairs = sorted(b / a for a, b in zip(without, loaded))
        result[what] = {
            "without": statistics.median(without), "loaded": statistics.median(loaded),
            "ratio": statistics.median(loaded) / statistics.median(without),
            "low": pairs[len(pairs) // 4], "high": pairs[-1 - len(pairs) // 4],
            "spread": max(without) / min(without)}
    return result
