#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Builds the module and has the servers of a running lab use it instead of the one they have."""

import argparse
import subprocess
import sys

from cluster import REPO, Lab, LabError, module

THERE = "/run/nfs_failover.ko"


def reload(node):
    """Unload, load; returns what the kernel says about it."""
    if node.exec("grep -q ^nfs_failover /proc/modules").status == 0:
        result = node.exec("rmmod nfs_failover")
        if result.status:
            raise LabError(f"{node.name}: {result.err.decode().strip()}: is a unit active, or a "
                           f"control file open?\n{node.run('cat /proc/fs/nfsd/failover_status')}")
    before = node.log().count("\n")
    result = node.exec(f"insmod {THERE}")
    said = "\n".join(node.log().splitlines()[before:])
    if result.status:
        raise LabError(f"{node.name}: {result.err.decode().strip()}\n{said}")
    return said


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", default="lab", help="of the lab (default: lab)")
    options = parser.parse_args()
    try:
        lab = Lab(options.name)
        running = [node for node in lab.nodes.values() if node.pid]
        if not running:
            raise LabError(f"lab {options.name} is not running: make lab")
        kernel = lab.state["kernel"]
        if subprocess.run([REPO / "scripts/build", kernel], check=False).returncode:
            return 1
        # Clients have no nfsd.
        servers = [node for node in running
                   if node.exec("grep -q ^nfsd /proc/modules").status == 0]
        for node in servers:
            node.put(module(kernel), THERE)
            print(f"{node.name}: {reload(node)}", flush=True)
    except LabError as error:
        print(f"reload: {error}", file=sys.stderr)
        return 69
    return 0


if __name__ == "__main__":
    sys.exit(main())
