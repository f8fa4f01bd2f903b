# SPDX-License-Identifier: GPL-2.0-only
"""What it costs a server that a client has very many files open: to let go of them, and to take them over."""

import time

from cluster import CONTROL, LabError
from nfs4_moves import S1, STEPS

# nfsd goes through all of them for each one that it revokes.
LIMIT = 3600


def measure(moves, opens):
    """Seconds of unlock_filesystem on a stock server, and of each part of a move with the module."""
    result = {"opens": opens, "wrong": []}
    for ours in False, True:
        moves.boot()
        moves.serve(ours, False)
        moves.cluster.mount("c1", S1, vers="4.2")
        holder = moves.cluster.spawn("c1", "locks.py", "hold", "/mnt/s1", opens)
        holder.expect(f"held {opens}", LIMIT)
        moves.say(f"{opens} files are open and locked, now {'ours' if ours else 'stock'}")
        if ours:
            result.update(move(moves, opens, holder, result["wrong"]))
        else:
            began = time.monotonic()
            said = moves.cluster["a"].talk(f"{CONTROL}/unlock_filesystem", f"{S1.path}\n", timeout=LIMIT)
            if said.status:
                raise LabError(f"unlock_filesystem: {said}")
            result["unlock_filesystem"] = time.monotonic() - began
            left = len(moves.cluster.locks("a", S1))
            if left:
                raise LabError(f"unlock_filesystem has left {left} locks")
        moves.say(f"{opens} opens: {result}")
    return result


def move(moves, opens, holder, wrong):
    cluster = moves.cluster
    began = time.monotonic()
    cluster.ctl("a", "release", "s1", "--address", "--unexport", "--umount", "--fence", LIMIT, timeout=LIMIT)
    released = time.monotonic()
    cluster.ctl("b", "takeover", "s1", *STEPS, "--grace", LIMIT, timeout=LIMIT)
    taken = time.monotonic()
    # The recovery ends when the client is through with its reclaims. Asked so often that it does not matter.
    while moves.unit("b")["phase"] == "recovering":
        time.sleep(0.5)
        if time.monotonic() - taken > LIMIT:
            raise LabError(f"the recovery does not end: {moves.unit('b')}")
    reclaimed = time.monotonic()
    holder.signal("USR1")
    said = holder.expect("checked", LIMIT)
    there = len(cluster.locks("b", S1))
    if (said, there) != (f"checked {opens} errors 0", opens):
        wrong.append(f"{there} of {opens} locks are there, the application has {said}")
    return {"release": released - began, "takeover": taken - released, "reclaims": reclaimed - taken}
