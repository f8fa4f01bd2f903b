#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""NLM client for what the Linux client never sends: a library and a command.

usage: nlm.py [options] PROC
  PROC: null test lock nm_lock cancel unlock share unshare free_all
        test_msg lock_msg cancel_msg unlock_msg

  the server   --host H --vers 1|3|4 --proto tcp|udp --port N (default: ask rpcbind)
  the client   --source ADDR --sport N (0: any; default: a free one below 1024)
               --caller NAME --timeout S
  the file     --fh HEX | --export /srv/x --path dir/file | --fh-of /mnt/x/dir/file
               (--fh-of takes the host from the mount if --host is missing)
  the lock     --owner HEX --svid N --start N --len N (0: to the end) --exclusive
               --block --reclaim --cookie HEX --state N --access N --deny N
  --wait S     after BLOCKED: wait for GRANTED_MSG, answer it, print GRANTED
  --repeat N   send the same request N times, one line each

Prints the status: GRANTED DENIED DENIED_NOLOCKS BLOCKED DENIED_GRACE_PERIOD DEADLCK
ROFS STALE_FH FBIG FAILED; for test and DENIED also the holder, as key=value words.
OK for procedures without results. If the RPC layer refuses, RPC_ and its reason
(RPC_PROC_UNAVAIL, RPC_GARBAGE_ARGS, RPC_SYSTEM_ERR, RPC_AUTH_...).
Exit status: 0 a reply came, whatever it says; 69 none came; 2 bad usage.

Versions 1 and 3 take file handles of 32 bytes only and know no status after
DENIED_GRACE_PERIOD. knfsd ignores bytes after a handle, so shorter handles are
padded with zeros for these versions (--raw-fh sends them as they are). A padded
handle makes a second nlm_file of the same inode in lockd; conflicts are still seen.
Version 1 ends at procedure 16: no shares, nm_lock, free_all.

lockd asks for a port below 1024 only for SM_NOTIFY. nfsd does for each file whose
export is `secure` (the default), also on behalf of lockd. The *_msg procedures and
--wait need root and are described in nlm_callback.py.

    Nlm("10.0.0.1").lock(fh, exclusive=True)          -> "GRANTED"
    Nlm("10.0.0.1", vers=3).test(fh, svid=7)          -> ("DENIED", {"svid": 12, ...})
"""

import argparse
import os
import socket
import sys
from contextlib import nullcontext

import nfs3
from nlm_callback import GRANTED_MSG, NLM, PORT, Callback
from sunrpc import Client, NoReply, Rejected, opaque, string, u32, u64

PROCS = {"null": 0, "test": 1, "lock": 2, "cancel": 3, "unlock": 4,
         "test_msg": 6, "lock_msg": 7, "cancel_msg": 8, "unlock_msg": 9,
         "share": 20, "unshare": 21, "nm_lock": 22, "free_all": 23}
RES_AFTER_MSG = 5               # LOCK_RES (12) answers LOCK_MSG (7), and so on
GRANTED_RES = 15
STATUS = ("GRANTED", "DENIED", "DENIED_NOLOCKS", "BLOCKED", "DENIED_GRACE_PERIOD", "DEADLCK",
          "ROFS", "STALE_FH", "FBIG", "FAILED")
V3_FHSIZE = 32
# The kernel client counts its svids from 1; stay clear of them.
SVID = 0x4E4C4D


def status_name(stat):
    return STATUS[stat] if stat < len(STATUS) else f"STATUS_{stat}"


class Nlm:
    """One client of one server. Methods return the status as a string.

    rpc: port, proto, source, sport, timeout, uid as sunrpc.Client takes them
    """

    def __init__(self, host, vers=4, *, caller=None, pad=True, callback_port=PORT, **rpc):
        self.vers, self.pad, self.callback_port = vers, pad, callback_port
        self.caller = caller or socket.gethostname()
        self.client = Client(host, NLM, vers, **rpc)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def _fh(self, fh):
        return opaque(fh.ljust(V3_FHSIZE, b"\0") if self.vers < 4 and self.pad else fh)

    def _alock(self, fh, owner, svid, start, length):
        number = u64 if self.vers == 4 else u32
        return (string(self.caller) + self._fh(fh) + opaque(self._owner(owner)) + u32(svid)
                + number(start) + number(length))

    def _owner(self, owner):
        return f"nlm.py@{self.caller}".encode() if owner is None else owner

    def args(self, proc, fh, *, owner=None, svid=SVID, start=0, length=0, exclusive=False,
             block=False, reclaim=False, cookie=b"nlm.", state=0):
        """XDR arguments of test, lock, nm_lock, cancel or unlock."""
        alock = self._alock(fh, owner, svid, start, length)
        kind = proc.removesuffix("_msg")
        if kind == "test":
            return opaque(cookie) + u32(exclusive) + alock
        if kind == "unlock":
            return opaque(cookie) + alock
        args = opaque(cookie) + u32(block) + u32(exclusive) + alock
        return args if kind == "cancel" else args + u32(reclaim) + u32(state)

    def _holder(self, r):
        number = r.u64 if self.vers == 4 else r.u32
        return {"exclusive": r.u32(), "svid": r.i32(), "owner": r.opaque().hex(),
                "start": number(), "len": number()}

    def _result(self, proc, r):
        """(status, holder) from the results of proc or from the arguments of its *_RES."""
        r.opaque()
        status = status_name(r.u32())
        return status, self._holder(r) if proc == "test" and status == "DENIED" else None

    def null(self):
        self.client.call(0)
        return "OK"

    def test(self, fh, **lock):
        return self._result("test", self.client.call(PROCS["test"], self.args("test", fh, **lock)))

    def _simple(self, proc, fh, **lock):
        return self._result(proc, self.client.call(PROCS[proc], self.args(proc, fh, **lock)))[0]

    def lock(self, fh, **lock):
        return self._simple("lock", fh, **lock)

    def nm_lock(self, fh, **lock):
        return self._simple("nm_lock", fh, **lock)

    def cancel(self, fh, **lock):
        return self._simple("cancel", fh, **lock)

    def unlock(self, fh, **lock):
        return self._simple("unlock", fh, **lock)

    def _share(self, proc, fh, access, deny, owner, reclaim, cookie):
        share = (string(self.caller) + self._fh(fh) + opaque(self._owner(owner)) + u32(deny)
                 + u32(access))
        r = self.client.call(PROCS[proc], opaque(cookie) + share + u32(reclaim))
        return self._result(proc, r)[0]

    def share(self, fh, *, access=1, deny=0, owner=None, reclaim=False, cookie=b"nlm."):
        """access and deny: 0 none, 1 read, 2 write, 3 both."""
        return self._share("share", fh, access, deny, owner, reclaim, cookie)

    def unshare(self, fh, *, access=1, deny=0, owner=None, reclaim=False, cookie=b"nlm."):
        return self._share("unshare", fh, access, deny, owner, reclaim, cookie)

    def free_all(self, state=0):
        self.client.call(PROCS["free_all"], string(self.caller) + u32(state))
        return "OK"

    def callback(self):
        """The service that the server calls back; a context manager."""
        return Callback(self.vers, self.client.proto, self.client.local_address(),
                        self.callback_port)

    def msg(self, proc, callback, fh, **lock):
        """(status, holder) of test_msg, lock_msg, cancel_msg or unlock_msg."""
        cookie = lock.setdefault("cookie", os.urandom(8))
        self.client.call(PROCS[proc], self.args(proc, fh, **lock))
        r = callback.wait(PROCS[proc] + RES_AFTER_MSG, cookie, self.client.timeout)
        return self._result(proc.removesuffix("_msg"), r)

    def granted(self, callback, timeout, accept=True):
        """Wait for the server to grant a blocked lock and answer it."""
        cookie = callback.wait(GRANTED_MSG, None, timeout).opaque()
        self.client.call(GRANTED_RES, opaque(cookie) + u32(0 if accept else 1))
        return "GRANTED" if accept else "DENIED"


def parse(argv):
    p = argparse.ArgumentParser(description="NLM client; nlm.py's head describes it",
                                allow_abbrev=False)
    number = {"type": lambda text: int(text, 0)}
    octets = {"type": bytes.fromhex, "metavar": "HEX"}
    p.add_argument("proc", choices=PROCS, metavar="PROC", help=" ".join(PROCS))
    p.add_argument("--host")
    p.add_argument("--vers", type=int, choices=(1, 3, 4), default=4)
    p.add_argument("--proto", choices=("tcp", "udp"), default="tcp")
    p.add_argument("--port", **number)
    p.add_argument("--source", metavar="ADDR")
    p.add_argument("--sport", **number)
    p.add_argument("--caller", metavar="NAME")
    p.add_argument("--timeout", type=float, default=10, metavar="S")
    p.add_argument("--wait", type=float, metavar="S")
    p.add_argument("--repeat", default=1, **number)
    p.add_argument("--callback-port", default=PORT, **number)
    p.add_argument("--fh", **octets)
    p.add_argument("--raw-fh", action="store_true")
    p.add_argument("--fh-of", metavar="FILE")
    p.add_argument("--export", metavar="DIR")
    p.add_argument("--path", metavar="FILE")
    p.add_argument("--owner", **octets)
    p.add_argument("--svid", default=SVID, **number)
    p.add_argument("--start", default=0, **number)
    p.add_argument("--len", default=0, dest="length", **number)
    p.add_argument("--exclusive", action="store_true")
    p.add_argument("--block", action="store_true")
    p.add_argument("--reclaim", action="store_true")
    p.add_argument("--cookie", **octets)
    p.add_argument("--state", default=0, **number)
    p.add_argument("--access", default=1, **number)
    p.add_argument("--deny", default=0, **number)
    args = p.parse_args(argv)
    ways = sum((args.fh is not None, args.fh_of is not None, args.export is not None))
    if args.proc not in ("null", "free_all") and ways != 1:
        p.error(f"{args.proc} needs a file: one of --fh, --fh-of, --export with --path")
    if (args.export is None) != (args.path is None):
        p.error("--export and --path go together")
    if args.fh_of is not None and args.proc not in ("null", "free_all"):
        address, args.export, args.path = nfs3.locate(args.fh_of)
        args.host = args.host or address
    if not args.host:
        p.error("which server? give --host")
    return args


def request(nlm, callback, args, fh):
    """(status, holder) of one request."""
    if args.proc == "null":
        return nlm.null(), None
    if args.proc == "free_all":
        return nlm.free_all(args.state), None
    owner = {"owner": args.owner, "reclaim": args.reclaim}
    if args.cookie is not None:
        owner["cookie"] = args.cookie
    if args.proc in ("share", "unshare"):
        return getattr(nlm, args.proc)(fh, access=args.access, deny=args.deny, **owner), None
    lock = {"svid": args.svid, "start": args.start, "length": args.length, "state": args.state,
            "exclusive": args.exclusive, "block": args.block, **owner}
    if args.proc.endswith("_msg"):
        return nlm.msg(args.proc, callback, fh, **lock)
    if args.proc == "test":
        return nlm.test(fh, **lock)
    return getattr(nlm, args.proc)(fh, **lock), None


def run(nlm, callback, args, fh):
    for _ in range(args.repeat):
        try:
            status, holder = request(nlm, callback, args, fh)
        except Rejected as error:
            status, holder = f"RPC_{error}", {}
        print(status, *(f"{key}={value}" for key, value in (holder or {}).items()), flush=True)
        if status == "BLOCKED" and args.wait is not None:
            print(nlm.granted(callback, args.wait), flush=True)


def main(argv=None):
    try:
        args = parse(argv)
        rpc = {"source": args.source, "sport": args.sport, "timeout": args.timeout}
        fh = args.fh
        if args.export is not None:
            fh = nfs3.handle(args.host, args.export, args.path, **rpc)
        listens = args.proc.endswith("_msg") or args.wait is not None
        with Nlm(args.host, args.vers, caller=args.caller, pad=not args.raw_fh,
                 callback_port=args.callback_port, port=args.port, proto=args.proto,
                 **rpc) as nlm, nlm.callback() if listens else nullcontext() as callback:
            run(nlm, callback, args, fh)
    except NoReply as error:
        print("NO_REPLY", flush=True)
        print(f"nlm: {error}", file=sys.stderr)
        return 69
    except (nfs3.Refused, Rejected, OSError) as error:
        print(f"nlm: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
