#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What NFSv4 clients keep of what they have, and how long they and others stand still.

nfs4.py [--kernel 7.2] [--part PART]... [--only WORD,...]... [--times N] [--turns N] [--opens N]

moves   A crash and a planned move for 4.0, 4.1 and 4.2, without and with delegations, small (10 files with a
        lock each) and large (500 such files, and 1500 ranges of one more), with the module and of stock servers.
        Where files are delegated, 10 more are there that nobody else opens, with locks that only their client
        knows. In the end another client tries to lock all of it. Each row begins with a boot.
        --only 4.2,planned,on,small,ours: those that all of these words fit, and other ones with one more --only
back    Planned moves with 10 locks, --times there and back for each version.
idle    Round trips over 4.2 without the module and with it in turns, --turns of either.
many    What it takes to release --opens files that one client has open, and to take them over; and stock
        unlock_filesystem beside it.

A stock server gives a filesystem up when nfsd is stopped. Everything that is printed was measured in this
run; the same is in build/nfs4.json. Exit status: 0; 1 if with the module anything was lost or a move failed,
somebody stood still for longer than the targets allow, or round trips take longer than that; 69 if the lab failed.
"""

import argparse
import itertools
import json
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

import idle  # noqa: E402
import nfs4_judge  # noqa: E402
import nfs4_many  # noqa: E402
from cluster import BUILD, Cluster, Lab, LabError, write_whole  # noqa: E402
from nfs4_moves import S1, S2, Moves  # noqa: E402

PARTS = ("moves", "back", "idle", "many")
# What a row is, in the order in which they are run.
KINDS = {"delegations": ("off", "on"), "size": ("small", "large"), "vers": ("4.0", "4.1", "4.2"),
         "who": ("stock", "ours"), "way": ("crash", "planned")}


def rows(only):
    """Of all, those that a --only fits."""
    found = (dict(zip(KINDS, values)) for values in itertools.product(*KINDS.values()))
    return [row for row in found if not only or any(words <= set(row.values()) for words in only)]


def words(text):
    found = set(text.split(","))
    if not found <= {word for kind in KINDS.values() for word in kind}:
        raise argparse.ArgumentTypeError(f"words are {' '.join(word for kind in KINDS.values() for word in kind)}")
    return found


class Bench:
    def __init__(self, options):
        self.options, self.began, self.results = options, time.monotonic(), {}
        self.cluster = Cluster(Lab("nfs4"), clients=["c1", "c2"], filesystems=[S1, S2])
        self.steps = Moves(self.cluster, self.say)

    def say(self, text):
        print(f"[{time.monotonic() - self.began:5.0f}s] {text}", flush=True)

    def save(self):
        """After each step: what was measured outlives a lab that fails later."""
        write_whole(BUILD / "nfs4.json", json.dumps(self.results, indent=1) + "\n")

    def run(self):
        self.cluster.start(self.options.kernel)
        self.results["kernel"] = self.cluster["a"].run("uname -r").strip()
        for part in self.options.part or PARTS:
            {"moves": self.moves, "back": self.back, "idle": self.idle, "many": self.many}[part]()
            self.save()

    def moves(self):
        self.results["moves"] = []
        for row in rows(self.options.only):
            self.results["moves"].append(self.steps.row(row))
            self.save()

    def back(self):
        self.results["back"] = {}
        for vers in KINDS["vers"]:
            self.results["back"][vers] = self.steps.back(vers, self.options.times)
            self.save()

    def idle(self):
        self.steps.boot()
        self.steps.serve(False, False)
        self.cluster.mount("c1", S1, vers="4.2")
        self.results["idle"] = idle.measure4(self.cluster, S1.ip, self.say, self.options.turns)

    def many(self):
        self.results["many"] = nfs4_many.measure(self.steps, self.options.opens)


class Stopped(Exception):
    """SIGTERM: what was measured until then is shown. No failure of a row, after which others go on."""


def stop(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped("stopped from outside")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="7.2")
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--only", action="append", type=words, metavar="WORD,...", help="of moves")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--turns", type=int, default=idle.TURNS)
    parser.add_argument("--opens", type=int, default=10000)
    options = parser.parse_args()
    if not rows(options.only):
        parser.error("no move fits --only: two of its words exclude each other")
    signal.signal(signal.SIGTERM, stop)
    bench, status = Bench(options), 0
    try:
        bench.run()
    except (LabError, Stopped) as error:
        print(f"the lab failed: {error}", file=sys.stderr)
        status = 69
    finally:
        # Not in the middle of ending the lab, nor of what comes then.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        bench.cluster.lab.close()
    print("\n" + nfs4_judge.text(bench.results))
    wrong = nfs4_judge.verdict(bench.results)
    if wrong or not status:
        print("\n" + "\n".join(wrong or ["nothing of it is otherwise than it should be"]))
    return status or int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
