# SPDX-License-Identifier: GPL-2.0-only
"""What the processes of locks_hammer.py are doing, and whether they still do anything.

--pause FILE: while FILE is there, they do nothing more. When all of them either pause or
wait for a lock of those who do, FILE.done gets the content of FILE.
"""

import os
import signal
import struct
import time

from poslock import Stop, let_through
from workers import write_whole

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
        write_whole(path + ".done", asked)


def watch(args, running, shared):
    """Wait for all processes, {process id: number}; returns (those that hang, {number: wait
    status} of the others). SIGTERM is passed on to them. Signals must be held back."""
    hung, ended, said, ending = [], {}, 0, False
    while running:
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
                ended[number] = status
                del running[pid]
            elif time.monotonic() - since > args.stuck:
                hung.append({"process": number, "pid": pid, "doing": OPS[op],
                             "seconds": round(time.monotonic() - since, 1),
                             "stack": kernel_stack(pid)})
                # It may be beyond killing, so it is not waited for.
                os.kill(pid, signal.SIGKILL)
                del running[pid]
        try:
            with let_through():
                time.sleep(0.1)
        except Stop:
            ending = True
        if ending:
            # Again and again: an alarm that rings just as one comes takes its place.
            for pid in running:
                os.kill(pid, signal.SIGTERM)
    return hung, ended
