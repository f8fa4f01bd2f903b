# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts in a trace, and the module that goes while somebody traces."""

from test_manifest import GRANTED, WAIT, ManifestCase, lock
from testbed import S1

SERVERS = ("a",)
CLIENTS = ("c1",)
TRACING = "cd /sys/kernel/tracing &&"
EVENTS = "events/nfs_failover"
LINE = "nfs_failover_verdict: fsid=1234 client={} operation={} verdict={} reason=recovering\n"


class Trace(ManifestCase):
    def test_verdicts(self):
        """What is asked, by whom, and what came of it; without the module there is no event."""
        node, client = self.cluster["a"], self.cluster["c1"].ip
        self.cluster.serve("a", S1)
        self.files("a", S1, "f")
        self.recover("a")
        self.play("a", (WAIT, lock("f", 2, 0, 10)))
        node.run(f"{TRACING} echo 1 > {EVENTS}/enable")
        self.play("a", (GRANTED, lock("f", 1, 0, 10, reclaim=True)), (WAIT, lock("f", 2, 0, 10)))
        said = node.run(f"{TRACING} cat trace") + "\n"
        self.assertIn(LINE.format(client, "reclaim", "pass"), said)
        # lockd asks once whether it may open the file, and may ask again.
        waits = said.count(LINE.format(client, "new", "wait"))
        self.assertIn(waits, (1, 2), said)
        self.log_expect("a", "fsid=1234: recovery over, ended by hand: "
                             "reclaimed=1 refused=0 waits=2")
        self.cluster.end_recovery("a", S1)
        self.cluster.unload("a")
        self.assertEqual(node.run(f"{TRACING} [ -e {EVENTS} ] || echo none"), "none")
        self.play("a", (GRANTED, lock("f", 2, 20, 10)))
        self.cluster.load("a")
        self.log_expect("a", "loaded")
        self.assertEqual(node.run(f"{TRACING} cat {EVENTS}/enable"), "0")
