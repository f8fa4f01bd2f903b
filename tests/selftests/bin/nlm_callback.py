# SPDX-License-Identifier: GPL-2.0-only
"""The NLM service that a server calls back: *_RES and GRANTED_MSG.

How lockd sends the results of the *_MSG procedures (nlm_async_reply, nlm_bind_host):
it asks the rpcbind of the client's address, over the protocol the request used, for
program 100021 in the version of the request, and calls *_RES there. Hence:

- rpcbind runs here: its entry for (100021, version, protocol) is replaced by ours
  through /run/rpcbind.sock, as root, and put back at the end. A kernel lockd that
  owns the entry (an NFSv3 mount exists here) misses GRANTED callbacks in between;
  its blocked locks then wait for its own 30 s poll.
- no rpcbind runs here: this program answers on port 111 itself.

The server keeps the connection it once made for each (client address, server address,
protocol, version). If it has already called back the kernel lockd of this address,
results go there and get lost. So give tests an address of their own (ip addr add ...,
then --source), or a client without NFSv3 mounts. A fixed port lets a later run be
found by a server that remembers the port of an earlier one.
"""

import os
import queue
import time

import sunrpc
from rpcsvc import Service
from sunrpc import Client, NoReply, Unpacker, string, u32, uaddr

NLM = 100021
PORT = 4049
GRANTED_MSG = 10


class Rpcbind:
    """The rpcbind on this machine, over its local socket. Only root may change entries."""

    SET, UNSET, DUMP = 1, 2, 4

    def __init__(self):
        self.client = Client(sunrpc.RPCBIND_SOCKET, sunrpc.PORTMAP, 4, proto="unix")

    @staticmethod
    def _entry(vers, netid, address=""):
        return u32(NLM) + u32(vers) + string(netid) + string(address) + string("superuser")

    def address(self, vers, netid):
        r = self.client.call(self.DUMP)
        while r.u32():
            entry = r.u32(), r.u32(), r.string(), r.string(), r.string()
            if entry[:3] == (NLM, vers, netid):
                return entry[3]
        return None

    def replace(self, vers, netid, address):
        """Make address the entry; None leaves no entry."""
        self.client.call(self.UNSET, self._entry(vers, netid))
        if address and not self.client.call(self.SET, self._entry(vers, netid, address)).u32():
            raise PermissionError(f"rpcbind refuses to register NLM version {vers} over {netid}; "
                                  "run as root")


class Callback:
    """NLM service of one version and protocol; use as a context manager."""

    def __init__(self, vers, proto, address, port=PORT):
        self.vers, self.address = vers, address
        self.netid = proto + ("6" if ":" in address else "")
        self.calls = queue.Queue()
        self.service = Service(self.address, port, self._called)
        self.rpcbind = self.saved = self.portmap = None

    def __enter__(self):
        self.service.__enter__()
        try:
            if os.path.exists(sunrpc.RPCBIND_SOCKET):
                self.rpcbind = Rpcbind()
                self.saved = self.rpcbind.address(self.vers, self.netid)
                self.rpcbind.replace(self.vers, self.netid, self._uaddr())
            else:
                self.portmap = Service(self.address, 111, self._asked)
                self.portmap.__enter__()
        except BaseException:
            self.service.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.rpcbind is not None:
            self.rpcbind.replace(self.vers, self.netid, self.saved)
            self.rpcbind.client.close()
        if self.portmap is not None:
            self.portmap.__exit__()
        self.service.__exit__()

    def _uaddr(self):
        return uaddr(self.address, self.service.port)

    def _called(self, call):
        if call.prog != NLM or call.vers != self.vers:
            return None
        if call.proc:
            self.calls.put((call.proc, call.args.data[call.args.at:]))
        return b""

    def _asked(self, call):
        """The little of rpcbind that lockd uses: GETPORT, and GETADDR for IPv6."""
        if call.prog != sunrpc.PORTMAP or call.proc not in (0, 3):
            return None
        if call.proc == 0:
            return b""
        mine = (call.args.u32(), call.args.u32()) == (NLM, self.vers)
        if call.vers == 2:
            return u32(self.service.port if mine else 0)
        return string(self._uaddr() if mine else "")

    def wait(self, proc, cookie, timeout):
        """Arguments of the call of proc with this cookie (any cookie if None)."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            try:
                called, args = self.calls.get(timeout=left)
            except queue.Empty:
                break
            r = Unpacker(args)
            # Every callback that lockd makes begins with a cookie.
            if called == proc and cookie in (None, Unpacker(args).opaque()):
                return r
        raise NoReply(f"the server made no callback {proc} in {timeout:g} s")
