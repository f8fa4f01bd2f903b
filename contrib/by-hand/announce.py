#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Tell the network segment that an address has moved here, as cluster managers do.

announce.py INTERFACE ADDRESS     gratuitous ARP (RFC 5227) or unsolicited neighbour
                                  advertisement (RFC 4861, 7.2.6), three times
announce.py INTERFACE ADDRESS --wait
                                  the same as soon as the address is there: in an emulated
                                  VM Python takes seconds to start
"""

# What is imported takes an emulated CPU long: ipaddress and pathlib half of all.
import socket
import struct
import sys
import time


def arp(mac, ip):
    return (b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
            + mac + ip + b"\0" * 6 + ip)


def advertisement(mac, ip):
    target = socket.inet_pton(socket.AF_INET6, "ff02::1")
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000) + ip + b"\x02\x01" + mac
    pseudo = ip + target + struct.pack("!II", len(body), 58)
    words = struct.unpack(f"!{(len(pseudo) + len(body)) // 2}H", pseudo + body)
    total = sum(words)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    body = body[:2] + struct.pack("!H", ~total & 0xffff) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + ip + target
    return b"\x33\x33\0\0\0\x01" + mac + b"\x86\xdd" + header + body


def wait_for(family, address):
    """Wait until the address is one of this machine."""
    while True:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, 0))
                return
            except OSError:
                time.sleep(0.01)


def main(interface, address, wait=False):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    ip = socket.inet_pton(family, address)
    with open(f"/sys/class/net/{interface}/address", encoding="ascii") as file:
        mac = bytes.fromhex(file.read().replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((interface, 0))
        if wait:
            print("waiting", flush=True)
            wait_for(family, address)
        for _ in range(3):
            link.send((arp if family == socket.AF_INET else advertisement)(mac, ip))


if __name__ == "__main__":
    if len(sys.argv) - (sys.argv[3:] == ["--wait"]) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
