#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run the tests in VMs and report as KTAP.

run.py [--kernel 7.2]... [NAME]...

NAME is that of a file test_NAME.py, a test class in it, or a test. The tests of a
file share one cluster of VMs; a VM that died fails the test and is booted anew. Most of
the time they wait for clients to come again, so two files run at the same time, and
what each says comes when it is through. A file with BY_NAME_ONLY takes long, and is run
only if it is named.
Exit status: 0 if all passed, 1 if a test failed, 69 if the lab did.
"""

import argparse
import importlib
import re
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]

from cluster import BUILD, LabError, module  # noqa: E402
from testbed import Testbed  # noqa: E402


# The lab failed, not a test.
EX_UNAVAILABLE = 69


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
        if not names and getattr(loaded, "BY_NAME_ONLY", False):
            continue
        tests = list(tests_of(unittest.defaultTestLoader.loadTestsFromModule(loaded)))
        if names:
            tests = [t for t in tests if {path.stem.removeprefix("test_"), type(t).__name__,
                                          t.id().split(".")[-1].removeprefix("test_"),
                                          t.id().split(".")[-1]} & set(names)]
        if tests:
            yield loaded, tests


def run_file(kernel, loaded, tests):
    """The tests of one file on one kernel; returns the exit status."""
    print(f"    # {title(kernel, loaded)}: {len(tests)} tests", flush=True)
    try:
        release = (BUILD / "kernel" / kernel / "release").read_text().strip()
        if not module(kernel).exists():
            raise LabError(f"no module for {kernel}: make KERNEL={kernel}")
        print(f"    # kernel {release}")
        with Testbed(loaded, kernel) as bed:
            result = Ktap(len(tests))
            for test in tests:
                test.bed = bed
                test.run(result)
    except (LabError, OSError) as error:
        print(f"    # the lab failed: {error}")
        return EX_UNAVAILABLE
    return int(result.failed > 0)


def title(kernel, loaded):
    return f"{loaded.__name__.removeprefix('test_')} on {kernel}"


def run_apart(kernel, loaded, names):
    """run_file() in a process of its own; returns its status and what it said."""
    command = [sys.executable, __file__, "--kernel", kernel, "--file", loaded.__name__, *names]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, done.stdout


def report(number, kernel, loaded, planned, status, said):
    """Print what a file's tests said; returns how many passed, failed and were skipped."""
    sys.stdout.write(said)
    verdicts = re.findall(r"^    ((?:not )?ok) \d+ \S+( # SKIP)?", said, re.M)
    skipped = sum(bool(skip) for _, skip in verdicts)
    failed = sum(word == "not ok" for word, _ in verdicts)
    passed = len(verdicts) - failed - skipped
    # What the file did not get to has failed, too.
    failed += planned - len(verdicts)
    word, tail = ("not ok", " # ERROR") if status == EX_UNAVAILABLE else \
        ("not ok" if status or failed else "ok", "")
    print(f"{word} {number} {title(kernel, loaded)}{tail}", flush=True)
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", action="append", metavar="SERIES")
    parser.add_argument("--jobs", type=int, default=2, metavar="N",
                        help="files whose tests run at the same time (default: 2)")
    parser.add_argument("--file", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    kernels = options.kernel or ["7.2", "7.3"]
    plan = [(kernel, loaded, tests) for kernel in kernels
            for loaded, tests in selected(options.names)
            if options.file in (None, loaded.__name__)]
    # Short ones last, so that nothing runs alone for long in the end.
    plan.sort(key=lambda one: -len(one[2]))
    if not plan:
        print(f"no test is called {' '.join(options.names)}", file=sys.stderr)
        return 1
    if options.file:
        return run_file(*plan[0])
    print(f"KTAP version 1\n1..{len(plan)}", flush=True)
    totals, statuses, failures = (0, 0, 0), [], []
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        running = {pool.submit(run_apart, kernel, loaded, options.names): (kernel, loaded, tests)
                   for kernel, loaded, tests in plan}
        for number, job in enumerate(as_completed(running), 1):
            kernel, loaded, tests = running[job]
            status, said = job.result()
            statuses.append(status)
            failures += [f"{name} on {kernel}"
                         for name in re.findall(r"^    not ok \d+ (\S+)", said, re.M)]
            counts = report(number, kernel, loaded, len(tests), status, said)
            totals = tuple(map(sum, zip(totals, counts)))
    passed, failed, skipped = totals
    for failure in failures:
        print(f"# failed: {failure}")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return EX_UNAVAILABLE if EX_UNAVAILABLE in statuses else int(failed > 0 or any(statuses))


if __name__ == "__main__":
    sys.exit(main())
