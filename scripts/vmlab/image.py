# SPDX-License-Identifier: GPL-2.0-only
"""The memory of a VM that has booted and is no node yet.

A boot takes an emulated CPU six to nine seconds, to go on from such an image two. There is an image
for each kind of VM: kernel, size, disks. It is true as long as nothing has been written to a disk,
which scripts/vm/ sees to; it is made when it is needed and what it was made of has changed.

What nodes of one image would share and machines do not, they get when they become nodes: the time,
their names and addresses, and randomness (Node._identify).
"""

import fcntl
import json
import os
import socket
import time
import zlib

from .agent import LabError

# The counter of the CPU, in kHz, is measured anew each time.
KHZ_TOLERANCE = 0.005
MIGRATION_TIMEOUT = 120


def _changed(files):
    """When files were last written; files: their names."""
    return {str(file): os.stat(file).st_mtime_ns if os.path.exists(file) else None for file in files}


class Image:
    """In build/vm/booted; `path` is what qemu begins with."""

    def __init__(self, directory, kind, files, khz):
        """kind: what it is of, as text; files: what is in memory comes from these; khz: as the kernel is told."""
        self.about = {"kind": kind, "files": _changed(files), "khz": khz}
        self.path = directory / f"{zlib.crc32(kind.encode()):08x}.memory"
        self.note = self.path.with_suffix(".json")

    def usable(self):
        """Is it there, of just this?"""
        try:
            about = json.loads(self.note.read_text())
        except (FileNotFoundError, ValueError):
            return False
        close = abs(about.pop("khz") / self.about["khz"] - 1) < KHZ_TOLERANCE
        return close and self.path.exists() and about | {"khz": self.about["khz"]} == self.about

    def forget(self):
        """It is of no use."""
        self.note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def make(self, boot):
        """Make it with boot(), which boots such a VM and returns where qemu's monitor is: directory, name
        of a socket. Does nothing if somebody else made it meanwhile."""
        self.path.parent.mkdir(exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.usable():
                return
            self.forget()
            self._tidy()
            new = self.path.with_suffix(".new")
            try:
                _save(*boot(), new)
                with open(new, "rb") as file:
                    os.fsync(file.fileno())
                new.replace(self.path)
            finally:
                new.unlink(missing_ok=True)
            self.note.write_text(json.dumps(self.about))

    def _tidy(self):
        """Others that can never be used again are gone."""
        for note in self.path.parent.glob("*.json"):
            try:
                files = json.loads(note.read_text())["files"]
            except (FileNotFoundError, ValueError, KeyError):
                files = None
            if files is None or files != _changed(files):
                note.unlink(missing_ok=True)
                note.with_suffix(".memory").unlink(missing_ok=True)


def _save(directory, monitor, path):
    """Have the qemu at a monitor write its memory to a file."""
    deadline = time.monotonic() + MIGRATION_TIMEOUT
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(MIGRATION_TIMEOUT)
        # The path of a socket may have 107 characters.
        here = os.open(directory, os.O_PATH)
        try:
            link.connect(f"/proc/self/fd/{here}/{monitor}")
        finally:
            os.close(here)
        with link.makefile("rw", encoding="utf-8") as lines:
            def ask(command, **arguments):
                lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
                lines.flush()
                while True:
                    reply = json.loads(lines.readline() or '{"error": {"desc": "qemu died"}}')
                    if "error" in reply:
                        raise LabError(f"qemu: {command}: {reply['error']['desc']}")
                    if "return" in reply:
                        return reply["return"]
            lines.readline()        # of greeting
            ask("qmp_capabilities")
            ask("migrate-set-parameters", **{"max-bandwidth": 1 << 34})
            ask("migrate", uri=f"file:{path}")
            while (said := ask("query-migrate"))["status"] != "completed":
                if said["status"] in ("failed", "cancelled") or time.monotonic() > deadline:
                    raise LabError(f"qemu does not save its memory to {path}: {said}")
                time.sleep(0.05)
