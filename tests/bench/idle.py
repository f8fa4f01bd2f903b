#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the module costs on the lock path while no unit is active.

One client makes lock and unlock round trips against one server; the module is
loaded and unloaded in turns in the same run, and the medians are compared.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

from cluster import BIN, BUILD, S1, Cluster, Lab, LabError  # noqa: E402

TURNS = 12
ROUND_TRIPS = 400


def measure(cluster):
    """Round trips in seconds, by whether the module was loaded."""
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
        print(f"turn {turn + 1:2} of {2 * TURNS}: {'loaded' if loaded else 'without'}, "
              f"median {times[loaded][-1] * 1e6:.0f} us", flush=True)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="7.2")
    options = parser.parse_args()
    cluster = Cluster(Lab("bench"), servers=["a"], clients=["c1"])
    try:
        cluster.start(options.kernel)
        cluster.up()
        cluster.serve("a", S1)
        cluster.mount("c1", S1)
        times = measure(cluster)
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        return 69
    finally:
        cluster.lab.stop()
    medians = {loaded: statistics.median(values) for loaded, values in times.items()}
    spread = max(times[False]) / min(times[False])
    ratio = medians[True] / medians[False]
    (BUILD / "idle.json").write_text(json.dumps({"without": times[False], "loaded": times[True],
                                                 "ratio": ratio}) + "\n")
    print(f"lock and unlock: {medians[False] * 1e6:.0f} us without the module, "
          f"{medians[True] * 1e6:.0f} us with it idle: ratio {ratio:.3f} "
          f"(medians without it differ by {spread:.3f} among themselves)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
