#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What exportfs -u of nfs-utils after 2.9.1 tells the kernel in the end: unlock_export.py PATH

The netlink command NFSD_CMD_UNLOCK_EXPORT (include/uapi/linux/nfsd_netlink.h), sent here without any
exportfs.
"""

import os
import socket
import struct
import sys

GENERIC, CONTROL, GET_FAMILY, FAMILY_ID, FAMILY_NAME = 16, 16, 3, 1, 2
REQUEST, ACK, ERROR = 1, 4, 2
UNLOCK_EXPORT, PATH = 18, 1


def attribute(number, data):
    return struct.pack("=HH", len(data) + 4, number) + data + bytes(-len(data) % 4)


class Netlink:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC)
        self.socket.settimeout(60)

    def ask(self, family, command, attributes):
        """Returns the attributes of the answer, {number: data}; none if it only says that it is done."""
        body = struct.pack("=BBH", command, 1, 0) + attributes
        self.socket.send(struct.pack("=IHHII", 16 + len(body), family, REQUEST | ACK, 1, 0) + body)
        found, end = {}, False
        while not end:
            answer = self.socket.recv(65536)
            if struct.unpack_from("=H", answer, 4)[0] == ERROR:
                error, end = -struct.unpack_from("=i", answer, 16)[0], True
                if error:
                    raise OSError(error, os.strerror(error))
                continue
            at = 20
            while at < len(answer):
                size, number = struct.unpack_from("=HH", answer, at)
                found[number] = answer[at + 4:at + size]
                at += size + -size % 4
        return found


def main():
    netlink = Netlink()
    family = netlink.ask(CONTROL, GET_FAMILY, attribute(FAMILY_NAME, b"nfsd\0"))[FAMILY_ID]
    netlink.ask(struct.unpack("=H", family)[0], UNLOCK_EXPORT,
                attribute(PATH, os.fsencode(sys.argv[1]) + b"\0"))


if __name__ == "__main__":
    main()
