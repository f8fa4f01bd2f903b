# SPDX-License-Identifier: GPL-2.0-only
"""What the processes of locks_hammer.py are doing, and whether they still do anything.

--pause FILE: while FILE is there, they do nothing more. When all of them either pause or
wait for a lock of those who do, FILE.done gets the content of FILE.
"""

import os
import signal
import struct
import time

from poslock import Stop

OPS = ("idle", "open", "lock", "wait", "test", "unlock", "token", "pause", "cleanup")
SLOT = struct.Struct("dIQ")             # since when, index into OPS, steps done


def set_slot(shared, number, op, steps):
    """A copy, as pack_into() would clear the slot first: a process caught there would seem
    to hang since time 0."""
    at = SLOT.size * number
    shared[at:at + SLOT.size] = SLOT.pack(time.monotonic(), OPS.index(op), steps)


def get_slot(shared, number):
    return SLOT.unpack_from(shared, SLOT.size * number)


def kernel_stack(pid):
    try:
        with open(f"/proc/{pid}/stack", encoding="ascii") as stack:
            return [line.split()[1] for line in stack]
    except OSError:
        return []


def answer_pause(path, doing):
    """Say so if the pause that somebody asked for has come."""
    try:
        with open(path, encoding="ascii") as file:
            asked = file.read()
    except FileNotFoundError:
        return
    # Who waits for a lock of somebody who pauses will not come.
    if asked and all(OPS[op] in ("pause", "wait") for op in doing):
        with open(path + ".done", "w", encoding="ascii") as file:
            file.write(asked)


def watch(args, running, shared):
    """Wait for all processes; returns (those that hang, number of those that broke)."""
    hung, broken, said = [], 0, 0
    while running:
        try:
            if args.pause:
                answer_pause(args.pause, [get_slot(shared, n)[1] for n in running.values()])
            steps = min((get_slot(shared, n)[2] for n in running.values() if n >= args.keepers),
                        default=0)
            if steps > said:
                said = steps
                print("steps", steps, flush=True)
            for pid, number in list(running.items()):
                since, op, _ = get_slot(shared, number)
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    broken += status != 0
                    del running[pid]
                elif time.monotonic() - since > args.stuck:
                    hung.append({"process": number, "pid": pid, "doing": OPS[op],
                                 "seconds": round(time.monotonic() - since, 1),
                                 "stack": kernel_stack(pid)})
                    # It may be beyond killing, so it is not waited for.
                    os.kill(pid, signal.SIGKILL)
                    del running[pid]
            time.sleep(0.1)
        except Stop:
            for pid in running:
                os.kill(pid, signal.SIGTERM)
    return hung, broken
