# SPDX-License-Identifier: GPL-2.0-only
"""The VM lab: nodes on one network segment of their own, with shared disks.

    lab = Lab("lab")
    lab.start(["a", "b", "client"], kernel="7.2", disks={"disk1": "64M"})
    print(lab["a"].exec("uname -r").text)
    lab.stop()

Everything of a lab is in build/lab/<name>/ and in the network namespace
nfsfo-<name>-<checksum of build/>. State is in the file system only, so that scripts/lab and a test
can use the same lab at the same time.
"""

import json
import os
import shutil
import signal
import subprocess
import time
import uuid
import zlib
from pathlib import Path

from .agent import CommandTimeout, LabError, Result
from .node import (BOOT_TIMEOUT, BUILD, REPO, Node, live_pid, output, start_time, until,
                   write_whole)

__all__ = ["Lab", "Node", "LabError", "CommandTimeout", "Result"]

# Size of a disk for payload, in this or a multiple.
PAYLOAD_STEP = 64 << 20


class Lab:
    """Some VMs; lab["a"] is a Node."""

    def __init__(self, name="lab"):
        if not name.replace("-", "").isalnum():
            raise LabError(f"lab name \"{name}\": use letters, digits and -")
        self.name = name
        # Another checkout on this machine may have a lab of the same name.
        self.netns = f"nfsfo-{name}-{zlib.crc32(str(BUILD).encode()):08x}"
        self.dir = BUILD / "lab" / name
        self.children = []
        self.ours = False
        self._load()

    def _load(self):
        try:
            self.state = json.loads((self.dir / "lab.json").read_text())
        except FileNotFoundError:
            self.state = {"nodes": []}
        self.nodes = {n: Node(self, n, 11 + i) for i, n in enumerate(self.state["nodes"])}

    @staticmethod
    def all():
        return [Lab(p.parent.name) for p in sorted((BUILD / "lab").glob("*/lab.json"))]

    def __getitem__(self, name):
        try:
            return self.nodes[name]
        except KeyError:
            known = " ".join(self.nodes) or "none, start it first"
            raise LabError(f"lab {self.name} has no node \"{name}\" (it has: {known})") from None

    @staticmethod
    def disk_uuid(name):
        """UUID of the filesystem made on a disk: the same in every lab."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.nfs-failover.lab"))

    def start(self, nodes, kernel="7.2", disks=None, raw_disks=None, payload=(), mem=512,
              cpus=1, counted=False, only=None, image="root", timeout=BOOT_TIMEOUT, progress=lambda text: None):
        """Boot nodes (names). disks and raw_disks: {name: size}; payload: directories for /lab.

        only: which of them to boot now; the others may be booted later.
        image: of their root filesystem, in build/vm.
        counted: in VMs without KVM, time that the CPU is busy is its number of instructions, 2 ns
        each, whatever else the machine does.
        """
        if any(n.pid for n in self.nodes.values()):
            raise LabError(f"lab {self.name} is running: scripts/lab stop --name {self.name}")
        for need in BUILD / "kernel" / kernel / "vm" / "vmlinux", BUILD / "vm" / f"{image}.img":
            if not need.exists():
                raise LabError(f"no {need}, run scripts/setup {kernel}")
        self.stop()
        self.ours = True
        disks, raw_disks = dict(disks or {}), dict(raw_disks or {})
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        for name, size in (disks | raw_disks).items():
            self._make_disk(name, size, name in disks)
        if payload:
            self._make_payload(payload)
        write_whole(self.dir / "lab.json", json.dumps({
            "nodes": list(nodes), "kernel": kernel, "mem": mem, "payload": bool(payload),
            "cpus": cpus, "counted": counted, "image": image, "disks": [*disks, *raw_disks]}))
        self._load()
        self._make_network()
        now = [node for node in self.nodes.values() if only is None or node.name in only]
        now[0].prepare(timeout)
        began = time.monotonic()
        for node in now:
            node.launch()
        for node in now:
            node.wait(began + timeout - time.monotonic())
            progress(f"[{time.monotonic() - began:5.1f}s] {node.name} is up, {node.ip}")

    def _make_disk(self, name, size, mkfs):
        path = self.dir / f"{name}.disk"
        output("truncate", "-s", size, path)
        if mkfs:
            output("mkfs.ext4", "-q", "-F", "-U", self.disk_uuid(name), "-L", name[:16],
                 "-E", "lazy_itable_init=1,lazy_journal_init=1", path)

    def empty_disk(self, name):
        """Make the filesystem of a disk anew. No node may have it mounted."""
        size = (self.dir / f"{name}.disk").stat().st_size
        output("truncate", "-s", "0", self.dir / f"{name}.disk")
        self._make_disk(name, str(size), True)

    def _make_payload(self, directories):
        stage = self.dir / "payload"
        for d in directories:
            if not Path(d).is_dir():
                raise LabError(f"payload {d} is not a directory")
            shutil.copytree(d, stage, symlinks=True, dirs_exist_ok=True)
        size = sum(f.lstat().st_size + 4096 for f in stage.rglob("*"))
        # The next payload has a few bytes more, but VMs may begin with the same image.
        size = -(size * 5 // 4 + (8 << 20)) // PAYLOAD_STEP * -PAYLOAD_STEP
        output("truncate", "-s", str(size), self.dir / "payload.img")
        output("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", stage, self.dir / "payload.img")
        shutil.rmtree(stage)

    def _make_network(self):
        output("ip", "netns", "add", self.netns)
        commands = ["link set lo up", "link add br0 type bridge mcast_snooping 0", "link set br0 up"]
        for node in self.nodes.values():
            tap = f"tap{node.number}"
            commands += [f"tuntap add {tap} mode tap", f"link set {tap} master br0 up"]
        for command in commands:
            output("ip", "-n", self.netns, *command.split())

    def spawn(self, command, pidfile, out, err):
        """Run command in build/root and in the lab's network."""
        child = subprocess.Popen(
            ["ip", "netns", "exec", self.netns, REPO / "scripts/in-root", *command],
            cwd=self.dir, env=dict(os.environ, BUILD=str(BUILD), TMPDIR=str(self.dir)),
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
        # Each on the way to command is replaced by the next: the process id stays.
        write_whole(pidfile, f"{child.pid} {start_time(child.pid)}\n")
        self.children.append(child)

    def capture_start(self, file):
        """Record what passes the bridge into file (pcap)."""
        said = self.dir / "capture.log"
        if live_pid(self.dir / "capture.pid"):
            raise LabError("a capture is running already")
        command = ["tcpdump", "-i", "br0", "-U", "--immediate-mode", "-s", "0", "-Z", "root", "-w", "-"]
        with open(file, "wb") as out, open(said, "wb") as log:
            self.spawn(command, self.dir / "capture.pid", out, log)
        until(lambda: "listening on" in said.read_text() or not live_pid(self.dir / "capture.pid"),
              10, "tcpdump does not start")
        if not live_pid(self.dir / "capture.pid"):
            raise LabError(f"tcpdump: {said.read_text().strip()}")

    def capture_stop(self):
        pid = live_pid(self.dir / "capture.pid")
        if pid:
            os.kill(pid, signal.SIGTERM)
            until(lambda: not live_pid(self.dir / "capture.pid"), 10, "tcpdump does not end")

    def captured(self, file, expression):
        """Lines of tcpdump for the recorded packets that the expression selects."""
        return output(REPO / "scripts/in-root", "tcpdump", "-nn", "-r", str(file),
                      *expression.split()).splitlines()

    def close(self):
        """End what start() began; a lab that was running then is somebody else's and goes on."""
        if self.ours:
            self.stop()

    def stop(self):
        """End everything; safe to repeat. Only the consoles' text stays, until the next start."""
        # All of the lab's processes are in its network namespace, and no other.
        def pids():
            return output("ip", "netns", "pids", self.netns, check=False).split()
        for pid in pids():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        for child in self.children:
            child.wait()
        self.children.clear()
        until(lambda: not pids(), 10, f"lab {self.name}: its processes do not die")
        if self.netns in output("ip", "netns", "list").split():
            output("ip", "netns", "del", self.netns)
        for path in self.dir.glob("*"):
            if path.is_dir():
                shutil.rmtree(path)
            elif ".console" not in path.name:
                path.unlink()
        self._load()
