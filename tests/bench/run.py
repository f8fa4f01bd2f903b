#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Measures moves, releases, reclaims and the idle module, stock behaviour and ours side by side.

Everything that is printed was measured in this run. Results: build/bench.json, build/bench-*.svg.
Exit status: 0 measured, whatever came of it; 1 locks were lost with the module; 69 the lab failed.
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

import idle  # noqa: E402
import moves  # noqa: E402
import reclaim  # noqa: E402
import record  # noqa: E402
import release  # noqa: E402
import report  # noqa: E402
import svg  # noqa: E402
from cluster import BUILD, Cluster, Lab, LabError, write_whole  # noqa: E402

PARTS = ("release", "reclaim", "idle", "record", "moves")
# Parts with VMs of their own.
ALONE = {"release": release, "reclaim": reclaim}
# Seven emulated VMs on two CPUs boot slowly.
BOOT = 600


class Bench:
    def __init__(self, options):
        self.options, self.began = options, time.monotonic()
        clients = ["c1"]
        if "moves" in options.part:
            clients = [f"c{i + 1}" for i in range(max(options.clients))] + [moves.OTHER]
        self.cluster = Cluster(Lab("bench"), clients=clients, filesystems=moves.FILESYSTEMS,
                               servers=["a", "b"] if "moves" in options.part else ["a"])
        self.results = {}

    def say(self, text):
        print(f"[{time.monotonic() - self.began:5.0f}s] {text}", flush=True)

    def start(self):
        cluster = self.cluster
        self.say(f"booting {' '.join([*cluster.servers, *cluster.clients])}")
        cluster.start(self.options.kernel, timeout=BOOT)
        # Only the nfsd that a move restarts has the grace periods of a stock system.
        cluster.up(nlm_grace=1)
        cluster.serve("a", moves.S1)
        cluster.mount("c1", moves.S1)
        self.results["kernel"] = cluster["a"].run("uname -r").strip()
        self.say(f"all run Linux {self.results['kernel']}")

    def run(self):
        options = self.options
        for part, module in ALONE.items():
            if part in options.part:
                self.results[part] = []
                for result in module.measure(options.kernel, self.say, max(options.locks)):
                    self.results[part] += result
                    self.save()
        rest = [part for part in PARTS if part in options.part and part not in ALONE]
        if rest:
            self.start()
        for part in rest:
            if part == "idle":
                self.results[part] = idle.measure(self.cluster, self.say)
            elif part == "record":
                self.results[part] = record.measure(self.cluster, self.say)
                self.cluster["c1"].run("umount -a -t nfs")
                self.cluster.mount("c1", moves.S1)
            else:
                self.results[part] = []
                for result in moves.Moves(self.cluster, self.say).measure(options.locks,
                                                                          options.clients):
                    self.results[part].append(result)
                    self.save()
            self.save()

    def save(self):
        """After each step: what was measured outlives a lab that fails later."""
        self.results["seconds"] = round(time.monotonic() - self.began)
        write_whole(BUILD / "bench.json", json.dumps(self.results, indent=1) + "\n")


def stop(*_):
    """SIGTERM: what was measured until then is shown."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise LabError("stopped from outside")


def numbers(text):
    return sorted({int(word) for word in text.split(",")})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="7.2")
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--locks", type=numbers, default=[1, 100, 1000, 10000])
    parser.add_argument("--clients", type=numbers, default=[1, 4])
    options = parser.parse_args()
    options.part = options.part or PARTS
    signal.signal(signal.SIGTERM, stop)
    bench, status = Bench(options), 0
    try:
        bench.run()
    except LabError as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        status = 69
    finally:
        # Not in the middle of ending the lab, nor of the report.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        bench.cluster.lab.close()
    print("\n" + report.text(bench.results))
    pictures = svg.pictures(bench.results)
    for name, picture in pictures.items():
        write_whole(BUILD / f"bench-{name}.svg", picture)
    print(f"\n(as JSON: {BUILD / 'bench.json'}; pictures: "
          f"{' '.join(f'bench-{name}.svg' for name in pictures) or 'none'} beside it)")
    if not status and any(row["lost"] for row in bench.results.get("moves", [])
                          if row["way"] != "restart"):
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
