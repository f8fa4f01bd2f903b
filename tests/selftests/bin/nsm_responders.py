#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Answers like the rpcbind and rpc.statd of many NFS clients at once.

On each address: UDP port 111 (GETPORT of version 2, GETADDR of versions 3 and 4) and statd on a
port of its own. Each SM_NOTIFY is logged as a line "time address source mon_name state port",
each SM_UNMON as "time address source unmon mon_name my_name port".
Prints "ready" when all are bound. Run as root; the addresses must be local.

  nsm_responders.py --log FILE ADDRESS...
  nsm_responders.py --log FILE --range 10.99.0.1 200
"""

import argparse
import ipaddress
import selectors
import socket
import struct
import sys
import time

RPCBIND, STATD = 100000, 100024
SM_UNMON, SM_NOTIFY = 3, 6


def string(data, at):
    """An XDR string and where the next thing begins."""
    length, = struct.unpack_from(">I", data, at)
    return data[at + 4:at + 4 + length].decode(), at + 4 + (length + 3) // 4 * 4


def xdr(text):
    """A string as XDR."""
    data = text.encode()
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


def call(data):
    """xid, program, version, procedure, and the arguments, of a call."""
    xid, kind, rpc, program, version, procedure = struct.unpack_from(">6I", data)
    if kind != 0 or rpc != 2:
        raise ValueError("not a call")
    at = 24
    for _ in ("credentials", "verifier"):
        _flavor, length = struct.unpack_from(">2I", data, at)
        at += 8 + (length + 3) // 4 * 4
    return xid, program, version, procedure, data[at:]


def reply(xid, status, results=b""):
    """An answer."""
    return struct.pack(">6I", xid, 1, 0, 0, 0, status) + results


def rpcbind(_address, _source, data, args):
    """What rpcbind answers."""
    xid, program, version, procedure, rest = call(data)
    if program != RPCBIND:
        return reply(xid, 1)
    wanted, = struct.unpack_from(">I", rest)
    known = wanted == STATD and not args.no_statd
    if (version, procedure) == (2, 3):
        return reply(xid, 0, struct.pack(">I", args.port if known else 0))
    if version in (3, 4) and procedure == 3:
        netid, _ = string(rest, 8)
        host = "::" if netid.endswith("6") else "0.0.0.0"
        where = f"{host}.{args.port >> 8}.{args.port & 255}" if known else ""
        return reply(xid, 0, xdr(where))
    return reply(xid, 3)


def statd(address, source, data, args):
    """What statd answers; notifications are logged."""
    xid, program, version, procedure, rest = call(data)
    if (program, version) != (STATD, 1):
        return reply(xid, 1)
    if procedure == SM_NOTIFY:
        name, at = string(rest, 0)
        state, = struct.unpack_from(">i", rest, at)
        print(f"{time.time():.3f} {address} {source[0]} {name} {state} {source[1]}",
              file=args.out, flush=True)
    if procedure == SM_UNMON:
        client, at = string(rest, 0)
        name, _ = string(rest, at)
        print(f"{time.time():.3f} {address} {source[0]} unmon {client} {name} {source[1]}",
              file=args.out, flush=True)
        return reply(xid, 0, struct.pack(">I", 1))
    return reply(xid, 0)


def main():
    """Bind, say so, and answer until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", required=True)
    parser.add_argument("--range", nargs=2, metavar=("FIRST", "COUNT"))
    parser.add_argument("--port", type=int, default=32765, help="of statd")
    parser.add_argument("--no-statd", action="store_true", help="statd is not registered")
    parser.add_argument("addresses", nargs="*")
    args = parser.parse_args()
    args.out = open(args.log, "a", encoding="ascii")  # pylint: disable=consider-using-with
    addresses = list(args.addresses)
    if args.range:
        first = ipaddress.ip_address(args.range[0])
        addresses += [str(first + at) for at in range(int(args.range[1]))]
    selector = selectors.DefaultSelector()
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port, answer in ((111, rpcbind), (args.port, statd)):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.bind((address, port))
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ, (address, answer))
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            address, answer = key.data
            try:
                data, source = key.fileobj.recvfrom(4096)
                out = answer(address, source, data, args)
            except (BlockingIOError, ValueError, struct.error):
                continue
            key.fileobj.sendto(out, source)


if __name__ == "__main__":
    sys.exit(main())
