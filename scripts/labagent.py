# SPDX-License-Identifier: GPL-2.0-only
"""Commands in a VM, through the qemu guest agent.

The agent's port is a pair of FIFOs (qemu's "pipe" chardev). Unlike a socket they
are open all the time: between clients the agent need not poll for one, which
costs it 100 ms each. Whoever has a request takes a lock, sends a sync with a
number of its own, then the request; answers before that of the sync belong to
somebody who gave up. When qemu ends, the read end hangs up at once.
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
# The agent captures 16 MiB of output at most, and input passes as one message.
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
        return f"status {self.status}, out {self.out[-500:]!r}, err {self.err[-500:]!r}"


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
        self._request(None, {}, timeout)

    def exec(self, command, timeout=60, input=None, detach=False):
        """Run command, a list, or a string for sh, and wait for its end.

        As with ssh, the end is when nobody holds its output open any more: a
        background process must have its output redirected, or use detach,
        which returns at once and drops the output.
        """
        if isinstance(command, str):
            command = ["/bin/sh", "-c", command]
        if input is not None:
            # The agent spins for ever on input that nobody reads.
            command = ["/bin/sh", "-c", '"$@"; s=$?; cat >/dev/null; exit $s', "sh", *command]
        deadline = time.monotonic() + timeout
        arguments = {
            "path": command[0],
            "arg": list(command[1:]),
            "capture-output": "none" if detach else "separated",
        }
        if input is not None:
            arguments["input-data"] = base64.b64encode(input).decode()
        reply = self._request("guest-exec", arguments)
        if "error" in reply:
            text = reply["error"]["desc"]
            if "execute child process" in text:
                return Result(127, err=(text + "\n").encode())
            raise LabError(f"{self.name}: guest agent: {text}")
        pid = reply["return"]["pid"]
        if detach:
            return Result(0, pid=pid)
        return self._finish(pid, command, deadline)

    def _finish(self, pid, command, deadline):
        start, pause = time.monotonic(), 0.02
        while True:
            reply = self._request("guest-exec-status", {"pid": pid})
            if "error" in reply:
                raise LabError(f"{self.name}: guest agent: {reply['error']['desc']}")
            state = reply["return"]
            if state["exited"]:
                break
            left = deadline - time.monotonic()
            if left <= 0:
                self._kill(pid)
                raise CommandTimeout(f"{self.name}: not finished in time: {' '.join(command)}")
            time.sleep(min(pause, left))
            # Each question costs the guest some time.
            pause = min(pause * 1.5, max(0.1, (time.monotonic() - start) / 10))
        # As a shell tells it.
        status = 128 + state["signal"] if "signal" in state else state["exitcode"]
        out, err = (base64.b64decode(state.get(k, "")) for k in ("out-data", "err-data"))
        if state.get("out-truncated") or state.get("err-truncated"):
            raise LabError(f"{self.name}: output longer than the agent keeps (16 MiB): {' '.join(command)}")
        return Result(status, out, err, pid)

    def _kill(self, pid):
        script = """k() {
            for c in $(cat /proc/$1/task/*/children); do k $c; done
            kill -KILL $1
        }
        k "$0" 2>/dev/null"""
        self._request("guest-exec", {"path": "/bin/sh", "arg": ["-c", script, str(pid)]})

    def _request(self, command, arguments, timeout=REPLY_TIMEOUT):
        """Send command (None: only the sync) and return the agent's reply."""
        deadline = time.monotonic() + timeout
        number = random.getrandbits(48)
        # 0xff ends what a killed client may have left half sent.
        message = b"\xff" + _encode("guest-sync-delimited", {"id": number})
        if command:
            message += _encode(command, arguments)
        try:
            with _Channel(self.name, self.fifo, deadline) as channel:
                channel.send(message)
                while True:
                    line = channel.line()
                    # The agent puts 0xff in front of the answer to a sync.
                    if b"\xff" in line and _decode(line).get("return") == number:
                        break
                return _decode(channel.line()) if command else {}
        except FileNotFoundError:
            raise LabError(f"{self.name}: not running") from None


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


def _encode(command, arguments):
    return json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"


def _decode(line):
    try:
        return json.loads(line.rpartition(b"\xff")[2])
    except ValueError:
        return {}
