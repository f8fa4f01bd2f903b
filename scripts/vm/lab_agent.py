# SPDX-License-Identifier: GPL-2.0-only
"""Runs the commands of the lab in a VM, as lab-agent PORT.

The port, /dev/virtio-ports/agent, is a stream of requests and answers, a line of JSON each; an
answer has the `id` of its request. What `do` says:

run     start `argv` with `input` on its standard input (base64), keep what it says
start   start `argv` in a session of its own; its output goes to the files `out` and `err`, and
        when it has ended, its status to `rc`; answers {"pid"} at once
talk    open the file `path`, write `text` if there is one, and read to the end
read    the content of files in /run (paths), null for those that are not there
wait    for the `job` that a request has begun
kill    the job, and all processes that it has started
signal  send the signal `name` to the process group `group`

run, talk and wait answer after `seconds` at the latest, with {"job"} if it is not over yet; then
{"status", "out", "err"}. As with ssh, a command is over when nobody holds its output open.

An emulated CPU takes a second to start Python and import what a program needs, so programs in
/lab/bin (`argv` is python3 /lab/bin/NAME.py ..., or python3 -c TEXT ...) are run by a fork of this
process, which has imported that before. Nothing else is different: it is a process of its own,
called python3.
"""

import atexit
import binascii
import builtins
import gc
import importlib.machinery
import io
import json
import os
import select
import signal
import sys
import threading
import time
import types

BIN = "/lab/bin"
CHUNK = 1 << 16
PIPE_SIZE = 1 << 20
# Python ignores them, other programs expect them as they are by default.
DEFAULT = [signal.SIGPIPE, signal.SIGXFSZ]


def encoded(data):
    return binascii.b2a_base64(data, newline=False).decode()


def complain():
    """Print the traceback of what is being handled, but of nothing that is ours."""
    # Seldom needed, and it imports much.
    import traceback        # pylint: disable=import-outside-toplevel
    kind, error, trace = sys.exc_info()
    traceback.print_exception(kind, error, trace.tb_next)


def status_of(code):
    """A wait status as a shell tells it."""
    code = os.waitstatus_to_exitcode(code)
    return code if code >= 0 else 128 - code


class Programs:
    """Python programs that are run without starting Python."""

    def __init__(self):
        self.code = {}

    def find(self, argv):
        """(code, argv, first of sys.path) of a program for us; None if it is not for us."""
        if argv[0] != "python3" or len(argv) < 2:
            return None
        if argv[1] == "-c" and len(argv) > 2:
            return lambda: compile(argv[2], "<string>", "exec"), ["-c", *argv[3:]], ""
        directory, name = os.path.split(argv[1])
        if directory != BIN or not name.endswith(".py") or not os.path.exists(argv[1]):
            return None
        return lambda: self._load(name[:-3]), argv[1:], BIN

    def _load(self, name):
        return importlib.machinery.PathFinder.find_spec(name, [BIN]).loader.get_code(name)

    def prepare(self, argv):
        """Import what a program in BIN imports: its forks find that done. It has a main of its own."""
        name = os.path.basename(argv[1])[:-3]
        if argv[1] == "-c" or name in self.code:
            return
        self.code[name] = None
        try:
            __import__(name)
            self.code[name] = self._load(name)
        except Exception:       # pylint: disable=broad-except
            # The program will say it.
            return
        gc.collect()
        gc.freeze()

    def run(self, code, argv, first):
        """Be that program; returns the exit status."""
        with open("/proc/self/comm", "w", encoding="ascii") as comm:
            comm.write("python3")
        words = {"encoding": "utf-8", "errors": "surrogateescape", "closefd": False}
        sys.stdin = sys.__stdin__ = open(0, **words)
        sys.stdout = sys.__stdout__ = open(1, "w", **words)
        sys.stderr = sys.__stderr__ = open(2, "w", buffering=1, **{**words, "errors": "backslashreplace"})
        sys.argv, sys.path[0] = argv, first
        main = types.ModuleType("__main__")
        main.__dict__["__builtins__"] = builtins
        if first:
            main.__file__ = argv[0]
        sys.modules["__main__"] = main
        gc.enable()
        try:
            name = os.path.basename(argv[0])[:-3]
            exec(self.code.get(name) or code(), main.__dict__)      # pylint: disable=exec-used
            status = 0
        except SystemExit as end:
            status = end.code
            if status is None:
                status = 0
            elif not isinstance(status, int):
                print(status, file=sys.stderr)
                status = 1
        except KeyboardInterrupt:
            complain()
            status = 130
        except BaseException:   # pylint: disable=broad-except
            complain()
            status = 1
        threading._shutdown()   # pylint: disable=protected-access
        atexit._run_exitfuncs()     # pylint: disable=protected-access
        try:
            sys.stdout.flush()
        except OSError:
            status = 120
        return status


class Job:
    """A command, or a file that is talked to, until somebody has fetched what came of it."""

    def __init__(self):
        self.status, self.files = None, {}
        self.parts = {"out": [], "err": []}

    def over(self):
        return self.status is not None and not self.files

    def result(self):
        return {"status": self.status, **{name: encoded(b"".join(parts))
                                          for name, parts in self.parts.items()}}


class Agent:
    def __init__(self, port):
        self.port = os.open(port, os.O_RDWR)
        self.poll = select.poll()
        self.handlers = {}
        self.programs, self.jobs, self.number = Programs(), {}, 0
        self.left = []              # of a line
        self.waiting = None         # (request id, number of the job, until when)
        self.talked = []
        self.wake = os.pipe()
        self.null = os.open("/dev/null", os.O_RDWR)
        self.watch(self.port, select.POLLIN, self.hear)
        self.watch(self.wake[0], select.POLLIN, self.hear_talk)

    def watch(self, fd, events, handler):
        self.handlers[fd] = handler
        self.poll.register(fd, events)

    def forget(self, fd):
        del self.handlers[fd]
        self.poll.unregister(fd)
        os.close(fd)

    def serve(self):
        while True:
            left = None
            if self.waiting:
                number, job, end = self.waiting
                left = 1000 * (end - time.monotonic())
                if self.jobs[job].over():
                    self.waiting = None
                    self.answer(number, self.jobs.pop(job).result())
                    continue
                if left <= 0:
                    self.waiting = None
                    self.answer(number, {"job": job})
                    continue
            for fd, _ in self.poll.poll(left):
                if fd in self.handlers:
                    self.handlers[fd]()

    # The port

    def hear(self):
        data = os.read(self.port, CHUNK)
        if not data:
            # Nobody is at the other end.
            time.sleep(0.1)
        *lines, rest = data.split(b"\n")
        for line in lines:
            line = b"".join([*self.left, line])
            self.left = []
            # Of a client that was killed only half of a line may have come.
            try:
                request = json.loads(line)
            except ValueError:
                continue
            self.obey(request)
        self.left.append(rest)

    def answer(self, number, values):
        data = memoryview(json.dumps({"id": number, **values}).encode() + b"\n")
        while data:
            data = data[os.write(self.port, data):]

    def obey(self, request):
        number = request.pop("id")
        # Whoever asked before has given up.
        self.waiting = None
        try:
            answer = getattr(self, "do_" + request.pop("do"))(**request)
        except (OSError, KeyError, ValueError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        if isinstance(answer, dict):
            self.answer(number, answer)
        else:
            job, seconds = answer
            self.waiting = number, job, time.monotonic() + seconds

    def add(self, job):
        self.number += 1
        self.jobs[self.number] = job
        return self.number

    # Requests

    def do_run(self, argv, seconds, input=None):
        job = Job()
        stdin, feed = self.null, None
        if input is not None:
            stdin, feed = os.pipe()
        out, err = os.pipe(), os.pipe()
        try:
            pid = self.begin(argv, [stdin, out[1], err[1]], session=False)
        except FileNotFoundError as error:
            for fd in *out, *err, *((stdin, feed) if feed else ()):
                os.close(fd)
            job.status = 127
            job.parts["err"].append(f"{error.strerror}: {argv[0]}\n".encode())
            return self.add(job), seconds
        for fd in out[1], err[1], *((stdin,) if feed else ()):
            os.close(fd)
        for name, fd in ("out", out[0]), ("err", err[0]):
            self.keep(job, name, fd)
        if feed:
            self.feed(job, feed, binascii.a2b_base64(input))
        job.pid = pid
        self.reap(pid, lambda status: setattr(job, "status", status))
        return self.add(job), seconds

    def do_start(self, argv, out="/dev/null", err="/dev/null", rc=None):
        if rc and os.path.exists(rc):
            os.unlink(rc)
        fds = [self.null] + [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                             for path in (out, err)]
        try:
            pid = self.begin(argv, fds, session=True)
        finally:
            for fd in fds[1:]:
                os.close(fd)

        def ended(status):
            if rc:
                with open(rc + ".new", "w", encoding="ascii") as file:
                    file.write(f"{status}\n")
                os.rename(rc + ".new", rc)
        self.reap(pid, ended)
        return {"pid": pid}

    def do_talk(self, path, seconds, text=None):
        job = Job()
        # The kernel may let it wait, and others should not.
        threading.Thread(target=self.talk, args=(job, path, text), daemon=True).start()
        return self.add(job), seconds

    def do_read(self, paths):
        found = []
        for path in paths:
            try:
                with open(path, "rb", buffering=0) as file:
                    found.append(encoded(file.read()))
            except FileNotFoundError:
                found.append(None)
        return {"found": found}

    def do_wait(self, job, seconds):
        if job not in self.jobs:
            raise ValueError(f"no job {job}")
        return job, seconds

    def do_kill(self, job):
        def kill(pid):
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                        for child in file.read().split():
                            kill(int(child))
                os.kill(pid, signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass
        job = self.jobs[job]
        if hasattr(job, "pid") and job.status is None:
            kill(job.pid)
        return {}

    def do_signal(self, group, name):
        try:
            os.killpg(group, getattr(signal, "SIG" + name))
        except ProcessLookupError:
            pass
        return {}

    # Processes

    def begin(self, argv, fds, session):
        """Start a program with these as its first file descriptors; returns its process id."""
        program = self.programs.find(argv)
        if not program:
            return os.posix_spawnp(
                argv[0], argv, os.environ, setsid=session, setsigdef=DEFAULT,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds)])
        self.programs.prepare(argv)
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            if session:
                os.setsid()
            for number, fd in enumerate(fds):
                os.dup2(fd, number)
            os.closerange(3, max([*self.handlers, *fds, *self.wake, self.null, self.port]) + 64)
            status = self.programs.run(*program)
        except BaseException:       # pylint: disable=broad-except
            complain()
        finally:
            os._exit(status & 0xff)

    def reap(self, pid, ended):
        """Call ended(status) when the process has ended."""
        fd = os.pidfd_open(pid)

        def ready():
            self.forget(fd)
            ended(status_of(os.waitpid(pid, 0)[1]))
        self.watch(fd, select.POLLIN, ready)

    def keep(self, job, name, fd):
        """Read what a program says until nobody has the other end open."""
        job.files[fd] = True

        def ready():
            data = os.read(fd, CHUNK)
            if data:
                job.parts[name].append(data)
            else:
                del job.files[fd]
                self.forget(fd)
        self.watch(fd, select.POLLIN, ready)

    def feed(self, job, fd, data):
        """Give a program its input."""
        os.set_blocking(fd, False)
        view = [memoryview(data)]

        def ready():
            try:
                view[0] = view[0][os.write(fd, view[0][:CHUNK]):]
            except BlockingIOError:
                return
            except BrokenPipeError:
                # It does not want to know.
                view[0] = b""
            if not view[0]:
                self.forget(fd)
        self.watch(fd, select.POLLOUT, ready)

    # Files

    def talk(self, job, path, text):
        """In a thread of its own."""
        out, err = [], b""
        try:
            with io.FileIO(path, "r" if text is None else "r+") as file:
                if text is not None:
                    file.write(text.encode())
                while data := file.read(PIPE_SIZE):
                    out.append(data)
        except OSError as error:
            err = f"{error.strerror}\n".encode()
        self.talked.append((job, out, err))
        os.write(self.wake[1], b"t")

    def hear_talk(self):
        os.read(self.wake[0], 1)
        job, job.parts["out"], err = self.talked.pop(0)
        job.parts["err"], job.status = [err], int(bool(err))


def main():
    gc.disable()
    sys.path[0] = BIN
    agent = Agent(sys.argv[1])
    gc.collect()
    gc.freeze()
    agent.serve()
