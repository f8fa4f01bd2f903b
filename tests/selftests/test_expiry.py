# SPDX-License-Identifier: GPL-2.0-only
"""lockd forgets a client that has not locked through an address for five minutes.

statd is told of that address only: the client goes on being monitored for others.
"""

from cases import FloatingCase
from testbed import S1, S2, until

SERVERS = (FloatingCase.node,)
CLIENTS = ("c1",)
# Seconds: NLM_HOST_EXPIRE, NLM_HOST_COLLECT (fs/lockd/host.c), and some more.
EXPIRY = 300 + 120 + 60


class Expiry(FloatingCase):
    BY_NAME_ONLY = True

    def test_one_of_two(self):
        """A client that still uses one of two floating addresses stays on record for that one."""
        self.add(S1.ip)
        self.add(S2.ip)
        client = self.address("c1")
        used, idle = self.mount("c1", S1.ip), self.mount("c1", S2.ip, S2)
        for at in used, idle:
            self.assertEqual(self.lock("c1", at), "")
        self.assertEqual(self.monitored(), [(client, S1.ip), (client, S2.ip)])

        def expired():
            self.assertEqual(self.lock("c1", used), "")
            return (client, S2.ip) not in self.monitored()
        until(expired, EXPIRY, "lockd does not forget the client")
        self.assertEqual(self.monitored(), [(client, S1.ip)])
        self.assertEqual({ip: line["clients"] for ip, line in self.lists().items()},
                         {S1.ip: "1", S2.ip: "0"})
        # It comes back, and so does its record.
        self.assertEqual(self.lock("c1", idle), "")
        self.assertEqual(self.monitored(), [(client, S1.ip), (client, S2.ip)])
