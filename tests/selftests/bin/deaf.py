#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A name server that never answers: deaf.py. Prints "deaf", and what it is asked: "asked N"."""

import socket
import sys


def main():
    """Count what comes."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", 53))
    print("deaf", flush=True)
    count = 0
    while True:
        sock.recv(4096)
        count += 1
        print(f"asked {count}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
