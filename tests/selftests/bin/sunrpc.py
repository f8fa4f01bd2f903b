# SPDX-License-Identifier: GPL-2.0-only
"""ONC RPC client: XDR, record marking, AUTH_SYS, reserved ports, rpcbind.

A library for nfs3.py, nlm.py and nlm_callback.py. Standard library only.

    c = Client("10.0.0.1", 100021, 4)        # asks the rpcbind of 10.0.0.1
    reply = c.call(0)                        # Unpacker at the results

A reply that is no success raises Rejected, no reply in time raises NoReply.
"""

import errno
import os
import random
import socket
import struct
import time

CALL, REPLY = 0, 1
AUTH_NONE, AUTH_SYS = 0, 1
PORTMAP = 100000
RPCBIND_SOCKET = "/run/rpcbind.sock"

ACCEPT = ("SUCCESS", "PROG_UNAVAIL", "PROG_MISMATCH", "PROC_UNAVAIL", "GARBAGE_ARGS", "SYSTEM_ERR")
AUTH_ERRORS = ("OK", "BADCRED", "REJECTEDCRED", "BADVERF", "REJECTEDVERF", "TOOWEAK",
               "INVALIDRESP", "FAILED")


class NoReply(Exception):
    """Nothing came back within the bound, or the server could not be reached."""


class Rejected(Exception):
    """The RPC layer of the server answered, but did not run the procedure."""


def u32(value):
    return struct.pack(">I", value & 0xFFFFFFFF)


def u64(value):
    return struct.pack(">Q", value & 0xFFFFFFFFFFFFFFFF)


def opaque(data):
    return u32(len(data)) + data + bytes(-len(data) % 4)


def string(text):
    return opaque(os.fsencode(text))


class Unpacker:
    """Cursor over XDR data; short data raises ValueError."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def _take(self, size):
        piece = self.data[self.at:self.at + size]
        if len(piece) < size:
            raise ValueError(f"XDR data ends at {len(self.data)}, {self.at + size} needed")
        self.at += size
        return piece

    def u32(self):
        return struct.unpack(">I", self._take(4))[0]

    def i32(self):
        return struct.unpack(">i", self._take(4))[0]

    def u64(self):
        return struct.unpack(">Q", self._take(8))[0]

    def fixed(self, size):
        return self._take(size + -size % 4)[:size]

    def opaque(self):
        return self.fixed(self.u32())

    def string(self):
        return os.fsdecode(self.opaque())


def uaddr(address, port):
    """Universal address of rpcbind: the port as two more decimal parts."""
    return f"{address}.{port >> 8}.{port & 255}"


def uaddr_port(text):
    high, low = text.split(".")[-2:]
    return int(high) << 8 | int(low)


def send_record(sock, message):
    sock.sendall(u32(0x80000000 | len(message)) + message)


def cut_record(buffer):
    """Take one whole record off the front of a bytearray; None: more bytes needed."""
    record, at = b"", 0
    while len(buffer) >= at + 4:
        mark = struct.unpack_from(">I", buffer, at)[0]
        size = mark & 0x7FFFFFFF
        if len(buffer) < at + 4 + size:
            return None
        record += bytes(buffer[at + 4:at + 4 + size])
        at += 4 + size
        if mark & 0x80000000:
            del buffer[:at]
            return record
    return None


def resolve(host, port, kind, source=None):
    """(family, socket address) of the host, of the source address's family if there is one."""
    family = socket.AF_UNSPEC
    if source:
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
    family, _, _, _, peer = socket.getaddrinfo(host, port, family, kind)[0]
    return family, peer


class Client:
    """Client of one program and version at one server.

    port:    None asks the server's rpcbind
    source:  local address to send from (None: the kernel chooses)
    sport:   local port; None takes a free reserved one, 0 any
    timeout: bound in seconds for every call, connecting included
    """

    def __init__(self, host, prog, vers, *, port=None, proto="tcp", source=None, sport=None,
                 timeout=10.0, uid=0, gid=0):
        if proto not in ("tcp", "udp", "unix"):
            raise ValueError(f"protocol {proto}: use tcp, udp or unix")
        self.host, self.prog, self.vers, self.port = host, prog, vers, port
        self.proto, self.source, self.sport = proto, source, sport
        self.timeout, self.uid, self.gid = timeout, uid, gid
        self.xid = random.getrandbits(32)
        self.sock = None
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None
            self.buffer.clear()

    def _bind_reserved(self, sock, address):
        # Not below 665, as bindresvport(3): well-known services live there.
        for port in random.sample(range(665, 1024), 359):
            try:
                sock.bind((address, port))
                return
            except PermissionError:
                raise PermissionError(errno.EACCES, "a source port below 1024 needs root; "
                                      "become root or take any port (sport 0)") from None
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "all source ports from 665 to 1023 are in use")

    def connect(self):
        if self.sock is not None:
            return
        try:
            self._connect()
        except PermissionError:
            raise
        except OSError as error:
            raise NoReply(f"{self.host} port {self.port}: {error}") from error

    def _connect(self):
        if self.proto == "unix":
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self.host)
            return
        if self.port is None:
            self.port = getport(self.host, self.prog, self.vers, self.proto,
                                source=self.source, timeout=self.timeout)
        kind = socket.SOCK_STREAM if self.proto == "tcp" else socket.SOCK_DGRAM
        family, peer = resolve(self.host, self.port, kind, self.source)
        sock = socket.socket(family, kind)
        sock.settimeout(self.timeout)
        if kind == socket.SOCK_STREAM:
            # Close with a reset: TIME_WAIT would use up the few reserved ports.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        address = self.source or ("::" if family == socket.AF_INET6 else "0.0.0.0")
        try:
            if self.sport is None:
                self._bind_reserved(sock, address)
            elif self.sport or self.source:
                sock.bind((address, self.sport))
            sock.connect(peer)
        except OSError:
            sock.close()
            raise
        self.sock = sock

    def local_address(self):
        """The address the server sees us at, NAT aside."""
        self.connect()
        return self.sock.getsockname()[0]

    def _credentials(self):
        body = (u32(int(time.time())) + string(socket.gethostname()) + u32(self.uid)
                + u32(self.gid) + u32(0))
        return u32(AUTH_SYS) + opaque(body) + u32(AUTH_NONE) + u32(0)

    def _receive(self, deadline):
        """One message, whatever its xid; None when the deadline has passed."""
        while True:
            if self.proto != "udp":
                record = cut_record(self.buffer)
                if record is not None:
                    return record
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except socket.timeout:
                return None
            if self.proto == "udp":
                return data
            if not data:
                raise NoReply(f"{self.host} closed the connection")
            self.buffer += data

    def call(self, proc, args=b""):
        try:
            return self._call(proc, args)
        except (OSError, NoReply) as error:
            self.close()
            if isinstance(error, (NoReply, PermissionError)):
                raise
            raise NoReply(f"{self.host} port {self.port}: {error}") from error

    def call_many(self, proc, arguments, window=128):
        """Over TCP, up to window calls under way at a time; yields the answers in order."""
        self.connect()
        credentials = self._credentials()
        for at in range(0, len(arguments), window):
            waiting, records = {}, []
            for number, args in enumerate(arguments[at:at + window]):
                message = self._message(proc, args, credentials)
                waiting[self.xid] = number
                records.append(u32(0x80000000 | len(message)) + message)
            self.sock.sendall(b"".join(records))
            end, replies = time.monotonic() + self.timeout, [None] * len(waiting)
            while waiting:
                if (reply := self._receive(end)) is None:
                    raise NoReply(f"{len(waiting)} calls have no reply from {self.host} port "
                                  f"{self.port} in {self.timeout:g} s")
                r = Unpacker(reply)
                number = waiting.pop(r.u32(), None)
                if number is not None and r.u32() == REPLY:
                    replies[number] = self._accepted(r)
            yield from replies

    def _message(self, proc, args, credentials=None):
        self.xid = (self.xid + 1) & 0xFFFFFFFF
        return (u32(self.xid) + u32(CALL) + u32(2) + u32(self.prog) + u32(self.vers)
                + u32(proc) + (credentials or self._credentials()) + args)

    def _call(self, proc, args):
        self.connect()
        message = self._message(proc, args)
        end = time.monotonic() + self.timeout
        if self.proto != "udp":
            send_record(self.sock, message)
        while time.monotonic() < end:
            step = end
            if self.proto == "udp":
                self.sock.send(message)
                step = min(end, time.monotonic() + 2)
            while (reply := self._receive(step)) is not None:
                r = Unpacker(reply)
                if r.u32() == self.xid and r.u32() == REPLY:
                    return self._accepted(r)
        raise NoReply(f"no reply from {self.host} port {self.port} in {self.timeout:g} s")

    @staticmethod
    def _accepted(r):
        if r.u32():
            if r.u32() == 0:
                raise Rejected("RPC_MISMATCH")
            stat = r.u32()
            name = AUTH_ERRORS[stat] if stat < len(AUTH_ERRORS) else str(stat)
            raise Rejected(f"AUTH_{name}")
        r.u32()
        r.opaque()
        stat = r.u32()
        if stat:
            raise Rejected(ACCEPT[stat] if stat < len(ACCEPT) else f"ACCEPT_{stat}")
        return r


def getport(host, prog, vers, proto="tcp", *, source=None, timeout=10.0):
    """Port of a program, from the rpcbind of the host: version 2 for IPv4, 3 for IPv6.

    Asked over the protocol in question: version 3 ignores the one named in the request.
    """
    six = resolve(host, 111, socket.SOCK_STREAM, source)[0] == socket.AF_INET6
    with Client(host, PORTMAP, 3 if six else 2, port=111, proto=proto, source=source, sport=0,
                timeout=timeout) as c:
        if six:
            text = c.call(3, u32(prog) + u32(vers) + string(proto + "6") + string("")
                          + string("")).string()
            port = uaddr_port(text) if text else 0
        else:
            number = socket.IPPROTO_TCP if proto == "tcp" else socket.IPPROTO_UDP
            port = c.call(3, u32(prog) + u32(vers) + u32(number) + u32(0)).u32()
    if port == 0:
        raise NoReply(f"rpcbind of {host} knows no program {prog} version {vers} over {proto}; "
                      "start the service or give the port")
    return port
