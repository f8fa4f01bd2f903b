# SPDX-License-Identifier: GPL-2.0-only
"""Locks that stay with NFSv4 clients, in files that are delegated to them, and whoever else wants them."""

from applications import Applications
from cluster import until
from opens import delegations, states

# As of kept.py.
FILES = 12


class Kept(Applications):
    """One keeper on each of two clients."""

    def __init__(self, cluster, fs, clients):
        self.mount, self.fs = f"/mnt/{fs.name}/kept", fs
        names = [f"k{number}-{file}" for number in range(len(clients)) for file in range(FILES)]
        cluster[clients[0]].run(f"rm -rf {self.mount} && mkdir {self.mount} && cd {self.mount} && "
                                f"touch {' '.join(names)}")
        # Those of the last time that a move began, and since then.
        self.inside, self.turns = set(), 0
        self.contested = self.were_inside = self.skipped = 0
        super().__init__(cluster, "kept", {client: ("kept.py", "hold", self.mount, number)
                                           for number, client in enumerate(clients)})

    def delegated(self, server):
        """{inode number} of the files that the server has delegated for writing."""
        text, names = states(self.cluster, server, self.fs)
        inodes = {name: inode for inode, name in names.items()}
        return {inodes[name] for kind, name in delegations(text, names, "k") if kind == "w"}

    def moves(self, server):
        """To be called before it releases the filesystem."""
        _, names = states(self.cluster, server, self.fs)
        self.inside = {names[inode] for inode in self.delegated(server)}

    def gives(self, client):
        """Have a keeper give a file back; returns its name and what is in it."""
        gave = f"{self.pause}.gave"
        self.cluster[client].run(f"rm -f {gave}")
        self.programs[client].signal("USR1")
        until(lambda: self.cluster[client].exec(["test", "-e", gave]).status == 0, 60,
              f"{client} does not give a lock back: {self.programs[client].errors()[-1000:]}")
        name, *tokens = self.cluster[client].run(f"cat {gave}").split()
        return name, tokens

    def contest(self, server):
        """Somebody else wants the locks that a keeper has had longest: a process of the server and another
        client in turns. He gets them when the keeper gives them back, and not before, and finds what
        it has written. Returns what was otherwise."""
        problems, self.turns = [], self.turns + 1
        for client in self.alive():
            held = self.said(client)
            if not held:
                self.skipped += 1
                continue
            file = held[0]
            others = [other for other in self.alive() if other != client]
            rival, path = (others[0], self.mount) if others and self.turns % 2 else \
                (server, f"{self.fs.path}/kept")
            got = self.cluster.python(rival, "kept.py", "try", f"{path}/{file}", timeout=120).split()
            if got:
                problems.append(f"had twice, by {client} and by {rival}: ranges {got} of {file}")
            name, tokens = self.gives(client)
            if name != file:
                problems.append(f"{client} has given back {name}, not {file}")
            found = self.cluster.python(rival, "kept.py", "take", f"{path}/{file}", 60, timeout=120).split()
            if found != tokens:
                problems.append(f"{client} has left {tokens} in {file}, {rival} has found {found}")
            self.contested += 1
            self.were_inside += file in self.inside
        return problems
