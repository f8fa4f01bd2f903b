#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run the tests in VMs and report as KTAP.

run.py [--kernel 7.2]... [NAME]...

NAME is that of a file test_NAME.py, a test class in it, or a test. All files of a kernel
share one cluster of VMs; a VM that died fails the test and is booted anew. Two files run at the
same time, each in a cluster of its own, and what each says comes when it is through. A class with
BY_NAME_ONLY takes long, and is run only if it, its file or a test of it is named.
Exit status: 0 if all passed, 1 if a test failed, 69 if the lab did.
"""

import argparse
import importlib
import re
import subprocess
import sys
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]

from cluster import BUILD, LabError, module  # noqa: E402
from testbed import Testbed  # noqa: E402


# The lab failed, not a test.
EX_UNAVAILABLE = 69
# What a lane says when a file is through.
END = "@end"


class Ktap(unittest.TestResult):
    """One KTAP line a test, with what it said indented as diagnostics."""

    def __init__(self, total):
        super().__init__()
        self.total, self.number, self.failed = total, 0, 0
        print(f"    KTAP version 1\n    1..{total}", flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.began, self.verdict = time.monotonic(), None

    def _say(self, text):
        for line in text.splitlines():
            print(f"    # {line}", flush=True)

    def addSuccess(self, test):
        self.verdict = "ok"

    def addFailure(self, test, err):
        self.verdict = "not ok"
        # Without the frames of unittest.
        self._say(self._exc_info_to_string(err, test))

    addError = addFailure

    def addSkip(self, test, reason):
        self.verdict, self.reason = "skip", reason

    def stopTest(self, test):
        super().stopTest(test)
        self.number += 1
        took = time.monotonic() - self.began
        name = ".".join(test.id().split(".")[-2:])
        word = "ok" if self.verdict in ("ok", "skip") else "not ok"
        self.failed += word == "not ok"
        tail = f" # SKIP {self.reason}" if self.verdict == "skip" else ""
        print(f"    {word} {self.number} {name}{tail}\n    # took {took:.1f} s", flush=True)


def tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def selected(names):
    """The tests, by file, that NAMEs ask for."""
    for path in sorted(HERE.glob("test_*.py")):
        loaded = importlib.import_module(path.stem)
        tests = list(tests_of(unittest.defaultTestLoader.loadTestsFromModule(loaded)))
        if names:
            tests = [t for t in tests if {path.stem.removeprefix("test_"), type(t).__name__,
                                          t.id().split(".")[-1].removeprefix("test_"),
                                          t.id().split(".")[-1]} & set(names)]
        else:
            tests = [t for t in tests if not getattr(t, "BY_NAME_ONLY", False)]
        if tests:
            yield loaded, tests


def run_files(name, kernel, plan):
    """The tests of several files, one after the other on the same machines."""
    files = [loaded for loaded, _ in plan]
    try:
        release = (BUILD / "kernel" / kernel / "release").read_text().strip()
        if not module(kernel).exists():
            raise LabError(f"no module for {kernel}: make KERNEL={kernel}")
        while plan:
            with Testbed(name, files, kernel) as bed:
                plan = run_on(bed, release, plan)
    except (LabError, OSError) as error:
        print(f"    # the lab failed: {error}")
        return EX_UNAVAILABLE
    return 0


def run_on(bed, release, plan):
    """Run the tests on these machines; returns what is left if they cannot be used any more."""
    for number, (loaded, tests) in enumerate(plan):
        try:
            bed.use(loaded)
        except LabError as error:
            if not number:
                raise
            print(f"    # begins with new machines: {error}", flush=True)
            return plan[number:]
        print(f"    # {title(bed.kernel, loaded)}: {len(tests)} tests\n    # kernel {release}")
        result = Ktap(len(tests))
        for test in tests:
            test.bed = bed
            test.run(result)
        print(f"{END} {loaded.__name__}", flush=True)
    return []


def title(kernel, loaded):
    return f"{loaded.__name__.removeprefix('test_')} on {kernel}"


class Lane:
    """Files whose tests run one after the other, in a process of its own."""

    def __init__(self, kernel, number, plan, names):
        self.kernel, self.number, self.plan, self.names = kernel, number, plan, names

    def run(self, ended):
        """Call ended() with each file, its tests, and what it said; returns the exit status."""
        files = [loaded.__name__ for loaded, _ in self.plan]
        command = [sys.executable, __file__, "--kernel", self.kernel, "--lane", str(self.number),
                   "--files", ",".join(files), *self.names]
        left, said = list(self.plan), []
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace") as child:
            for line in child.stdout:
                if line.startswith(END):
                    ended(self.kernel, *left.pop(0), "".join(said), 0)
                    said.clear()
                else:
                    said.append(line)
        status = child.returncode
        for number, (loaded, tests) in enumerate(left):
            ended(self.kernel, loaded, tests, "" if number else "".join(said),
                  status or EX_UNAVAILABLE)
        return status


def lanes(kernels, names, jobs):
    """Share the files of each kernel out among as many lanes as there are jobs for it."""
    for kernel in kernels:
        count = max(1, jobs // len(kernels))
        shares = [[] for _ in range(count)]
        # Those with many tests first, each to whom has the fewest.
        for plan in sorted(selected(names), key=lambda plan: -len(plan[1])):
            min(shares, key=lambda share: sum(len(tests) for _, tests in share)).append(plan)
        yield from (Lane(kernel, number, share, names)
                    for number, share in enumerate(shares) if share)


class Report:
    """What all lanes say, as KTAP."""

    def __init__(self, files):
        self.number = self.passed = self.failed = self.skipped = 0
        self.failures, self.lock = [], threading.Lock()
        print(f"KTAP version 1\n1..{files}", flush=True)

    def ended(self, kernel, loaded, tests, said, status):
        """A file is through."""
        with self.lock:
            sys.stdout.write(said)
            verdicts = re.findall(r"^    ((?:not )?ok) \d+ (\S+)( # SKIP)?", said, re.M)
            skipped = sum(bool(skip) for *_, skip in verdicts)
            failures = [f"{name} on {kernel}" for word, name, _ in verdicts if word == "not ok"]
            # What the file did not get to has failed, too.
            missing = len(tests) - len(verdicts)
            if missing:
                failures.append(f"{title(kernel, loaded)}: {missing} not run")
            self.number += 1
            self.passed += len(verdicts) - skipped - len(failures) + bool(missing)
            self.failed += len(failures) - bool(missing) + missing
            self.skipped += skipped
            self.failures += failures
            word, tail = ("not ok", " # ERROR") if status == EX_UNAVAILABLE else \
                ("not ok" if status or failures else "ok", "")
            print(f"{word} {self.number} {title(kernel, loaded)}{tail}", flush=True)

    def end(self):
        for failure in self.failures:
            print(f"# failed: {failure}")
        print(f"{self.passed} passed, {self.failed} failed"
              + (f", {self.skipped} skipped" if self.skipped else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", action="append", metavar="SERIES")
    parser.add_argument("--jobs", type=int, default=2, metavar="N",
                        help="files whose tests run at the same time (default: 2)")
    parser.add_argument("--lane", help=argparse.SUPPRESS)
    parser.add_argument("--files", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if options.lane:
        wanted = options.files.split(",")
        plan = {loaded.__name__: (loaded, tests) for loaded, tests in selected(options.names)}
        return run_files(f"lane{options.lane}", options.kernel[0], [plan[name] for name in wanted])
    plan = list(lanes(options.kernel or ["7.2", "7.3"], options.names, options.jobs))
    if not plan:
        print(f"no test is called {' '.join(options.names)}", file=sys.stderr)
        return 1
    report = Report(sum(len(lane.plan) for lane in plan))
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        statuses = list(pool.map(lambda lane: lane.run(report.ended), plan))
    report.end()
    return EX_UNAVAILABLE if EX_UNAVAILABLE in statuses else int(report.failed > 0 or any(statuses))


if __name__ == "__main__":
    sys.exit(main())
