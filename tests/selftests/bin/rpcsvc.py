# SPDX-License-Identifier: GPL-2.0-only
"""A small ONC RPC service for one thread: what a server calls back to.

    def handler(call): return b""            # results; None: PROC_UNAVAIL
    with Service("0.0.0.0", 0, handler) as s:
        print(s.port)

Listens on TCP and UDP on the same port. No authentication: any caller is served.
"""

import errno
import random
import selectors
import socket
import threading
from collections import namedtuple

from sunrpc import CALL, REPLY, Unpacker, cut_record, send_record, u32

Call = namedtuple("Call", "prog vers proc args peer")


def _answer(message, handler, peer):
    r = Unpacker(message)
    xid = r.u32()
    if r.u32() != CALL:
        return None
    r.u32()
    prog, vers, proc = r.u32(), r.u32(), r.u32()
    for _ in ("credentials", "verifier"):
        r.u32()
        r.opaque()
    results = handler(Call(prog, vers, proc, r, peer))
    # Accepted, AUTH_NONE verifier, then SUCCESS (0) or PROC_UNAVAIL (3).
    head = u32(xid) + u32(REPLY) + u32(0) + u32(0) + u32(0)
    return head + u32(3) if results is None else head + u32(0) + results


class Service:
    """Serves until the with block ends."""

    def __init__(self, address, port, handler):
        self.handler = handler
        self.selector = selectors.DefaultSelector()
        self.stop, self.wake = socket.socketpair()
        self.selector.register(self.stop, selectors.EVENT_READ)
        self.tcp, self.udp, self.port = self._open(address, port)
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _open(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        choices = [port] if port else random.sample(range(20000, 30000), 50)
        for choice in choices:
            tcp = socket.socket(family, socket.SOCK_STREAM)
            udp = socket.socket(family, socket.SOCK_DGRAM)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tcp.bind((address, choice))
                udp.bind((address, choice))
            except OSError as error:
                tcp.close()
                udp.close()
                if error.errno != errno.EADDRINUSE or choice == choices[-1]:
                    raise OSError(error.errno, f"cannot listen on {address} port {choice}: "
                                  f"{error.strerror}") from error
                continue
            tcp.listen()
            self.selector.register(tcp, selectors.EVENT_READ)
            self.selector.register(udp, selectors.EVENT_READ)
            return tcp, udp, choice
        raise AssertionError("unreachable")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.wake.send(b"x")
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.wake.close()
        self.selector.close()

    def _serve(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.stop:
                    return
                try:
                    self._ready(key)
                except (OSError, ValueError):
                    # A broken connection or message is the peer's loss.
                    if key.data is not None:
                        self._drop(key.fileobj)

    def _drop(self, conn):
        self.selector.unregister(conn)
        conn.close()

    def _ready(self, key):
        sock = key.fileobj
        if sock is self.tcp:
            conn, _ = sock.accept()
            self.selector.register(conn, selectors.EVENT_READ, bytearray())
        elif sock is self.udp:
            message, peer = sock.recvfrom(65536)
            reply = _answer(message, self.handler, peer)
            if reply is not None:
                sock.sendto(reply, peer)
        else:
            data = sock.recv(65536)
            if not data:
                self._drop(sock)
                return
            key.data.extend(data)
            while (record := cut_record(key.data)) is not None:
                reply = _answer(record, self.handler, sock.getpeername())
                if reply is not None:
                    send_record(sock, reply)
