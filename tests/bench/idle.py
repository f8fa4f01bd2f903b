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


def measure(cluster, say):
    """Medians of the turns in seconds, without the module and with it, and their ratio."""
    times = {True: [], False: []}
    for turn in range(2 * TURNS):
        # a b b a: a drift of the machine hits both alike
        loaded = turn % 4 in (1, 2)
        if loaded:
            cluster.load("a")
        trips = json.loads(cluster["c1"].run(
            f"python3 {BIN}/locks.py trips /mnt/s1/idle {ROUND_TRIPS}", timeout=120))
        times[loaded].append(statistics.median(trips))
        if loaded:
            cluster.unload("a")
        say(f"idle: turn {turn + 1} of {2 * TURNS}, {'loaded' if loaded else 'without'}: "
            f"median {times[loaded][-1] * 1e6:.0f} us")
    without, loaded = statistics.median(times[False]), statistics.median(times[True])
    return {"without": times[False], "loaded": times[True], "ratio": loaded / without,
            "spread": max(times[False]) / min(times[False])}
