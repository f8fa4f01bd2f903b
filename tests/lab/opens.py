# SPDX-License-Identifier: GPL-2.0-only
"""Opens that deny others access, and delegations, as clients and as the server have them."""

import re
import time
from collections import Counter

import lockhistory
from applications import Applications
from cluster import until

# What was found by its handle, as in a reclaim, need not have a name there.
OPEN = re.compile(r'type: open, access: (..), deny: (..), superblock: "[^"]*:(\d+)", .*owner: "([^"]+)"')
DELEGATION = re.compile(r'type: deleg, access: ([rw])\w*, superblock: "[^"]*:(\d+)"')
WORDS = {"--": "none", "r-": "read", "-w": "write", "rw": "both"}
FILES = 2


def states(cluster, server, fs):
    """All that a server has for its NFSv4 clients, as text; the files it may be about, {inode: name}."""
    text = cluster[server].run("cat /proc/fs/nfsd/clients/*/states 2>/dev/null || :")
    names = cluster[server].run(f"cd {fs.path} && find -name 'deny*' -printf '%i %f\\n' "
                                "-o \\( -path './delegated/*' -o -path './kept/*' \\) -printf '%i %f\\n'")
    return text, dict(line.split() for line in names.splitlines())


def opens(text, names):
    """Opens of nfs4.py among that, as it says them itself."""
    return Counter(f"{names[inode]} {WORDS[access]}/{WORDS[deny]} {owner}"
                   for access, deny, inode, owner in OPEN.findall(text)
                   if names.get(inode, "").startswith("deny"))


def delegations(text, names, begin="d"):
    """(r or w, file) of those of delegated.py among that; with "k" of kept.py."""
    return [(kind, names[inode]) for kind, inode in DELEGATION.findall(text)
            if names.get(inode, "").startswith(begin)]


def opens_verdict(records, bound):
    """(how often what was done with opens, problems)."""
    done = Counter((record.operation, record.result) for record in records if "/" in record.kind)
    wrong = lockhistory.wrongly_denied(records, bound)
    done["open", "wrongly denied"] = len(wrong)
    return done, [f"denied although nobody had it open: {record}\n"
                  + lockhistory.story(records, record.file, 0, record.began) for record in wrong[:3]]


class Opens(Applications):
    """Raw clients; versions: {client: version of NFS}."""

    def __init__(self, cluster, fs, versions, seed=0):
        self.fs = fs
        for number in range(FILES):
            cluster[next(iter(versions))].run(f"touch /mnt/{fs.name}/deny{number}")
        super().__init__(cluster, "opens", {
            client: ("nfs4.py", "hammer", fs.ip, fs.path, version, "--files", FILES,
                     "--seed", seed + number)
            for number, (client, version) in enumerate(versions.items())})

    def difference(self, server):
        ours = Counter(line for client in self.alive() for line in self.said(client))
        there = opens(*states(self.cluster, server, self.fs))
        return ([f"lost, not on {server}: open {one}" for one in ours - there]
                + [f"nobody's, but on {server}: open {one}" for one in there - ours])


class Delegations(Applications):
    """Files whose delegations clients recall from each other; clients: two of NFSv4."""

    def __init__(self, cluster, fs, servers, clients, seed=0):
        directory = f"/mnt/{fs.name}/delegated"
        cluster[clients[0]].run(f"rm -rf {directory} && mkdir {directory} && cd {directory} && "
                                "touch $(seq -f d%g 0 39)")
        # After that: it is one client that has made them all.
        for server in servers:
            cluster[server].run("sysctl -q fs.leases-enable=1")
        self.fs, self.mount = fs, f"/mnt/{fs.name}"
        self.seen, self.recalled = Counter(), 0
        # Recoveries in which something was to be recalled, and those in which nothing was delegated.
        self.rounds = self.without = 0
        super().__init__(cluster, "delegations", {
            client: ("delegated.py", directory, number, "--seed", seed + number)
            for number, client in enumerate(clients)})

    def there(self, server):
        """How much of each kind is delegated there."""
        return Counter(kind for kind, _ in delegations(*states(self.cluster, server, self.fs)))

    def wait_delegated(self, server, timeout=120):
        """Until something of each kind is delegated there: of one, two, as one may just be recalled."""
        def enough():
            there = self.there(server)
            return there["r"] and there["w"] > 1
        until(enough, timeout,
              lambda: f"{server} does not delegate for reading and writing: {self.there(server)}")
        self.seen.update(self.there(server))

    def recall(self, server, timeout=24):
        """Read on the server, so that no grace period holds it back, half of what is delegated for writing;
        the others stay with their clients for moves to come."""
        deadline, files = time.monotonic() + timeout, []
        while not files and time.monotonic() < deadline:
            files = [file for kind, file in delegations(*states(self.cluster, server, self.fs))
                     if kind == "w"][::2]
        for file in files:
            self.cluster[server].run(f"cat {self.fs.path}/delegated/{file} >/dev/null", timeout=60)
        self.recalled += len(files)
        self.rounds += 1
        self.without += not files

    def returned(self):
        """How many delegations clients have given back."""
        count = 0
        for client in self.alive():
            there = False
            for line in self.cluster[client].run("cat /proc/self/mountstats").splitlines():
                if line.startswith("device "):
                    there = f" on {self.mount} with " in line
                elif there and line.strip().startswith("DELEGRETURN:"):
                    count += int(line.split()[1])
        return count
