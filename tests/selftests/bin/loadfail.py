#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Loading the module where it cannot work, and unloading it while it is needed.

loadfail.py symbols SYMBOL...   load it once for each SYMBOL with that name spoilt in the
                                module, as if the kernel had no such function; prints
                                {SYMBOL: {error, hooked, files, loaded}}
loadfail.py ftrace SYMBOL...    the same for a kernel whose ftrace is switched off
loadfail.py busy                unload it while a control file is open, and while a unit is
                                active; prints {what: errno of the unload}
loadfail.py here SYMBOL...      what is there of the module: {hooked, files, loaded}
"""

import json
import os
import struct
import sys
import time
from pathlib import Path

from kmod import FILES, NFSD, hooked, load, loaded, mount, new_netns, ours, outcome, umount, unload

KO = Path("/lab/nfs_failover.ko")
SPOILT = Path("/run/spoilt.ko")
OTHER = "/run/load/busy"


def rodata(elf):
    """Where the read-only data of a module is: (offset, size) of sections."""
    offset, = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, offset + n * size) for n in range(count)]
    strings = headers[names][4]
    for name, _, _, _, start, length in headers:
        if elf.startswith(b".rodata", strings + name):
            yield start, length


def spoil(elf, symbol, symbols):
    """The module with another last letter of that symbol; imports are not touched, nor others of symbols
    that end like it."""
    elf, name, found = bytearray(elf), symbol.encode() + b"\0", 0
    longer = tuple(other.encode() for other in symbols if other != symbol and other.endswith(symbol))
    for start, length in list(rodata(elf)):
        at = elf.find(name, start, start + length)
        while at >= 0:
            last = at + len(name) - 1
            if not elf[:last].endswith(longer):
                elf[last - 1:last] = b"Z"
                found += 1
            at = elf.find(name, at + 1, start + length)
    if not found:
        sys.exit(f"the module does not name {symbol}")
    return elf


def state(symbols):
    return {"hooked": hooked(symbols), "files": sorted(ours(NFSD)), "loaded": loaded()}


def try_load(path, symbols):
    error = outcome(load, str(path))
    return {"error": error, **state(symbols)}


def missing(*symbols):
    good, seen = KO.read_bytes(), {}
    for symbol in symbols:
        SPOILT.write_bytes(spoil(good, symbol, symbols))
        seen[symbol] = try_load(SPOILT, symbols)
    return seen


def ftrace(*symbols):
    switch = Path("/proc/sys/kernel/ftrace_enabled")
    switch.write_text("0\n")
    try:
        return try_load(KO, symbols)
    finally:
        switch.write_text("1\n")


def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def within(seconds, function):
    """The outcome of a function that may be busy for some time."""
    deadline = time.monotonic() + seconds
    while (error := outcome(function)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return error


def busy():
    seen = {}
    load()
    with new_netns():
        mount(OTHER)
    for place in (NFSD, OTHER):
        for file in sorted(FILES):
            fd = os.open(f"{place}/{file}", os.O_RDONLY)
            seen[f"{place}/{file} open"] = outcome(unload)
            os.close(fd)
            seen[f"{place}/{file} closed"] = outcome(unload)
            load()
    fd = os.open(f"{NFSD}/failover_status", os.O_RDONLY)
    seen["still all there"] = sorted(ours(NFSD)) == sorted(FILES) and bool(os.read(fd, 10))
    os.close(fd)
    for kind, start, end in (("recovering", (f"{NFSD}/nlm_set_igrace", b"1234 600\n"), b"1234 0\n"),
                             ("by path", (f"{NFSD}/resume_ip", b"10.9.9.9 / 600\n"),
                              b"10.9.9.9 / 0\n"),
                             ("elsewhere", (f"{OTHER}/nlm_set_igrace", b"1234 600\n"),
                              b"1234 0\n")):
        write(*start)
        seen[f"{kind} active"] = outcome(unload)
        write(start[0], end)
        seen[f"{kind} ended"] = outcome(unload)
        load()
    write(f"{NFSD}/nlm_unlock", b"1234 fence=1\n")
    seen["released active"] = outcome(unload)
    seen["released over"] = within(30, unload)
    load()
    # The namespace goes with the last mount, and its units with it.
    write(f"{OTHER}/nlm_set_igrace", b"1234 600\n")
    umount(OTHER)
    seen["namespace gone"] = within(30, unload)
    return seen


if __name__ == "__main__":
    functions = {"symbols": missing, "ftrace": ftrace, "busy": busy,
                 "here": lambda *symbols: state(symbols)}
    if len(sys.argv) < 2 or sys.argv[1] not in functions:
        sys.exit(__doc__)
    print(json.dumps(functions[sys.argv[1]](*sys.argv[2:])))
