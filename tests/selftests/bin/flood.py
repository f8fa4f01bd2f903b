#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Floods whoever has a UDP socket at an address, on whatever port.

  flood.py ADDRESS SECONDS [SENDERS]

The datagrams are short, many in a packet, which the kernel takes apart where they are received:
faster than one by one, as a fast network would be. Prints "flooding PORT" when it has begun. IPv4.
"""

import os
import socket
import sys
import time
from pathlib import Path

UDP_SEGMENT, SIZE, PIECES = 103, 32, 60


def port_of(address):
    """The port of the first socket at that address."""
    wanted = socket.inet_aton(address)[::-1].hex().upper()
    while True:
        for line in Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]:
            found, port = line.split()[1].split(":")
            if found == wanted:
                return int(port, 16)
        time.sleep(0.01)


def flood(address, port, end):
    """Send as fast as possible."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, SIZE)
    data = bytes(SIZE * PIECES)
    while time.monotonic() < end:
        for _ in range(100):
            try:
                sock.sendto(data, (address, port))
            except OSError:
                pass


def main(address, seconds, senders="2"):
    """Flood from several processes."""
    end = time.monotonic() + float(seconds)
    port = port_of(address)
    print(f"flooding {port}", flush=True)
    for _ in range(int(senders) - 1):
        if not os.fork():
            break
    flood(address, port, end)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
