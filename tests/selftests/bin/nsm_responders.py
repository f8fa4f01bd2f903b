#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Answers like the rpcbind and rpc.statd of many NFS clients at once.

On each address: UDP port 111 (GETPORT of version 2, GETADDR of versions 3 and 4) and statd on a
port of its own; with --tcp also over TCP. Each SM_NOTIFY is logged as a line "time address source mon_name state port",
each SM_UNMON as "time address source unmon mon_name my_name port".
Prints "ready" when all are bound. Run as root; the addresses must be local.

  nsm_responders.py --log FILE ADDRESS...
  nsm_responders.py --log FILE --range 10.99.0.1 200
"""

import argparse
import contextlib
import ipaddress
import selectors
import socket
import sys
import time

from sunrpc import (AUTH_NONE, CALL, PORTMAP, REPLY, Unpacker, cut_record, send_record, string, u32,
                    uaddr)

STATD = 100024
SM_UNMON, SM_NOTIFY = 3, 6


def call(data):
    """xid, program, version, procedure, and the arguments, of a call."""
    args = Unpacker(data)
    xid, kind, rpc, program, version, procedure = (args.u32() for _ in range(6))
    if kind != CALL or rpc != 2:
        raise ValueError("not a call")
    for _ in ("credentials", "verifier"):
        args.u32()
        args.opaque()
    return xid, program, version, procedure, args


def reply(xid, status, results=b""):
    """An answer: accepted, with an empty verifier."""
    return b"".join(map(u32, (xid, REPLY, 0, AUTH_NONE, 0, status))) + results


def is_known(transport, args):
    """Whether statd is registered."""
    return not args.no_statd and (transport == "tcp" and args.tcp
                                  or transport == "udp" and args.udp != "unregistered")


def rpcbind(_address, _source, data, args):
    """What rpcbind answers."""
    xid, program, version, procedure, rest = call(data)
    if program != PORTMAP:
        return reply(xid, 1)
    wanted = rest.u32()
    rest.u32()
    if (version, procedure) == (2, 3):
        known = wanted == STATD and is_known({6: "tcp", 17: "udp"}.get(rest.u32()), args)
        return reply(xid, 0, u32(args.port if known else 0))
    if version in (3, 4) and procedure == 3:
        netid = rest.string()
        known = wanted == STATD and is_known(netid[:3], args)
        host = "::" if netid.endswith("6") else "0.0.0.0"
        return reply(xid, 0, string(uaddr(host, args.port) if known else ""))
    return reply(xid, 3)


def statd(address, source, data, args):
    """What statd answers; notifications are logged."""
    xid, program, version, procedure, rest = call(data)
    if (program, version) != (STATD, 1):
        return reply(xid, 1)
    if procedure == SM_NOTIFY:
        print(f"{time.time():.3f} {address} {source[0]} {rest.string()} {rest.i32()} {source[1]}",
              file=args.out, flush=True)
    if procedure == SM_UNMON:
        print(f"{time.time():.3f} {address} {source[0]} unmon {rest.string()} {rest.string()} "
              f"{source[1]}", file=args.out, flush=True)
        return reply(xid, 0, u32(1))
    return reply(xid, 0)


class Datagrams:
    """A UDP port. Answers to the first --swallow ports that ask are lost on the way."""

    ports = []

    def __init__(self, address, port, answer, args):
        self.address, self.answer, self.args = address, answer, args
        self.silent = args.udp == "silent" or args.udp == "rpcbind" and answer is statd
        self.sock = listening(address, port, socket.SOCK_DGRAM)

    def ready(self, _selector):
        with contextlib.suppress(BlockingIOError, ValueError):
            data, source = self.sock.recvfrom(4096)
            if self.silent:
                return
            if source[1] not in self.ports:
                self.ports.append(source[1])
            if self.ports.index(source[1]) >= self.args.swallow:
                self.sock.sendto(self.answer(self.address, source, data, self.args), source)


class Listener:
    """A TCP port."""

    def __init__(self, address, port, answer, args):
        self.address, self.answer, self.args = address, answer, args
        self.sock = listening(address, port, socket.SOCK_STREAM)
        self.sock.listen(100)

    def ready(self, selector):
        with contextlib.suppress(OSError):
            sock, source = self.sock.accept()
            selector.register(sock, selectors.EVENT_READ, Connection(self, sock, source))


class Connection:
    """A TCP connection. An answer is sent in pieces: who reads it must put it together."""

    def __init__(self, listener, sock, source):
        self.listener, self.sock, self.source = listener, sock, source
        self.data = bytearray()

    def ready(self, selector):
        try:
            more = self.sock.recv(4096)
            self.data += more
            if (message := cut_record(self.data)) is not None:
                out = self.listener.answer(self.listener.address, self.source, message,
                                           self.listener.args)
                # Two fragments.
                self.sock.sendall(u32(10) + out[:10])
                time.sleep(0.001)
                send_record(self.sock, out[10:])
        except (OSError, ValueError):
            more = b""
        if not more:
            selector.unregister(self.sock)
            self.sock.close()


def listening(address, port, kind):
    """A socket that is bound."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.setblocking(False)
    return sock


def main():
    """Bind, say so, and answer until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", required=True)
    parser.add_argument("--range", nargs=2, metavar=("FIRST", "COUNT"))
    parser.add_argument("--port", type=int, default=32765, help="of statd")
    parser.add_argument("--no-statd", action="store_true", help="statd is not registered")
    parser.add_argument("--tcp", action="store_true", help="answer over TCP, too")
    parser.add_argument("--udp", default="all", choices=("all", "rpcbind", "unregistered", "silent"),
                        help="who answers by UDP: rpcbind only, or rpcbind that knows no statd there")
    parser.add_argument("--swallow", type=int, default=0, metavar="PORTS",
                        help="so many ports never get an answer by UDP")
    parser.add_argument("addresses", nargs="*")
    args = parser.parse_args()
    args.out = open(args.log, "a", encoding="ascii")  # pylint: disable=consider-using-with
    addresses = list(args.addresses)
    if args.range:
        first = ipaddress.ip_address(args.range[0])
        addresses += [str(first + at) for at in range(int(args.range[1]))]
    selector = selectors.DefaultSelector()
    for address in addresses:
        for port, answer in ((111, rpcbind), (args.port, statd)):
            for kind in (Datagrams, Listener) if args.tcp else (Datagrams,):
                port_ = kind(address, port, answer, args)
                selector.register(port_.sock, selectors.EVENT_READ, port_)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            key.data.ready(selector)


if __name__ == "__main__":
    sys.exit(main())
