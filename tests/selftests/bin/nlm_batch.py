#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Many NLM requests in one go: a Python for each would cost seconds in a VM.

nlm_batch.py < JSON

{"files": {NAME: [HOST, EXPORT, PATH]}     handles to look up
 "handles": {NAME: HEX}                    handles already known
 "steps": [{"do": PROC, "fh": NAME, "host": ADDRESS, "vers": 4, "caller": NAME, ...}]}

PROC and its further arguments are those of nlm.Nlm; the *_msg procedures and `granted`
(wait for GRANTED_MSG of that host and version and accept it) call back. Prints JSON
{"handles": {NAME: HEX}, "results": [STATUS]}: as nlm.py prints it, without the holder;
NO_REPLY if none came. Steps that say the same of host, vers, proto, caller and source
share a connection.
"""

import json
import os
import sys

import nfs3
from nlm import PROCS, RES_AFTER_MSG, Nlm, status_name
from nlm_callback import PORT, Callback
from sunrpc import Client, NoReply, Rejected

TIMEOUT = 20


class Batch:
    def __init__(self, handles):
        self.handles = handles
        self.clients, self.callbacks = {}, {}

    def client(self, host, vers, proto, caller, source):
        key = host, vers, proto, caller, source
        if key not in self.clients:
            self.clients[key] = Nlm(host, vers, proto=proto, caller=caller, timeout=TIMEOUT,
                                    source=source)
        return self.clients[key]

    def callback(self, nlm):
        """The service for one version and address, from its first use to the end."""
        key = nlm.vers, nlm.client.local_address()
        if key not in self.callbacks:
            self.callbacks[key] = Callback(nlm.vers, "tcp", key[1], PORT + len(self.callbacks))
            self.callbacks[key].__enter__()
        return self.callbacks[key]

    def step(self, do, fh=None, host=None, vers=4, proto="tcp", caller=None, source=None,
             **words):
        nlm = self.client(host, vers, proto, caller, source)
        for word in ("owner", "cookie"):
            if word in words:
                words[word] = words[word].encode()
        try:
            if do == "granted":
                return nlm.granted(self.callback(nlm), TIMEOUT)
            if do in ("null", "free_all"):
                return getattr(nlm, do)()
            handle = self.handles[fh]
            if words.get("block"):
                self.callback(nlm)
            if do.endswith("_msg"):
                return self.msg(nlm, do, handle, words)
            answer = getattr(nlm, do)(handle, **words)
            return answer[0] if do == "test" else answer
        except Rejected as error:
            return f"RPC_{error}"
        except NoReply as error:
            print(error, file=sys.stderr)
            return "NO_REPLY"

    def msg(self, nlm, do, handle, words):
        """As Nlm.msg(), but the status only: lockd cuts off the holder of version 4 in
        TEST_RES (encode_nlm4_holder() reserves 8 bytes for 16)."""
        callback, cookie = self.callback(nlm), words.setdefault("cookie", os.urandom(8))
        nlm.client.call(PROCS[do], nlm.args(do, handle, **words))
        result = callback.wait(PROCS[do] + RES_AFTER_MSG, cookie, TIMEOUT)
        result.opaque()
        return status_name(result.u32())

    def close(self):
        for callback in self.callbacks.values():
            callback.__exit__()
        for nlm in self.clients.values():
            nlm.client.close()


def main():
    given = json.load(sys.stdin)
    handles = {name: bytes.fromhex(text) for name, text in given.get("handles", {}).items()}
    roots = {}
    for name, (host, export, path) in given.get("files", {}).items():
        if (host, export) not in roots:
            roots[host, export] = (nfs3.root_handle(host, export, timeout=TIMEOUT),
                                   Client(host, nfs3.NFS, 3, port=2049, timeout=TIMEOUT))
        root, nfs = roots[host, export]
        handles[name] = nfs3.lookup(nfs, root, path)
    batch = Batch(handles)
    try:
        results = [batch.step(**step) for step in given["steps"]]
    finally:
        batch.close()
    print(json.dumps({"handles": {name: fh.hex() for name, fh in handles.items()},
                      "results": results}))


if __name__ == "__main__":
    main()
