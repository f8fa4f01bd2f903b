# SPDX-License-Identifier: GPL-2.0-only
"""A file with two handles. Who waits by the one gets nothing while the other is released."""

import json
from concurrent.futures import ThreadPoolExecutor

from cases import BLOCKED, GRANTED, ManifestCase, lock, unlock
from testbed import S1, until

CLIENTS = ("c1",)
# Files with a holder and one who waits.
PAIRS = 8
# Prints the file handles of paths below an export.
HANDLES = """
import json, sys
sys.path.insert(0, "/lab/bin")
import nfs3
from sunrpc import Client
host, export, *paths = sys.argv[1:]
root, known = nfs3.root_handle(host, export), {}
with Client(host, nfs3.NFS, 3, port=2049) as nfs:
    for path in paths:
        directory, name = path.split("/")
        if directory not in known:
            known[directory] = nfs3.lookup(nfs, root, directory)
        known[path] = nfs3.lookup(nfs, known[directory], name)
print(json.dumps({path: known[path].hex() for path in paths}))
"""


def bucket(handle):
    """Where lockd's table of files has it, which is in what order a release comes to it."""
    return sum(bytes.fromhex(handle)[:32]) % 128


class Links(ManifestCase):
    def setUp(self):
        super().setUp()
        self.cluster.mount_fs("a", S1)
        self.cluster["a"].run(f"exportfs -o rw,no_root_squash,sync,subtree_check,fsid={S1.fsid} "
                              f"'*:{S1.path}'")
        self.cluster.address_up("a", S1.ip)

    def links(self, first):
        """Files of which the handle in directory d1 comes before that in d2, or (first is False)
        after it; all handles are known then."""
        names = [f"f{i}" for i in range(4 * PAIRS)]
        self.cluster["a"].run(f"cd {S1.path} && mkdir d1 d2 && cd d1 && touch {' '.join(names)} && "
                              "ln * ../d2")
        wanted = [f"{d}/{name}" for d in ("d1", "d2") for name in names]
        self.handles = json.loads(self.cluster["c1"].run(
            ["python3", "-c", HANDLES, S1.ip, S1.path, *wanted], timeout=120))
        chosen = [name for name in names
                  if self.handles[f"d1/{name}"] != self.handles[f"d2/{name}"]
                  and (bucket(self.handles[f"d1/{name}"]) < bucket(self.handles[f"d2/{name}"])) == first]
        print(f"    # {len(chosen)} of {len(names)} files have the holder's handle "
              f"{'before' if first else 'after'} the waiter's")
        if not chosen:
            self.skipTest("no two handles in that order")
        return chosen[:PAIRS]

    def released(self, names, fence):
        """One holds each file by d1, another waits for it by d2, and the filesystem is released.

        Returns what nlm_unlock said, the manifest's lines, and a function that waits for the answers
        of those who wait: the last is whether any of them was told that it was granted the lock.
        """
        self.play("a", *((GRANTED, lock(f"d1/{name}", 1, 0, 10)) for name in names))
        # Somebody is told that it was granted a lock, so that the server has a connection for that.
        warm = [lock("d1/f0", 8, 50, 1), lock("d1/f0", 9, 50, 1, block=True), unlock("d1/f0", 8, 50, 1),
                {"do": "granted"}, unlock("d1/f0", 9, 50, 1)]
        waiting = [lock(f"d2/{name}", 2, 0, 10, block=True) for name in names]
        steps = [{**step, "host": self.cluster["a"].ip}
                 for step in [*warm, *waiting, {"do": "granted"}]]
        pool = ThreadPoolExecutor(1)
        self.addCleanup(pool.shutdown)
        task = pool.submit(self.cluster.nlm, "c1", steps, None, self.handles)
        # And nobody else does any more.
        until(lambda: sorted(how for _, how in self.cluster.locks("a", S1))
              == ["blocked"] * len(names) + ["held"] * len(names), 60, "not all wait")
        self.expect_released("a", S1, fence)
        said = self.cluster.command("a", "nlm_unlock", f"1234 fence={fence}")
        listed = self.manifest("a").splitlines()[2:]
        print(f"    # {said.strip()}\n    # " + "\n    # ".join(
            line.replace("fsid=1234 ", "") for line in listed))
        return said, listed, lambda: task.result()[1][len(warm):]

    def in_order(self, first):
        names = self.links(first)
        said, listed, answers = self.released(names, 30)
        print(f"    # {answers()}")
        # The fence is in force: nobody is granted anything.
        self.assertEqual(answers(), [BLOCKED] * len(names) + ["NO_REPLY"])
        held = [line for line in listed if line.startswith("lock ")]
        self.assertEqual([line for line in held if " svid=2 " in line], [])
        self.assertEqual(len(held), len(names))
        self.assertIn(f"locks={len(names)} blocked={len(names)} ", said)
        self.give_up("a")

    def test_holder_first(self):
        """The holder's handle is released first: who waits by the other is not granted the lock."""
        self.in_order(True)

    def test_waiter_first(self):
        """The waiter's handle is released first: as if it were the same."""
        self.in_order(False)

    def test_next_node(self):
        """Nobody who was told that it has the lock is refused it on the next node."""
        name, = self.links(True)[:1]
        *_, answers = self.released([name], 30)
        told = answers()[-1] == GRANTED
        self.carry(1)
        steps = [{**lock(f"{d}/{name}", svid, 0, 10, reclaim=True), "host": self.cluster["b"].ip}
                 for d, svid in (("d1", 1), ("d2", 2))]
        _, reclaims = self.cluster.nlm("c1", steps, handles=self.handles)
        print(f"    # who waited was told that it has the lock: {told}; the holder's reclaim: "
              f"{reclaims[0]}, that of who waited: {reclaims[1]}")
        self.assertEqual(reclaims[0], GRANTED)
        self.assertFalse(told)
        self.over("b")
        self.end("b", S1, 1, refused=1)
        self.give_up("a")
