#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Two nodes with Pacemaker in VMs, a client with NFSv3 and one with NFSv4.2.

The group is the one of contrib/pacemaker/two-nodes.crm; fence devices are the lab's, and "ready" is
left out, as there is no systemd. Locks have to survive moves, a node that is killed, and a standby without
the module; a rival for each of them must never get one.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

REPO = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPO / "tests/lab"))

from cluster import BUILD, CTL, Cluster, Filesystem, Lab, LabError, until  # noqa: E402

S1 = Filesystem("s1", "1234", ("10.77.0.100",))
LOCKS = 10
GRACE = 120
AGENT = "/usr/lib/ocf/resource.d/nfs-failover/nfslocks"


def documented():
    """The resources of the documented configuration, as XML, for the lab."""
    script = ("import sys; sys.path.insert(0, 'tests/cluster'); from simulate import Cluster; "
              "print(Cluster('crm', 'contrib/pacemaker/two-nodes.crm').cib.read_text())")
    text = subprocess.run([REPO / "scripts/in-root", "python3", "-c", script], cwd=REPO, check=True,
                          env=dict(os.environ, ROOT=str(BUILD / "cluster/root")),
                          capture_output=True, text=True).stdout
    cib = ElementTree.fromstring(text)
    resources = cib.find(".//resources")
    constraints = cib.find(".//constraints")
    resources.remove(resources.find("clone"))
    for constraint in [*constraints.findall("rsc_order"), *constraints.findall("rsc_colocation")]:
        constraints.remove(constraint)
    for fence in resources.findall("primitive"):
        fence.set("type", "fence_lab")
        kept = {"pcmk_host_list", "pcmk_delay_base"}
        attributes = fence.find("instance_attributes")
        for pair in [pair for pair in attributes if pair.get("name") not in kept]:
            attributes.remove(pair)
        node = attributes.find("nvpair[@name='pcmk_host_list']").get("value")
        for name, value in (("pcmk_host_check", "static-list"), ("port", node)):
            ElementTree.SubElement(attributes, "nvpair", id=f"{fence.get('id')}-{name}", name=name,
                                   value=value)
    locks = resources.find(".//primitive[@id='s1-locks']/instance_attributes")
    ElementTree.SubElement(locks, "nvpair", id="s1-locks-grace", name="grace", value=str(GRACE))
    # An emulated CPU is slow.
    for op in resources.findall(".//op"):
        op.set("timeout", "180s")
    return [cib.find(f".//{name}") for name in
            ("crm_config", "rsc_defaults", "resources", "constraints")]


class Power(threading.Thread):
    """Cuts the power of whom fence_lab names."""

    def __init__(self, lab):
        super().__init__(daemon=True)
        self.lab, self.cut, self.ends = lab, [], False
        self.disk = lab.dir / "fence.disk"

    def run(self):
        seen = b""
        while not self.ends:
            with open(self.disk, "r+b") as disk:
                asked = disk.read(512).rstrip(b"\0")
                if asked != seen:
                    seen = asked
                    node = asked.split()[0].decode()
                    self.lab[node].kill()
                    self.cut.append(node)
                    disk.seek(512)
                    disk.write(asked.ljust(512, b"\0"))
            time.sleep(0.1)


class Test:
    def __init__(self, kernel):
        self.began = time.monotonic()
        self.kernel = kernel
        self.cluster = Cluster(Lab(f"pacemaker-{kernel.replace('.', '-')}"), servers=["a", "b"],
                               clients=["c1", "c2"], filesystems=[S1])

    def say(self, text):
        print(f"[{time.monotonic() - self.began:5.0f}s] {text}", flush=True)

    def run(self, node, command, timeout=300):
        return self.cluster[node].run(command, timeout=timeout)

    def up(self):
        self.say("booting")
        self.cluster.start(self.kernel, image="cluster", raw_disks={"fence": "1M"}, mem=768)
        self.power = Power(self.cluster.lab)
        self.power.start()
        self.cluster.up(nlm_grace=5, nfs4_grace=30)
        for node in self.cluster.servers:
            self.node_up(node)
        self.configure()
        self.wait("a", 's1-ip[^\n]*Started (a|b)', "the group does not start")

    def configure(self):
        """Have Pacemaker manage what is documented."""
        text = self.run("a", "cibadmin --query --scope configuration")
        configuration = ElementTree.fromstring(text)
        for part in documented():
            for old in configuration.findall(part.tag):
                configuration.remove(old)
            configuration.append(part)
        text = ElementTree.tostring(configuration, "unicode")
        self.cluster["a"].run("cibadmin --replace --scope configuration --xml-pipe",
                              input=text.encode(), timeout=120)

    def node_up(self, node, module=True):
        """Everything up to Pacemaker."""
        self.cluster.configure()
        if module:
            self.cluster.load(node)
        machine = self.cluster[node]
        machine.run(f"mkdir -p {os.path.dirname(AGENT)} && ln -sf {CTL} /usr/sbin/nfs-failoverctl")
        machine.put(REPO / "tools/ocf/nfslocks", AGENT)
        machine.put(REPO / "tests/cluster/fence_lab", "/usr/sbin/fence_lab")
        machine.put(REPO / "tests/cluster/stack-up.sh", "/run/stack-up.sh")
        machine.run("sh /run/stack-up.sh a b", timeout=180)
        until(lambda: "Online: " in self.crm_mon(node), 300, f"Pacemaker does not come up on {node}")

    def crm_mon(self, node):
        return self.cluster[node].exec("crm_mon -1 -rf 2>&1", timeout=120).text

    def wait(self, node, pattern, message, seconds=400):
        until(lambda: re.search(pattern, self.crm_mon(node)), seconds,
              lambda: f"{message}\n{self.crm_mon(node)}\n{self.tail(node)}")

    def tail(self, node):
        return self.cluster[node].exec("tail -n 60 /var/log/pacemaker/pacemaker.log; "
                                       "tail -n 30 /var/log/*.out").text

    def serves(self, node, seen_by=None):
        self.wait(seen_by or node, rf"s1-ip[^\n]*Started {node}\b", f"{node} does not serve s1")

    # Clients

    def begin(self, node):
        # Nobody has anything to reclaim.
        self.cluster.end_recovery(node, S1)
        self.run(node, f"chmod 1777 {S1.path}; cd {S1.path} && mkdir -p v3 v4 && chmod 1777 v3 v4")
        self.cluster.mount("c1", S1, vers="3")
        self.cluster.mount("c2", S1, vers="4.2")
        self.holders = {client: self.cluster.spawn(client, "locks.py", "hold", f"/mnt/s1/{where}", LOCKS)
                        for client, where in (("c1", "v3"), ("c2", "v4"))}
        for holder in self.holders.values():
            holder.expect(f"held {LOCKS}", 150)
        self.rivals = {client: self.cluster.spawn(client, "locks.py", "rival", f"/mnt/s1/{where}", LOCKS,
                                                  "--interval", "1")
                       for client, where in (("c1", "v4"), ("c2", "v3"))}
        for rival in self.rivals.values():
            rival.expect("round", 150)

    def safe(self, node, what):
        """All locks are back on a node, and none was given to a rival."""
        def back():
            units = [line for line in self.cluster.status(node) if line.get("fsid") == S1.fsid]
            return units and int(units[0]["reclaimed"]) >= 2 * LOCKS
        until(back, 200, lambda: f"{what}: locks are not reclaimed: {self.cluster.status(node)}")
        refused = [line["refused"] for line in self.cluster.status(node) if "refused" in line]
        self.expect(set(refused), {"0"}, what)
        for rival in self.rivals.values():
            self.expect("GOT" in rival.output(), False, f"{what}: a rival has got a lock")
        self.say(f"ok: {what}")

    def expect(self, found, wanted, what):
        if found != wanted:
            raise LabError(f"{what}: {found}, expected {wanted}")

    def agent(self, node, action, command="", **more):
        """The exit status of the agent, called as Pacemaker does, by another command."""
        words = " ".join(f"{name}={value}" for name, value in more.items())
        return self.cluster[node].exec(f"OCF_ROOT=/usr/lib/ocf OCF_RESKEY_service=s1 {words} "
                                       f"{command} {AGENT} {action}",
                                       timeout=120)

    # The cases

    def move(self, source, target):
        self.run(source, f"crm_resource --move -r s1 -N {target}")
        self.serves(target)
        self.run(source, "crm_resource --clear -r s1")
        self.expect(self.agent(source, "monitor").status, 7, f"monitor on {source}")
        self.expect(self.agent(target, "monitor").status, 0, f"monitor on {target}")
        self.safe(target, f"moved from {source} to {target}")

    def crash(self, dead, other):
        """The power of a node fails."""
        cut = len(self.power.cut)
        self.cluster[dead].kill()
        self.serves(other)
        self.expect(self.power.cut[cut:], [dead], "fenced")
        self.safe(other, f"{dead} was killed, {other} has taken over")

    def standby_without_module(self, node, active):
        self.cluster.boot(node)
        self.cluster.server_up(node, nlm_grace=5, nfs4_grace=30)
        self.node_up(node, module=False)
        self.wait(active, r"Online: \[ a b \]", f"{node} does not come back")
        self.expect(self.agent(node, "monitor").status, 5, "monitor without module")
        start = self.agent(node, "start")
        self.expect((start.status, b"has no module nfs_failover" in start.err), (5, True), "start without")
        self.expect(self.agent(node, "stop").status, 0, "stop without module")
        # It is closed: nothing moves there, and nothing is stopped for that.
        self.run(active, f"crm_resource --move -r s1 -N {node}")
        self.run(active, "crm_resource --wait")
        self.serves(active)
        self.run(active, "crm_resource --clear -r s1")
        for rival in self.rivals.values():
            self.expect("GOT" in rival.output(), False, "a rival has got a lock")
        self.say(f"ok: {node} has no module and is left alone")
        self.cluster.load(node)
        self.run(active, "crm_resource --refresh -r s1-locks")
        self.run(active, "crm_resource --wait")

    def end(self, node):
        for client, holder in self.holders.items():
            holder.signal("USR1")
            holder.expect(f"checked {LOCKS} errors 0", 150)
            summary = holder.stop()
            self.expect((summary["held"], summary["errors"]), (LOCKS, {}), f"locks of {client}")
        for client, rival in self.rivals.items():
            self.expect(rival.stop()["grants"], 0, f"locks that {client} has got")
        totals = json.dumps(self.cluster.status(node)[-1])
        self.say(f"ok: all locks were kept ({totals})")

    def killed_stops(self, node):
        """Stops that are killed at some moment are finished by the next, with the whole list."""
        self.run("c2", "umount /mnt/s1")
        self.run(node, "crm_attribute --type crm_config --name maintenance-mode --update true")
        self.run(node, "crm_resource --wait")
        self.cluster.expire(node, S1)
        self.cluster.end_recovery(node, S1)
        holder = self.cluster.spawn("c1", "locks.py", "hold", "/mnt/s1/v3", LOCKS)
        holder.expect(f"held {LOCKS}", 150)
        address = f"{S1.ip}/24 dev eth0"
        # A list that was read is kept to for so long, and with that a recovery here.
        self.run(node, r"sed -i 's/^ip = .*/&\nfence = 10/' /etc/nfs-failover.toml")
        for seconds in ("0.02", "0.05", "0.08", "0.12"):
            self.run(node, f"ip addr del {address}")
            killed = self.agent(node, "stop", command=f"timeout --signal=KILL {seconds}").status
            self.expect(self.agent(node, "stop").status, 0, f"stop after one of {seconds} s")
            self.expect(self.agent(node, "monitor").status, 7, "monitor after that")
            listed = self.run(node, f"tail -n 1 {S1.path}/.nsm/manifest")
            self.expect(listed.split()[:2], ["end", f"locks={LOCKS}"], f"list after {seconds} s")
            # The node that has released it does not believe in its own list, and gives all the time.
            start = self.agent(node, "start", OCF_RESKEY_grace=20)
            self.expect(start.status, 0, f"start: {start}")
            self.run(node, f"ip addr add {address}")
            until(lambda: f"reclaimed={LOCKS} refused=0" in self.cluster.read(node, "failover_status"), 200,
                  "locks are not reclaimed")
            until(lambda: "units=0" in self.cluster.read(node, "failover_status"), 200, "it recovers still")
            self.say(f"ok: a stop that was ended after {seconds} s ({killed}) was finished by the next")
        self.expect(holder.stop()["errors"], {}, "locks")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kernel", default="7.3")
    options.add_argument("--keep", action="store_true", help="leave the VMs running if it fails")
    options = options.parse_args()
    test = Test(options.kernel)
    done = False
    try:
        test.up()
        first = "a" if "Started a" in test.crm_mon("a") else "b"
        other = "b" if first == "a" else "a"
        test.say(f"{first} serves")
        test.begin(first)
        test.move(first, other)
        test.move(other, first)
        test.crash(first, other)
        test.standby_without_module(first, other)
        test.move(other, first)
        test.end(first)
        test.killed_stops(first)
        done = True
    except LabError as error:
        sys.exit(f"FAILED: {error}")
    finally:
        if done or not options.keep:
            test.cluster.lab.close()


if __name__ == "__main__":
    main()
