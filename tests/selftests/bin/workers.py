# SPDX-License-Identifier: GPL-2.0-only
"""Processes that report to the one that has started them: all of it, or why there is nothing.

    workers = Workers(directory)
    workers.start("reader 1", function, *arguments)
    reports, died = workers.finish()

A report is what the function returns, as JSON. `died` are sentences, which begin with the name.
"""

import json
import os
import signal
import sys
import traceback

from poslock import held_back


def write_whole(path, text):
    """Whoever looks finds all of it, or what was there before."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


def how(status):
    """A wait status in words."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


class Workers:
    """Some processes; their reports are files of a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.running, self.names = {}, []       # {process id: number}, name of each number

    def start(self, name, function, *arguments):
        """In the process signals are held back, except where it lets them through."""
        number = len(self.names)
        with held_back():
            pid = os.fork()
            if not pid:
                self._work(number, name, function, arguments)
        self.names.append(name)
        self.running[pid] = number

    def _path(self, number):
        return os.path.join(self.directory, f"report{number}")

    def _work(self, number, name, function, arguments):
        status = 1
        try:
            try:
                said = {"report": function(*arguments)}
                status = 0
            except BaseException as error:      # pylint: disable=broad-except
                print(f"{name}:", file=sys.stderr)
                traceback.print_exc()
                sys.stderr.flush()
                said = {"died": f"{type(error).__name__}: {error}"}
            write_whole(self._path(number), json.dumps(said))
        finally:
            os._exit(status)

    def report(self, number, status):
        """(what an ended process has said, None), or (None, what became of it)."""
        name = self.names[number]
        try:
            with open(self._path(number), encoding="utf-8") as file:
                said = json.load(file)
        except FileNotFoundError:
            return None, f"{name} left no report: {how(status)}"
        if "died" in said:
            return None, f"{name} died: {said['died']}"
        return said["report"], None

    def finish(self):
        """Wait for all of them; returns (reports, died)."""
        reports, died = [], []
        for pid, number in self.running.items():
            report, why = self.report(number, os.waitpid(pid, 0)[1])
            if why:
                died.append(why)
            else:
                reports.append(report)
        self.running = {}
        return reports, died
