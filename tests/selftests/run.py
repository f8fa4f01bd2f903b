#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run the tests in VMs and report as KTAP.

run.py [--kernel 7.2]... [NAME]...

NAME is that of a file test_NAME.py, a test class in it, or a test. The tests of a
file share one cluster of VMs; a VM that died fails the test and is booted anew.
Exit status: 0 if all passed, 1 if a test failed, 69 if the lab did.
"""

import argparse
import importlib
import sys
import time
import traceback
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]

from cluster import BUILD, LabError, module  # noqa: E402
from testbed import Testbed  # noqa: E402


class Ktap(unittest.TestResult):
    """One KTAP line a test, with what it said indented as diagnostics."""

    def __init__(self, total):
        super().__init__()
        self.total, self.number = total, 0
        self.passed, self.failed, self.skipped = 0, 0, 0
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
        self._say("".join(traceback.format_exception(*err)))

    addError = addFailure

    def addSkip(self, test, reason):
        self.verdict, self.reason = "skip", reason

    def stopTest(self, test):
        super().stopTest(test)
        self.number += 1
        took = time.monotonic() - self.began
        name = ".".join(test.id().split(".")[-2:])
        if self.verdict == "ok":
            self.passed += 1
        elif self.verdict == "skip":
            self.skipped += 1
        else:
            self.failed += 1
        word = "ok" if self.verdict in ("ok", "skip") else "not ok"
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
        if tests:
            yield loaded, tests


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", action="append", metavar="SERIES")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    kernels = options.kernel or ["7.2", "7.3"]
    plan = [(kernel, loaded, tests) for kernel in kernels
            for loaded, tests in selected(options.names)]
    if not plan:
        print(f"no test is called {' '.join(options.names)}", file=sys.stderr)
        return 1
    print(f"KTAP version 1\n1..{len(plan)}")
    passed = failed = skipped = 0
    broken = False
    for number, (kernel, loaded, tests) in enumerate(plan, 1):
        name = f"{loaded.__name__.removeprefix('test_')} on {kernel}"
        print(f"    # {name}: {len(tests)} tests", flush=True)
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
            print(f"not ok {number} {name} # ERROR")
            broken = True
            failed += len(tests)
            continue
        passed, failed = passed + result.passed, failed + result.failed
        skipped += result.skipped
        print(f"{'not ok' if result.failed else 'ok'} {number} {name}", flush=True)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 69 if broken else int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
