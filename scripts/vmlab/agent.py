# SPDX-License-Identifier: GPL-2.0-only
"""Commands in a VM, through scripts/vm/lab-agent.

The agent's port is a pair of FIFOs (qemu's "pipe" chardev). Unlike a socket they
are open all the time, also between clients. Whoever has a request takes a lock, and
sends it with a number of its own; answers with another number belong to somebody who
gave up. Who waits for the end of a command lets the lock go now and then. When qemu
ends, the read end hangs up at once.
"""

import base64
import fcntl
import json
import os
import random
import select
import time

# One answer to a request; the agent itself answers at once, so this is for a
# machine that is busy with something else.
REPLY_TIMEOUT = 60
# How long the agent waits for the end of a command before it answers that it goes on: a tenth of the
# time that it took so far, but this at least and at most.
PATIENCE = 0.25, 2
# Input and output pass as one message each.
CHUNK = 4 << 20


class LabError(Exception):
    """The lab failed, not the command."""


class CommandTimeout(LabError):
    """The command did not end in time; it was killed."""


class Result:
    """What a command left: status, out, err (bytes)."""

    def __init__(self, status, out=b"", err=b"", pid=None):
        self.status, self.out, self.err, self.pid = status, out, err, pid

    @property
    def text(self):
        return self.out.decode(errors="replace").strip()

    def __repr__(self):
        # A command says first what it looked at, and last what is the case.
        out = self.out if len(self.out) < 4000 else self.out[:2000] + b" [...] " + self.out[-2000:]
        return f"status {self.status}, out {out!r}, err {self.err[-500:]!r}"


class Agent:
    def __init__(self, directory, name):
        self.name = name
        self.fifo = os.path.join(directory, name + ".agent")

    def create(self):
        for end in ".in", ".out":
            if os.path.exists(self.fifo + end):
                os.unlink(self.fifo + end)
            os.mkfifo(self.fifo + end, 0o600)

    def wait(self, timeout):
        """Wait until the agent answers."""
        self._request("read", timeout=timeout, paths=[])

    def exec(self, command, timeout=60, input=None, detach=False):
        """Run command, a list, or a string for sh, and wait for its end.

        As with ssh, the end is when nobody holds its output open any more: a
        background process must have its output redirected, or use detach,
        which returns at once and drops the output.
        """
        argv = _argv(command)
        if detach:
            return Result(0, pid=self.start(argv))
        given = {} if input is None else {"input": base64.b64encode(input).decode()}
        return self._finish("run", timeout, " ".join(argv), argv=argv, **given)

    def start(self, command, **files):
        """Start command in a session of its own; returns its process id.

        out, err, rc: files of the VM for its output, and, when it has ended, its exit status.
        """
        return self._request("start", argv=_argv(command), **files)["pid"]

    def talk(self, path, text=None, timeout=60):
        """Open a file of the VM, write text if there is any, and read to the end; status is 1 if the
        kernel refuses, which err says."""
        given = {} if text is None else {"text": text}
        return self._finish("talk", timeout, path, path=path, **given)

    def read(self, *paths):
        """What is in files that are below /run, as text; None for those that are not there."""
        found = self._request("read", paths=paths)["found"]
        return [None if text is None else base64.b64decode(text).decode(errors="replace")
                for text in found]

    def signal(self, group, name):
        """Send a signal to a process group."""
        self._request("signal", group=group, name=name)

    def _finish(self, what, timeout, name, **arguments):
        began = time.monotonic()
        deadline = began + timeout
        reply = self._request(what, seconds=min(PATIENCE[0], timeout), **arguments)
        while "job" in reply:
            left = deadline - time.monotonic()
            if left <= 0:
                self._request("kill", job=reply["job"])
                raise CommandTimeout(f"{self.name}: not finished in time: {name}")
            # For those who want the port meanwhile.
            time.sleep(0.03)
            patience = min(max(PATIENCE[0], (time.monotonic() - began) / 10), PATIENCE[1])
            reply = self._request("wait", job=reply["job"], seconds=min(patience, left))
        out, err = (base64.b64decode(reply[k]) for k in ("out", "err"))
        return Result(reply["status"], out, err)

    def _request(self, what, timeout=REPLY_TIMEOUT, **arguments):
        """Send a request and return the agent's reply."""
        deadline = time.monotonic() + timeout
        number = random.getrandbits(48)
        # An empty line ends what a killed client may have left half sent.
        message = b"\n" + json.dumps({"id": number, "do": what, **arguments}).encode() + b"\n"
        try:
            with _Channel(self.name, self.fifo, deadline) as channel:
                channel.send(message)
                while True:
                    reply = _decode(channel.line())
                    if reply.get("id") == number:
                        break
        except FileNotFoundError:
            raise LabError(f"{self.name}: not running") from None
        if "error" in reply:
            raise LabError(f"{self.name}: agent: {reply['error']}")
        return reply


class _Channel:
    """Both FIFOs, locked."""

    def __init__(self, name, fifo, deadline):
        self.name, self.fifo, self.deadline = name, fifo, deadline
        self.buffer = b""

    def __enter__(self):
        self.out = os.open(self.fifo + ".out", os.O_RDONLY | os.O_NONBLOCK)
        try:
            self.input = os.open(self.fifo + ".in", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            os.close(self.out)
            # Nobody reads: qemu is gone.
            raise LabError(f"{self.name}: VM is not running") from None
        try:
            self._lock()
        except LabError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        os.close(self.input)
        os.close(self.out)

    def _lock(self):
        pause = 0.001
        while True:
            try:
                return fcntl.flock(self.out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._wait(None, 0, pause)
                pause = min(pause * 2, 0.02)

    def _wait(self, fd, events, limit=None):
        """Wait for fd, or for limit; notice the end of qemu and of our time."""
        poll = select.poll()
        if fd is not None:
            poll.register(fd, events)
        # Without input, only hanging up is reported.
        if fd != self.out:
            poll.register(self.out, 0)
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise LabError(f"{self.name}: guest agent does not answer")
        for _, seen in poll.poll(1000 * min(left, limit or left)):
            if seen & (select.POLLHUP | select.POLLERR) and not seen & select.POLLIN:
                raise LabError(f"{self.name}: VM died")

    def send(self, data):
        view = memoryview(data)
        while view:
            self._wait(self.input, select.POLLOUT)
            try:
                view = view[os.write(self.input, view):]
            except BlockingIOError:
                pass
            except BrokenPipeError:
                raise LabError(f"{self.name}: VM died") from None

    def line(self):
        parts = [self.buffer]
        while b"\n" not in parts[-1]:
            self._wait(self.out, select.POLLIN)
            try:
                data = os.read(self.out, 1 << 20)
            except BlockingIOError:
                continue
            if not data:
                raise LabError(f"{self.name}: VM died")
            parts.append(data)
        line, _, self.buffer = b"".join(parts).partition(b"\n")
        return line


def _argv(command):
    return ["/bin/sh", "-c", command] if isinstance(command, str) else [str(word) for word in command]


def _decode(line):
    try:
        return json.loads(line)
    except ValueError:
        return {}
