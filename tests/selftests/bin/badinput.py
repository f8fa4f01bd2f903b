#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Feed the control files what they must refuse, and what they must accept.

badinput.py cases       reads a JSON list of {file, data} from stdin and writes
                        each data (latin-1) to its file. Prints
                        a list of {error, read, log, changed}: name of the errno or "", what the
                        same descriptor then reads, lines of the module in the kernel log,
                        and whether failover_status is another than before
badinput.py race COMMANDS
                        writers of that many valid and invalid commands each, beside readers;
                        prints {answers: {"kind errno": count}, log, torn, reads, died,
                        left}. All of their log lines have to fit into the kernel's buffer
badinput.py descriptors what opens, offsets, partial reads and bad addresses do; prints
                        {name: outcome}

Failed expectations are the caller's: this program only tells what it saw.
"""

import ctypes
import errno
import json
import os
import random
import re
import select
import sys
import tempfile
from collections import Counter

from workers import Workers

CONTROL = "/proc/fs/nfsd/"
PREFIX = "nfs_failover: "
STATUS = CONTROL + "failover_status"
FILES = ("failover_status", "floating_ips", "nlm_set_igrace", "nlm_unlock", "resume_ip")
LINE = re.compile(r"(unit|totals)( [a-z_]+=[^ =]+)+")
LIBC = ctypes.CDLL(None, use_errno=True)


class Log:
    """Lines of the module in the kernel log, as they come."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.fd, 0, os.SEEK_END)

    def lines(self):
        found = []
        while True:
            try:
                record = os.read(self.fd, 8192).decode(errors="replace")
            except BlockingIOError:
                return found
            except BrokenPipeError:
                # The ring buffer has gone over what was not read yet.
                continue
            text = record.partition(";")[2].split("\n")[0]
            if text.startswith(PREFIX):
                # The device escapes backslashes, the console does not.
                text = re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), text)
                found.append(text.removeprefix(PREFIX))


def name_of(error):
    return errno.errorcode[error.errno]


def slurp(path, size=1 << 16):
    """All of a file, `size` bytes a read."""
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while part := os.read(fd, size):
            parts.append(part)
        return b"".join(parts).decode()
    finally:
        os.close(fd)


def snapshot():
    """failover_status without the time that is left, and those times."""
    text = slurp(STATUS)
    return re.sub(r"left=\d+", "", text), [int(s) for s in re.findall(r"left=(\d+)", text)]


def changed(before, after):
    """Are these two states more than some time apart?"""
    return before[0] != after[0] or any(
        not 0 <= old - new <= 120 for old, new in zip(before[1], after[1]))


def attempt(path, data):
    """Write, then read from the same descriptor: (errno, text)."""
    try:
        fd = os.open(path, os.O_RDWR)
    except OSError as error:
        return name_of(error), ""
    try:
        try:
            written = os.write(fd, data)
            failed = "" if written == len(data) else f"{written} of {len(data)} bytes"
        except OSError as error:
            failed = name_of(error)
        return failed, os.read(fd, 1 << 16).decode()
    finally:
        os.close(fd)


def as_user(uid, path, flags):
    """The errno of an open by another user."""
    child = os.fork()
    if not child:
        code = 255
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.close(os.open(path, flags))
            code = 0
        except OSError as error:
            code = error.errno
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return errno.errorcode.get(code, f"died: {code}") if code else ""


def cases():
    log, results = Log(), []
    before = snapshot()
    for case in json.load(sys.stdin):
        error, text = attempt(CONTROL + case["file"], case["data"].encode("latin-1"))
        after = snapshot()
        results.append({"error": error, "read": text, "log": log.lines(),
                        "changed": changed(before, after)})
        before = after
    return results


def torn(text):
    """What is wrong with a text of failover_status, None if nothing."""
    lines = text.splitlines()
    if not text.endswith("\n") or not all(map(LINE.fullmatch, lines)):
        return text
    kinds = [line.split()[0] for line in lines]
    if kinds != ["unit"] * (len(lines) - 1) + ["totals"]:
        return text
    return None if f" units={len(lines) - 1} " in lines[-1] + " " else text


def writer(number, count):
    """Sets and ends units of its own and of everybody, and writes what is refused."""
    rng = random.Random(number)
    answers = Counter()
    kinds = {
        "set": lambda n: ("nlm_set_igrace", f"{n} 600\n"),
        "end": lambda n: ("nlm_set_igrace", f"{n} 0\n"),
        "release": lambda n: ("nlm_unlock", f"{n} fence=600\n"),
        "resume": lambda n: ("resume_ip", f"10.9.0.{n} / 600\n"),
        "leave": lambda n: ("resume_ip", f"10.9.0.{n} / 0\n"),
        "bad": lambda n: rng.choice([("nlm_set_igrace", f"{n} x\n"), ("nlm_unlock", f"{n}\0\n"),
                                     ("resume_ip", f"10.9.0.{n} relative\n"),
                                     ("failover_status", f"{n}\n")]),
    }
    for _ in range(count):
        kind = rng.choice(list(kinds))
        # Units 1 to 3 are everybody's.
        unit = rng.choice([1, 2, 3, 10 + number, 20 + number])
        file, text = kinds[kind](unit)
        answers[f"{kind} {attempt(CONTROL + file, text.encode())[0]}"] += 1
    return {"answers": answers}


def reader(size, writing, written):
    """Reads until the last writer has closed its end of the pipe."""
    os.close(written)
    reads, wrong = 0, []
    while not select.select([writing], [], [], 0)[0]:
        text = slurp(STATUS, size)
        reads += 1
        if torn(text):
            wrong.append(text)
    return {"reads": reads, "torn": wrong[:3]}


def race(count):
    log = Log()
    writing, written = os.pipe()
    total = {"answers": Counter(), "torn": [], "reads": 0}
    with tempfile.TemporaryDirectory() as scratch:
        workers = Workers(scratch)
        for number in range(3):
            workers.start(f"writer {number}", writer, number, int(count))
        for size in 1, 4096:
            workers.start(f"reader of {size} bytes", reader, size, writing, written)
        os.close(written)
        reports, total["died"] = workers.finish()
    for said in reports:
        total["answers"].update(said.get("answers", {}))
        total["torn"] += said.get("torn", [])
        total["reads"] += said.get("reads", 0)
    return {**total, "log": log.lines(), "left": slurp(STATUS).splitlines()}


def outcome(function, *args):
    """What a call gives: its result, or the name of the errno."""
    try:
        result = function(*args)
    except OSError as error:
        return name_of(error)
    return result.decode() if isinstance(result, bytes) else result


def raw(call, fd, address):
    """read(2) or write(2) with an address that is not ours."""
    if call(fd, ctypes.c_void_p(address), ctypes.c_size_t(8)) < 0:
        return errno.errorcode[ctypes.get_errno()]
    return ""


def descriptors():
    seen = {}
    for file in FILES:
        path = CONTROL + file
        for flags, word in ((os.O_RDONLY, "r"), (os.O_WRONLY, "w"), (os.O_RDWR, "rw")):
            seen[f"{file} {word} user"] = as_user(65534, path, flags)
            fd = os.open(path, flags)
            seen[f"{file} {word} read"] = outcome(os.read, fd, 1 << 16)
            seen[f"{file} {word} write"] = outcome(os.write, fd, b"x y\n")
            seen[f"{file} {word} bad address"] = raw(LIBC.write, fd, 8)
            os.close(fd)
    attempt(CONTROL + "nlm_set_igrace", b"77 600\n")
    whole = slurp(STATUS)
    seen["whole"] = whole
    seen["1 byte at a time"] = re.sub("left=.*? ", "", slurp(STATUS, 1))
    seen["whole without time"] = re.sub("left=.*? ", "", whole)
    fd = os.open(STATUS, os.O_RDONLY)
    seen["into a bad address"] = raw(LIBC.read, fd, 8)
    first = os.read(fd, 1 << 16)
    seen["past the end"] = outcome(os.pread, fd, 10, len(first))
    seen["far past the end"] = outcome(os.pread, fd, 10, (1 << 63) - 11)
    seen["behind the end"] = outcome(os.read, fd, 10)
    seen["before the start"] = outcome(os.lseek, fd, -1, os.SEEK_SET)
    # The text stays the one the read at 0 saw; the next read at 0 sees the change.
    attempt(CONTROL + "nlm_set_igrace", b"78 600\n")
    seen["tail"] = outcome(os.pread, fd, 1 << 16, 5) == first[5:].decode()
    os.lseek(fd, 0, os.SEEK_SET)
    seen["again"] = outcome(os.read, fd, 1 << 16)
    os.close(fd)
    # The reply to a command belongs to its descriptor, and outlives a refused one.
    fd = os.open(CONTROL + "nlm_unlock", os.O_RDWR)
    seen["before the command"] = outcome(os.read, fd, 4096)
    seen["command"] = outcome(os.write, fd, b"79 fence=600\n")
    seen["reply"] = outcome(os.pread, fd, 4096, 0)
    seen["reply again"] = outcome(os.pread, fd, 4096, 0)
    seen["reply from 6"] = outcome(os.pread, fd, 4096, 6)
    seen["refused command"] = outcome(os.write, fd, b"79 fence=x\n")
    seen["reply after that"] = outcome(os.pread, fd, 4096, 0)
    seen["other descriptor"] = slurp(CONTROL + "nlm_unlock")
    os.close(fd)
    fd = os.open(CONTROL + "nlm_set_igrace", os.O_RDWR)
    seen["set"] = outcome(os.pwrite, fd, b"77 0\n", 1000)
    seen["set again"] = outcome(os.write, fd, b"80 600\n")
    seen["units"] = outcome(os.read, fd, 4096)
    os.close(fd)
    seen["resume_ip"] = slurp(CONTROL + "resume_ip")
    return seen


if __name__ == "__main__":
    functions = {"cases": cases, "race": race, "descriptors": descriptors}
    if len(sys.argv) < 2 or sys.argv[1] not in functions:
        sys.exit(__doc__)
    print(json.dumps(functions[sys.argv[1]](*sys.argv[2:])))
