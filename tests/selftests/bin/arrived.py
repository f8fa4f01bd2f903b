#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""When an address has come to another machine, as this one learns it: arrived.py IPV4-ADDRESS MAC

Prints `listening`, and then, once, the time of the wall clock at which the kernel of this machine knows that
the address is at that MAC address now.
"""

import socket
import struct
import sys
import time

RTMGRP_NEIGH, RTM_NEWNEIGH = 4, 28


def main(address, mac):
    ip, mac = socket.inet_aton(address), bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.bind((0, RTMGRP_NEIGH))
        print("listening", flush=True)
        while True:
            message = link.recv(1 << 16)
            if struct.unpack_from("=IH", message)[1] == RTM_NEWNEIGH and ip in message and mac in message:
                print(f"{time.time():.6f}", flush=True)
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
