# SPDX-License-Identifier: GPL-2.0-only
"""What Pacemaker would do with a configuration: simulate.py crm|pcs FILE

No cluster is needed: crm_simulate is given a CIB that only the tool in question has written to.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

GROUP = ["s1-fs", "s1-export", "s1-locks", "s1-ip"]


class Cluster:
    """Two nodes that are not there."""

    def __init__(self, tool, file):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.cib = self.dir / "cib.xml"
        text = run("cibadmin", "--empty")
        nodes = '<nodes><node id="1" uname="a"/><node id="2" uname="b"/></nodes>'
        self.cib.write_text(re.sub("<nodes */>", nodes, text))
        if tool == "crm":
            env = {"CIB_file": str(self.cib)}
            said = run("crm", "-F", "configure", "load", "update", file, **env)
        else:
            # The file as it is, but for the CIB; and there is no systemd to ask for its units.
            script = """
                pcs() {
                    case $* in *systemd:*) set -- "$@" --force ;; esac
                    command pcs -f "$0" "$@" || exit
                }
                . "$1\""""
            said = run("sh", "-c", script, str(self.cib), os.path.abspath(file))
        # There is no systemd that could be asked for its units.
        wrong = [line for line in said.splitlines() if "ERROR" in line and "systemd:" not in line]
        assert tool == "pcs" or not wrong, said

    def turn(self, *happens):
        """What is done when something happens, in order; the result is the next state."""
        out = self.dir / "out.xml"
        said = run("crm_simulate", "--xml-file", str(self.cib), *happens, "--quorum", "1", "--simulate",
                   "--save-output", str(out))
        out.replace(self.cib)
        found = []
        for line in said.splitlines():
            match = re.match(r"\s+\* Resource action: (\S+)\s+(start|stop) on (\w)", line)
            if match:
                found.append(match.groups())
            elif match := re.match(r"\s+\* Fencing (\w) ", line):
                found.append(("", "fence", match[1]))
        self.said = said
        return found

    def group(self, *happens):
        """The same of the group only, and of fencing."""
        return [turn for turn in self.turn(*happens) if turn[0] in GROUP + [""]]

    def has(self, word):
        return word in self.said


def run(*command, **env):
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, **env}, timeout=120)
    said = done.stdout + done.stderr
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{said}")
    return done.stdout if command[0] == "cibadmin" else said


def all_of(action, node):
    group = GROUP if action == "start" else GROUP[::-1]
    return [(resource, action, node) for resource in group]


def expect(what, found, wanted, cluster):
    if found != wanted:
        sys.exit(f"{what}:\nfound  {found}\nwanted {wanted}\n{cluster.said}")
    print(f"{what}: {found}")


def main():
    cluster = Cluster(*sys.argv[1:])
    start = cluster.group("--node-up", "a", "--node-up", "b")
    assert start, cluster.said
    run("crm_verify", "--verbose", "--xml-file", str(cluster.cib))
    node = start[0][2]
    other = "b" if node == "a" else "a"
    expect("start", start, all_of("start", node), cluster)
    expect("nothing", cluster.group(), [], cluster)
    kept = cluster.cib.read_text()

    def again():
        cluster.cib.write_text(kept)

    def served():
        return cluster.group("--node-fail", node)

    # A node that dies is off before the group starts elsewhere.
    expect("crash", cluster.group("--node-fail", node),
           [("", "fence", node)] + all_of("start", other), cluster)
    # And nothing moves back.
    expect("back", cluster.group("--node-up", node), [], cluster)

    again()
    move = all_of("stop", node) + all_of("start", other)
    failed = ("--op-inject", f"s1-locks_monitor_10000@{node}=1")
    expect("monitor fails", cluster.group(*failed), move, cluster)
    again()
    failed = ("--op-fail", f"s1-locks_stop_0@{node}=1", "--op-inject", f"s1-ip_monitor_10000@{node}=1")
    found = cluster.group(*failed)
    expect("stop fails", found[:2], [("s1-ip", "stop", node), ("s1-locks", "stop", node)], cluster)
    expect("after that", cluster.group(), [("", "fence", node)] + all_of("start", other), cluster)

    # A node whose configuration file is wrong is closed, and what runs elsewhere goes on.
    again()
    closed = ("--op-inject", f"s1-locks_monitor_0@{other}=2")
    expect("wrong configuration", cluster.group(*closed), [], cluster)
    expect("after that", served(), [("", "fence", node)] + all_of("start", other)[:2], cluster)

    # A node without module is closed, and so is one that is not ready.
    again()
    closed = ("--op-inject", f"s1-locks_monitor_0@{other}=5")
    cluster.group(*closed)
    # Its address stays down.
    expect("no module", served(), [("", "fence", node)] + all_of("start", other)[:2], cluster)
    again()
    closed = ("--op-inject", f"ready_monitor_30000@{other}=1", "--op-fail", f"ready_start_0@{other}=1")
    cluster.turn(*closed)
    expect("not ready", served(), [("", "fence", node)], cluster)


if __name__ == "__main__":
    main()
