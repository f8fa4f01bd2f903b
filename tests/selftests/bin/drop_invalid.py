#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Drop what connection tracking takes for invalid, coming in ("ct state invalid drop").

nft(8) may not be installed where tests run, so this speaks its protocol.
"""

import socket
import struct

INET, LOCAL_IN, INVALID, NOT_EQUAL, DROP = 1, 1, 1, 1, 0
REQUEST, ACK, CREATE, APPEND = 1, 4, 0x400, 0x800
BEGIN, END, TABLE, CHAIN, RULE = 16, 17, 0xA00, 0xA03, 0xA06


def attribute(number, data):
    """One attribute; a list of pairs has attributes in it, a number is in network order."""
    if isinstance(data, list):
        number |= 0x8000
        data = b"".join(attribute(*pair) for pair in data)
    elif isinstance(data, int):
        data = struct.pack("!I", data)
    elif isinstance(data, str):
        data = data.encode() + b"\0"
    return struct.pack("=HH", len(data) + 4, number) + data + b"\0" * (-len(data) % 4)


def message(number, flags, attributes, family=INET, subsystem=0):
    body = struct.pack("!BBH", family, 0, subsystem)
    body += b"".join(attribute(*pair) for pair in attributes)
    return struct.pack("=IHHII", 16 + len(body), number, flags | REQUEST, 1, 0) + body


def expression(name, *attributes):
    return (1, [(1, name), (2, list(attributes))])


def word(value):
    return [(1, struct.pack("=I", value))]


EXPRESSIONS = [
    expression("ct", (1, 1), (2, 0)),
    expression("bitwise", (1, 1), (2, 1), (3, 4), (4, word(INVALID)), (5, word(0))),
    expression("cmp", (1, 1), (2, NOT_EQUAL), (3, word(0))),
    expression("immediate", (1, 0), (2, [(2, [(1, DROP)])])),
]
HOOK = [(1, LOCAL_IN), (2, 0)]
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
    netlink.settimeout(10)
    netlink.send(
        message(BEGIN, 0, [], 0, 10)
        + message(TABLE, CREATE, [(1, "t")])
        + message(CHAIN, CREATE, [(1, "t"), (3, "c"), (4, HOOK), (7, "filter")])
        + message(RULE, CREATE | APPEND | ACK, [(1, "t"), (2, "c"), (4, EXPRESSIONS)])
        + message(END, 0, [], 0, 10)
    )
    answer = netlink.recv(65536)
    error = struct.unpack_from("=i", answer, 16)[0]
    if error:
        raise OSError(-error, "cannot make the firewall")
