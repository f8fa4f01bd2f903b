# SPDX-License-Identifier: GPL-2.0-only
"""tests/kselftest, the test that administrators run on a node, passes here and leaves nothing."""

import re

from cluster import BUILD, REPO
from testbed import Case
from vmlab.node import output

SERVERS = ("a",)
CLIENTS = ()
WEIGHT = 2
# Its own network namespaces come and go.
INSIDE = re.compile(r"nfs_failover: \S+ in net:\[\d+\]: "
                    r"(released|recovering|recovery over|fence over|(no )?floating address).*"
                    r"|nfs_failover: \S+ \S+ \S+ in net:\[\d+\]: recover.*"
                    r"|loop: module loaded|loop\d+: .*|.*nfsd: .*recovery.*")
LEFT = "ls /tmp /srv; losetup -a; ip netns list; cat /proc/mounts; cat /proc/fs/nfsd/failover_status"


class Kselftest(Case):
    def log(self, node):
        return [line for line in super().log(node) if not INSIDE.fullmatch(line)]

    def test_all(self):
        node, kernel = self.cluster["a"], self.bed.kernel
        installed = BUILD / "kselftest-installed" / self.cluster.lab.name
        source = BUILD / "kernel" / kernel / "source"
        output(REPO / "scripts/in-root", "make", "-s", "-C", REPO / "tests/kselftest",
               f"KDIR={source}", f"BUILD={installed}.build", f"INSTALL_PATH={installed}", "install")
        node.put(installed, "/run/kselftest")
        # As on a node that has exports, some of which lead to what is not there for the test.
        node.run("mkdir -p /etc/exports.d && ln -s /run/nowhere /etc/exports.d/nowhere.exports")
        self.addCleanup(node.run, "rm /etc/exports.d/nowhere.exports")
        before = node.run(LEFT)
        for test in sorted((installed / "nfs_failover").glob("*.sh")):
            if test.name in ("lib.sh", "server.sh"):
                continue
            result = node.exec(f"cd /run/kselftest/nfs_failover && ./{test.name}", timeout=180)
            print("".join(f"    # {test.name}: {line}\n" for line in result.text.splitlines()))
            self.assertEqual(result.status, 0, f"{test.name}: {result}")
            self.assertNotIn("SKIP", result.text)
        self.assertEqual(node.run(LEFT), before)
