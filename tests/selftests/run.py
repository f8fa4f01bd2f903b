#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run the tests in VMs and report as KTAP.

run.py [--kernel 7.2]... [--keep] [NAME]...

NAME is that of a file test_NAME.py, a test class in it, or a test. Three files run at the same time,
each on a cluster of VMs that takes the next file when it is through; a VM that died fails the test and
is booted anew. What a file says comes when it is through. A file with
ONE_KERNEL is about what no kernel does differently, and is run on one only unless it is named. A class with
BY_NAME_ONLY, or the tests that that names, take long or are new: they are run only if the class, its
file or the test is named.
With --keep a test that fails is the last one on its machines, and these are left running as they are.
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
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]

from cluster import BUILD, LabError, module, ways_in  # noqa: E402
from testbed import CPUS, DEBUG, Testbed  # noqa: E402


# The lab failed, not a test.
EX_UNAVAILABLE = 69
# What a lane says when a file is through.
END = "@end"
# Before what it says of machines that are left running.
KEPT = "# kept:"


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
        name = short(test)
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


def short(test):
    """Class and name."""
    return ".".join(test.id().split(".")[-2:])


def by_name_only(test):
    """BY_NAME_ONLY of its class is True, or has the names of such tests."""
    value = getattr(test, "BY_NAME_ONLY", False)
    return value is True or bool(value) and test.id().split(".")[-1] in value


def selected(names):
    """The tests, by file, that NAMEs ask for."""
    for path in sorted(HERE.glob("test_*.py")):
        loaded = importlib.import_module(path.stem)
        tests = list(tests_of(unittest.defaultTestLoader.loadTestsFromModule(loaded)))
        if names:
            tests = [t for t in tests if {path.stem.removeprefix("test_"), type(t).__name__,
                                          short(t), t.id().split(".")[-1].removeprefix("test_"),
                                          t.id().split(".")[-1]} & set(names)]
        else:
            tests = [t for t in tests if not by_name_only(t)]
        if tests:
            yield loaded, tests


def run_lane(name, kernel, count, known, given, keep):
    """Run the files whose names are given, one after the other on the same machines.

    known: all that may be given, {name: (module, tests)}; given: iterable of names.
    """
    files = [loaded for loaded, _ in known.values()]
    try:
        release = (BUILD / "kernel" / kernel / "release").read_text().strip()
        if not module(kernel).exists():
            raise LabError(f"no module for {kernel}: make KERNEL={kernel}")
        entry = next_of(given, known)
        while entry:
            with Testbed(name, files, entry[0], kernel, count, keep) as bed:
                entry = run_on(bed, release, entry, lambda: next_of(given, known))
                if bed.kept:
                    return 0
    except (LabError, OSError) as error:
        print(f"    # the lab failed: {error}")
        return EX_UNAVAILABLE
    return 0


def next_of(given, known):
    """The file whose name is given next, and its tests; None if there is none."""
    name = next(given, "").strip()
    return known[name] if name else None


def cpus(loaded, kernel):
    """How many CPUs the machines of a file have: two, at least, where what CPUs do to each other is checked."""
    return max(getattr(loaded, "CPUS", CPUS), 2 if kernel == DEBUG else 1)


def weight(loaded, tests):
    """How long a file takes, in usual tests: WEIGHT of the file if its tests are not usual."""
    return getattr(loaded, "WEIGHT", 1) * len(tests)


def run_on(bed, release, entry, following):
    """Run files on these machines; returns the one that needs others, if they are not usable any more."""
    first = True
    while entry:
        loaded, tests = entry
        try:
            bed.use(loaded)
        except LabError as error:
            if first:
                raise
            # What the file before has left them in is a fault, too.
            print(f"    # {error}\n    not ok 0 {title(bed.kernel, loaded)}: machines of the file before",
                  flush=True)
            return entry
        first = False
        print(f"    # {title(bed.kernel, loaded)}: {len(tests)} tests\n    # kernel {release}")
        result = Ktap(len(tests))
        for test in tests:
            test.bed = bed
            test.run(result)
            if bed.keep and result.failed:
                bed.kept = True
                for line in [f"{test.id()} has left its machines running:",
                             *ways_in(bed.cluster.lab).splitlines()]:
                    print(f"    {KEPT} {line}")
                break
        for leak in bed.leaks():
            print(f"{leak}\n    not ok 0 {title(bed.kernel, loaded)}: memory is lost", flush=True)
        print(f"{END} {loaded.__name__}", flush=True)
        entry = None if bed.kept else following()
    return None


def title(kernel, loaded):
    return f"{loaded.__name__.removeprefix('test_')} on {kernel}"


class Queue:
    """The files of all kernels that no lane has taken yet, the longest first."""

    def __init__(self, kernels, names):
        plans = list(selected(names))
        once = [plan for plan in plans if getattr(plan[0], "ONE_KERNEL", False) and not names]
        self.left = [([kernel], plan) for kernel in kernels for plan in plans if plan not in once]
        # On the kernel that gets to it first.
        self.left += [(kernels, plan) for plan in once]
        self.left.sort(key=lambda item: -weight(*item[1]))
        self.files, self.at_work, self.lock = len(self.left), Counter(), threading.Lock()

    def known(self, key):
        """All that a lane on that kernel, with that number of CPUs, may have to run."""
        kernel, count = key
        return [plan for kernels, plan in self.left if kernel in kernels and cpus(plan[0], kernel) == count]

    def begin(self):
        """The (kernel, CPUs) that another lane is most useful for; None if all is taken."""
        with self.lock:
            todo = Counter()
            for kernels, plan in self.left:
                for kernel in kernels:
                    todo[kernel, cpus(plan[0], kernel)] += weight(*plan) / len(kernels)
            if not todo:
                return None
            key = max(todo, key=lambda key: todo[key] / (1 + self.at_work[key]))
            self.at_work[key] += 1
            return key

    def end(self, key):
        with self.lock:
            self.at_work[key] -= 1

    def take(self, key):
        """The next file, and its tests, for such a lane; None if there is none."""
        kernel, count = key
        with self.lock:
            for item in self.left:
                kernels, plan = item
                if kernel in kernels and cpus(plan[0], kernel) == count:
                    self.left.remove(item)
                    return plan
        return None


class Lane:
    """A process that runs files one after the other on machines of its own."""

    def __init__(self, number, queue, names, keep):
        self.number, self.queue, self.names, self.kept = number, queue, names, False
        self.options = ["--keep"] if keep else []

    def run(self, report):
        """Begin with other machines until nothing is left; returns the exit status."""
        while key := self.queue.begin():
            try:
                status = self._run(key, report)
            finally:
                self.queue.end(key)
            # Machines that could not be had, or that go on running.
            if status or self.kept:
                return status
        return 0

    def _run(self, key, report):
        files = [loaded.__name__ for loaded, _ in self.queue.known(key)]
        kernel, count = key
        command = [sys.executable, __file__, "--kernel", kernel, "--lane", str(self.number),
                   "--cpus", str(count), "--files", ",".join(files), *self.options, *self.names]
        plan, said = None, []
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace") as child:
            def give():
                plan = self.queue.take(key)
                with suppress(BrokenPipeError):
                    if plan:
                        child.stdin.write(f"{plan[0].__name__}\n")
                        child.stdin.flush()
                    else:
                        child.stdin.close()
                return plan
            plan = give()
            for line in child.stdout:
                if not line.startswith(END):
                    said.append(line)
                    continue
                report.ended(kernel, *plan, "".join(said), 0)
                self.kept = any(KEPT in line for line in said)
                said.clear()
                plan = None if self.kept else give()
            with suppress(BrokenPipeError):
                child.stdin.close()
        if plan:
            report.ended(kernel, *plan, "".join(said), child.returncode or EX_UNAVAILABLE)
        return child.returncode


class Report:
    """What all lanes say, as KTAP."""

    def __init__(self, files):
        self.number = self.passed = self.failed = self.skipped = 0
        self.failures, self.kept, self.lock = [], [], threading.Lock()
        # What failed tests said, which is shown once more at the end: of a long run often only that is kept.
        self.last = []
        print(f"KTAP version 1\n1..{files}", flush=True)

    def ended(self, kernel, loaded, tests, said, status):
        """A file is through."""
        with self.lock:
            sys.stdout.write(said)
            verdicts = re.findall(r"^    ((?:not )?ok) (\d+) (\S+)( # SKIP)?", said, re.M)
            skipped = sum(bool(skip) for *_, skip in verdicts)
            failures = [f"{name} on {kernel}" for word, _, name, _ in verdicts if word == "not ok"]
            # What the file did not get to has failed, too.
            begun = {name for _, number, name, _ in verdicts if number != "0"}
            missing = [short(test) for test in tests if short(test) not in begun]
            self.number += 1
            self.passed += len(verdicts) - skipped - len(failures)
            self.failed += len(failures) + len(missing)
            self.skipped += skipped
            self.failures += failures + [f"{name} on {kernel}, not run" for name in missing]
            failures += missing
            self.last += [f"# {title(kernel, loaded)}\n{tail}" for tail in
                          re.findall(r"^((?:    # .*\n)*    not ok .*\n)", said, re.M)]
            self.kept += re.findall(rf"^    ({KEPT} .*)", said, re.M)
            word, tail = ("not ok", " # ERROR") if status == EX_UNAVAILABLE else \
                ("not ok" if status or failures else "ok", "")
            print(f"{word} {self.number} {title(kernel, loaded)}{tail}", flush=True)

    def end(self):
        for text in self.last:
            print(text, end="")
        for failure in self.failures:
            print(f"# failed: {failure}")
        print("".join(f"{line}\n" for line in self.kept), end="")
        print(f"{self.passed} passed, {self.failed} failed"
              + (f", {self.skipped} skipped" if self.skipped else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", action="append", metavar="SERIES")
    parser.add_argument("--jobs", type=int, default=3, metavar="N",
                        help="files whose tests run at the same time (default: 3)")
    parser.add_argument("--keep", action="store_true",
                        help="leave the machines of a failed test running")
    parser.add_argument("--lane", help=argparse.SUPPRESS)
    parser.add_argument("--cpus", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--files", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if options.lane:
        wanted = options.files.split(",")
        known = {loaded.__name__: (loaded, tests) for loaded, tests in selected(options.names)
                 if loaded.__name__ in wanted}
        return run_lane(f"lane{options.lane}", options.kernel[0], options.cpus, known,
                        iter(sys.stdin.readline, ""), options.keep)
    queue = Queue(options.kernel or ["7.2", "7.3"], options.names)
    if not queue.files:
        print(f"no test is called {' '.join(options.names)}", file=sys.stderr)
        return 1
    report = Report(queue.files)
    lanes = [Lane(number, queue, options.names, options.keep) for number in range(max(1, options.jobs))]
    with ThreadPoolExecutor(len(lanes)) as pool:
        statuses = list(pool.map(lambda lane: lane.run(report), lanes))
    for kernels, plan in queue.left:
        report.ended(kernels[0], *plan, "", EX_UNAVAILABLE)
    report.end()
    return EX_UNAVAILABLE if EX_UNAVAILABLE in statuses else int(report.failed > 0 or any(statuses))


if __name__ == "__main__":
    sys.exit(main())
