# SPDX-License-Identifier: GPL-2.0-only
"""A list of NFSv4 clients and what they had, as nfs4_clients takes it (see Documentation/ABI), without its
last newline."""

# What nothing is known of but that there was something.
ANYTHING = ("rw", "rw", "rw")


def text(fsid, taken, valid, clients, beside=False):
    """clients: {name as it is escaped: {inode: (open, deny, delegation, *locks)}}, the files None if they are
    not known; a lock is (type, start, end)."""
    lines, files, locks = [], 0, 0
    for name, had in clients.items():
        lines.append(f"client {'files=unknown ' if had is None else ''}name={name}")
        for inode, (opened, deny, delegation, *held) in sorted((had or {}).items()):
            lines.append(f"file inode={inode} open={opened} deny={deny} delegation={delegation}")
            lines += [f"lock type={kind} start={start} end={end}" for kind, start, end in held]
            files, locks = files + 1, locks + len(held)
    unit = f"unit fsid={fsid} phase=released taken={taken} valid={valid}{' nfs4=listed' if beside else ''}"
    return "\n".join(["nfs-failover nfs4-clients 3", unit, *lines,
                      f"end clients={len(clients)} files={files} locks={locks}"])
