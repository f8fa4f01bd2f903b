# SPDX-License-Identifier: GPL-2.0-only
"""What a release meets in the middle: lockd granting a lock, somebody reading the lists."""

import json
import re

from cases import ManifestCase
from cluster import BIN, words
from testbed import NOISE, S1, S2, until


class Races(ManifestCase):
    def fill(self, directory, count, node="c1"):
        """Files on S1, each locked by one holder on a node."""
        self.cluster["a"].run(f"mkdir {S1.path}/{directory} && cd {S1.path}/{directory} && "
                              f"seq 0 {count - 1} | xargs touch")
        filled = self.cluster[node].run(
            ["python3", f"{BIN}/fill.py", S1.ip, S1.path, "files", directory, str(count)],
            timeout=120)
        self.assertEqual(json.loads(filled)["granted"], count)

    def test_between(self):
        """What a release takes down while lockd is granting it stays on the list."""
        rounds = 20
        self.serve()
        # Hooks look at what became of a request only while there is a unit.
        self.recover("a", S2, 1000)
        growers = []
        for client in "c1", "c2":
            self.cluster.mount(client, S1)
            growers += [self.cluster.spawn(client, "grow.py", "/mnt/s1", f"{client}-{number}-",
                                           "--most", 100000) for number in range(4)]
        for grower in growers:
            until(lambda: "granted" in grower.output(), 60, "nobody is granted a lock")  # noqa: B023
        # On the node's only CPU, ahead of lockd: what lockd has begun is completed in between if
        # the release waits for it. The sleeps wait for nothing: each release shall meet lockd
        # somewhere else. The second release has the list put in order. What was dropped clients have
        # to get the time to reclaim, or there is no list the next time.
        self.cluster["a"].run("cat > /run/between.sh", input=b"""
cd /proc/fs/nfsd
for round in $(seq "$1"); do
    sleep 0.0$((round % 10))
    echo 1234 fence=300 > nlm_unlock && echo 1234 fence=300 > nlm_unlock
    while read -r line; do
        case $line in *fsid=1234*) echo "$line" ;; esac
    done < failover_status
    echo 1234 300 > nlm_set_igrace
    until grep -q 'fsid=1234 .* waits=[1-9]' failover_status; do sleep 0.1; done
    echo 1234 0 > nlm_set_igrace
done
""")
        self.log_expect("a", *[r"fsid=1234: released for 300 s, dropped .*",
                               r"fsid=1234: released for 300 s, dropped locks=0 .*",
                               r"fsid=1234: recovering for 300 s",
                               r"fsid=1234: recovery over, ended by hand: .*"] * rounds)
        lines = self.cluster["a"].run(f"chrt -f 50 sh /run/between.sh {rounds}",
                                      timeout=300).splitlines()
        units = [words(line.partition(" ")[2]) for line in lines]
        self.assertEqual(len(units), rounds)
        self.assertGreater(sum(int(unit["manifest"]) for unit in units), rounds)
        self.assertEqual([unit for unit in units if unit["manifest"] != unit["outstanding"]], [])
        for grower in growers:
            grower.signal()
            grower.wait()
        self.log_expect("a", f"fsid={S2.fsid}: recovery over, ended by hand: .*")
        self.cluster.end_recovery("a", S2)

    def test_sweep(self):
        """Who reads lists in the middle of a release takes nothing from the list it makes."""
        count = 2000
        self.serve()
        self.fill("many", count)
        # Reading releases what slipped into a release. It is ahead of the release on the only CPU.
        self.cluster["a"].run("cat > /run/reading.py", input=b"""
import time
while True:
    with open("/proc/fs/nfsd/lock_manifest") as file:
        file.read(1)
    print("read", flush=True)
    time.sleep(0.001)
""")
        self.cluster["a"].run("chrt -f 50 python3 /run/reading.py < /dev/null > /run/reading 2>&1 & "
                              "echo $! > /run/reading.pid")
        until(lambda: "read" in self.cluster["a"].run("head -n 1 /run/reading"), 60,
              "nobody reads the lists")
        self.release_only(f"locks={count} blocked=0 shares=0 files={count}", fence=40)
        self.cluster["a"].run("kill $(cat /run/reading.pid)")
        self.assertEqual(self.manifest("a").splitlines()[-1],
                         f"end locks={count} blocked=0 shares=0")
        self.give_up("a")

    def test_reclaims(self):
        """However far reclaims are when the filesystem goes again, all locks go along."""
        # So many that they are not all back in the time that the commands themselves take.
        rounds, count = 30, 600
        self.serve()
        self.fill("many", count, node="a")
        # All over again, whatever the answer is. On the server, to be stopped while it gets a list:
        # that comes before the export, and nobody can reclaim.
        self.cluster["a"].run("cat > /run/reclaiming.py", input=f"""
import sys
sys.path.insert(0, "{BIN}")
import fill
sys.argv[1:] = "{S1.ip} {S1.path} files many {count} reclaim".split()
while True:
    fill.main()
""".encode())
        self.cluster["a"].run("python3 /run/reclaiming.py < /dev/null > /run/reclaiming 2>&1 & "
                              "echo $! > /run/reclaiming.pid")
        # Ahead of lockd as above: the next release comes wherever lockd is by then. A node does not
        # believe its own list, so it gets one as if another node had had the filesystem meanwhile. What
        # is on its way when the client is stopped has to be over: with a reclaim no list is taken.
        # How long it has depends on the machine: shorter if all were back, longer if none was.
        self.cluster["a"].run("cat > /run/again.sh", input=b"""
cd /proc/fs/nfsd
wait=100
for round in $(seq "$1"); do
    exec 3<> nlm_unlock && echo 1234 fence=300 >&3 && read -r said <&3 && echo "$said"
    case $said in
        *" locks=$2 "*) wait=$((wait / 2)) ;;
        *" locks=0 "*) wait=$((wait < 400 ? wait * 2 + 1 : wait)) ;;
    esac
    exec 3<> lock_manifest && echo 1234 >&3 && cat <&3 > /run/again && tail -n 1 /run/again
    sed -i "2s/taken=[0-9.]*/taken=$(date +%s.%N)/" /run/again
    kill -STOP $(cat /run/reclaiming.pid)
    until grep -q '^State:.T' /proc/$(cat /run/reclaiming.pid)/status; do sleep 0.01; done
    sleep 0.5
    echo 1234 300 > nlm_set_igrace && cat /run/again > lock_manifest
    kill -CONT $(cat /run/reclaiming.pid)
    sleep "$(printf '0.%03d' $wait)"
done
""")
        lines = self.cluster["a"].run(f"chrt -f 50 sh /run/again.sh {rounds} {count}",
                                      timeout=300).splitlines()
        self.assertEqual(lines[1::2], [f"end locks={count} blocked=0 shares=0"] * rounds)
        said = [words(line) for line in lines[::2]]
        self.assertEqual([unit["manifest"] for unit in said], ["complete"] * rounds)
        back = [int(unit["locks"]) for unit in said[1:]]
        print(f"    # back: {back}")
        # Some met it in the middle.
        self.assertTrue(any(0 < locks < count for locks in back), back)
        self.cluster["a"].run("pkill -f [r]eclaiming.py; grep -q Traceback /run/reclaiming && "
                               "cat /run/reclaiming >&2 && exit 1; true")
        # Whether all were back by the next release is a matter of luck.
        lines = [line for line in self.log("a") if not NOISE.search(line)]
        for line in lines[1:]:
            self.assertRegex(line, r"fsid=1234: (released for 300 s, dropped locks=\d+ blocked=0 .*|"
                             rf"recovering for 300 s|manifest of {count} locks and shares|recovery "
                             r"over, nothing is outstanding: reclaimed=\d+ refused=0 .*)$")
        self.expected["a"] = [re.escape(line) for line in lines]

    def test_rebooted(self):
        """What a client has given up all at once does not go on to the next node, however soon the
        filesystem goes."""
        self.serve()
        self.cluster["a"].run(f"touch {S1.path}/f")
        # Ahead of lockd and of the timer on the only CPU: the release is there before what the client
        # gave up is settled. A node does not believe its own list, as above.
        self.cluster["a"].run("cat > /run/rebooted.py", input=f"""
import os
import re
import sys
import time
sys.path.insert(0, "{BIN}")
import nfs3
from moment import command, unit
from nlm import Nlm
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
fh = nfs3.handle("{S1.ip}", "{S1.path}", "f")
with Nlm("{S1.ip}", port=4001) as nlm:
    print(nlm.lock(fh, svid=1, start=0, length=10, exclusive=True))
    command("nlm_unlock", "1234 fence=300")
    listed = command("lock_manifest", "1234")
    command("nlm_set_igrace", "1234 300")
    listed = re.sub("taken=[0-9.]*", f"taken={{time.time():.9f}}", listed, count=1)
    with open("/proc/fs/nfsd/lock_manifest", "w") as file:
        file.write(listed)
    print(unit(1234)["outstanding"])
    nlm.free_all()
    said = command("nlm_unlock", "1234 fence=300")
while "manifest" not in unit(1234):
    time.sleep(0.01)
time.sleep(1)
print(said.split()[-1], unit(1234)["outstanding"])
""".encode())
        self.log_expect("a", "fsid=1234: released for 300 s, dropped locks=1 .*",
                        "fsid=1234: recovering for 300 s")
        self.taken("a", 1)
        said = self.cluster["a"].run("python3 /run/rebooted.py", timeout=60)
        lines = [line for line in self.log("a") if not NOISE.search(line)]
        self.expected["a"] = [re.escape(line) for line in lines]
        self.assertEqual(said.splitlines(), ["GRANTED", "1", "manifest=complete 0"])
