# SPDX-License-Identifier: GPL-2.0-only
"""One VM of the lab: its qemu, its commands, its kernel log."""

import ctypes
import functools
import io
import json
import mmap
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path

from .agent import CHUNK, Agent, LabError
from .image import Image

REPO = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("BUILD") or REPO / "build").resolve()
BOOT_TIMEOUT = 180
# How many times as long a kernel may take that checks itself.
SLOWNESS = 5
CMDLINE = (
    "root=/dev/vda console=ttyS0 loglevel=7 net.ifnames=0 panic=-1 oops=panic panic_on_warn=1 "
    # A loaded host delays the first timer interrupts, which the kernel takes for a broken timer; what
    # it compares the TSC with, too. Without TSC each look at the clock leaves the emulated CPU, and
    # commands take 30 to 40 % longer.
    "mitigations=off no_timer_check tsc=reliable"
)

# What changes with qemu, and with what it loads.
INSTALLED = BUILD / "root/var/lib/dpkg/status"
# RNDRESEEDCRNG of random(4): what the pool got counts at once.
RESEED = """
import fcntl, sys
with open("/dev/urandom", "wb", buffering=0) as pool:
    pool.write(bytes.fromhex(sys.argv[1]))
    fcntl.ioctl(pool, 0x5207)
"""


def kvm():
    """Is there a KVM that works here? /dev/kvm alone does not tell."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return ("vmx" in flags or "svm" in flags) and os.access("/dev/kvm", os.R_OK | os.W_OK)


@functools.cache
def tsc_khz():
    """How fast the counter of the CPU runs, which an emulated one shows to its guest."""
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))    # rdtsc; shl rdx, 32; or rax, rdx; ret
        code = ctypes.c_char.from_buffer(page)
        count = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(code))

        def both():
            """Counter and time; the ones between which least has passed, as others may run between."""
            found = [(time.monotonic_ns(), count(), time.monotonic_ns()) for _ in range(10)]
            before, counted, after = min(found, key=lambda one: one[2] - one[0])
            return counted, (before + after) // 2
        began = both()
        time.sleep(0.2)
        ended = both()
        del code
    return (ended[0] - began[0]) * 1000000 // (ended[1] - began[1])


def output(*command, check=True, **kw):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **kw)
    if check and done.returncode:
        raise LabError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def write_whole(path, text):
    """Whoever looks finds all of it, or what was there before."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


class Node:
    """One VM."""

    def __init__(self, lab, name, number):
        self.lab, self.name, self.number = lab, name, number
        self.ip, self.ip6 = f"10.77.0.{number}", f"fd77::{number}"
        self.agent = Agent(lab.dir, name)
        self.console = lab.dir / f"{name}.console"
        self.pidfile = lab.dir / f"{name}.pid"
        self.mac = f"52:54:00:4e:46:{number:02x}"
        self.begun = None

    def _cpu(self):
        if kvm():
            return ["-accel", "kvm", "-cpu", "host"]
        cpu = ["-cpu", "Nehalem,+rdrand"]
        if self.lab.state["counted"]:
            return ["-accel", "tcg,thread=single", "-icount", "shift=1,sleep=on", *cpu]
        return ["-accel", "tcg,thread=multi", *cpu]

    def _clock(self):
        """A loaded host delays the timers by which the kernel would measure its CPU: clocks were
        seen that ran at 25 times their speed."""
        if kvm() or self.lab.state["counted"]:
            return ""
        return f"tsc_early_khz={tsc_khz()}"

    def _files(self):
        """What it boots: kernel, initrd, root disk."""
        kernel = BUILD / "kernel" / self.lab.state["kernel"] / "vm"
        return kernel / "vmlinux", kernel / "initrd", BUILD / "vm" / f"{self.lab.state['image']}.img"

    def _qemu(self):
        kernel, initrd, root = self._files()

        def disk(name, options):
            return ["-drive", f"if=none,id={name},format=raw,{options}",
                    "-device", f"virtio-blk-pci,drive={name},serial={name}"]

        command = [
            "qemu-system-x86_64", "-name", f"{self.lab.name}-{self.name}",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "pc,usb=off,hpet=off", "-m", str(self.lab.state["mem"]), "-smp", str(self.lab.state["cpus"]),
            *self._cpu(),
            "-kernel", str(kernel), "-initrd", str(initrd), "-append", f"{CMDLINE} {self._clock()}",
            "-chardev", f"file,id=console,path={self.name}.console", "-serial", "chardev:console",
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=shell,path={self.name}.shell,server=on,wait=off",
            "-device", "virtconsole,chardev=shell",
            "-chardev", f"pipe,id=agent,path={self.name}.agent",
            "-device", "virtserialport,chardev=agent,name=agent",
            "-netdev", f"tap,id=net,ifname=tap{self.number},script=no,downscript=no",
            "-device", f"virtio-net-pci,netdev=net,mac={self.mac},romfile=",
            *disk("root", f"file={root},snapshot=on"),
        ]
        # Same order on all nodes and in every boot: /dev/vdb is the first.
        for name in self.lab.state["disks"]:
            command += disk(name, f"file={name}.disk,cache=writeback,discard=unmap,file.locking=off")
        if self.lab.state["payload"]:
            command += disk("payload", "file=payload.img,readonly=on,file.locking=off")
        return command

    @property
    def pid(self):
        """Process id of qemu, None if it does not run."""
        return live_pid(self.pidfile)

    def _image(self):
        """The memory that this kind of VM begins with; None if it is to boot."""
        if kvm() or self.lab.state["counted"]:
            return None
        disks = [*(f"{name}.disk" for name in self.lab.state["disks"]),
                 *(["payload.img"] if self.lab.state["payload"] else [])]
        # That of no lab, and how fast the counter runs is told apart.
        command = Node(self.lab, "node", 0)._qemu()[3:]
        kind = [word.replace(self._clock(), "") if self._clock() else word for word in command]
        kind += [(name, (self.lab.dir / name).stat().st_size) for name in disks]
        return Image(BUILD / "vm/booted", json.dumps(kind), [*self._files(), INSTALLED], tsc_khz())

    def prepare(self, timeout=BOOT_TIMEOUT):
        """Make the image that VMs like this one begin with, if there is none. Without one they boot."""
        image = self._image()
        if not image or image.usable():
            return

        def boot():
            monitor = f"{self.name}.monitor"
            begin = ["-qmp", f"unix:{monitor},server=on,wait=off"]
            self._spawn(*begin)
            self._answers(timeout, lambda: self._spawn(*begin))
            return self.lab.dir, monitor
        try:
            image.make(boot)
        except (LabError, OSError) as error:
            _note(f"{self.name}: VMs have to boot: {error}")
        self.kill()

    def launch(self):
        """Start qemu; the VM is not up before wait()."""
        if self.pid:
            raise LabError(f"{self.name} is running already")
        image = self._image()
        self.begun = image if image and image.usable() else None
        self._spawn(*(["-incoming", f"file:{self.begun.path}"] if self.begun else []))

    def _spawn(self, *more):
        if self.console.exists():
            self.console.rename(self.lab.dir / f"{self.name}.console.old")
        self.console.touch()
        self.agent.create()
        with open(self.lab.dir / f"{self.name}.qemu", "wb") as log:
            self.lab.spawn([*self._qemu(), *more], self.pidfile, log, log)

    def wait(self, timeout=BOOT_TIMEOUT):
        """Wait until commands can be run."""
        try:
            self._answers(timeout, self.launch)
        except LabError as error:
            if not self.begun:
                raise
            _note(f"{self.name} boots, as its image is of no use: {error}")
            self.begun.forget()
            self.kill()
            self.launch()
            self._answers(timeout, self.launch)
        self._identify()

    def _answers(self, timeout, again):
        """Wait until the agent answers.

        again: how to start once more one that dies before; None if that is not to be. Emulated CPUs that
        change the kernel's code while it boots trip over it now and then, when nothing of ours is there yet.
        """
        slowness = SLOWNESS if self.lab.state["kernel"] == "debug" else 1
        deadline = time.monotonic() + slowness * timeout
        # The agent's end hangs up when qemu ends, but only once qemu has it open.
        while not _opened(self.agent.fifo + ".in"):
            if not self.pid or time.monotonic() > deadline:
                said = (self.lab.dir / f"{self.name}.qemu").read_text(errors="replace").strip()
                raise LabError(f"{self.name}: qemu did not start: {said[-1000:]}")
            time.sleep(0.02)
        try:
            self.agent.wait(deadline - time.monotonic())
        except LabError as error:
            text = f"{error} (end of console follows)\n{self.log()[-2000:]}"
            if "VM died" not in str(error) or not again:
                raise LabError(text) from None
            until(lambda: not self.pid, 10, f"{self.name}: qemu does not end")
            _note(text)
            again()
            self._answers(deadline - time.monotonic(), None)

    def _identify(self):
        """Make it this node, which nothing has been before."""
        # What was random in the image is the same in all that begin with it.
        self.run(["python3", "-c", RESEED, os.urandom(32).hex()])
        self.run(["lab-identify", self.name, self.mac, f"{time.time():.3f}",
                  *(f"{node.name}:{node.number}" for node in self.lab.nodes.values())])

    def boot(self, timeout=BOOT_TIMEOUT):
        """Start again a killed VM, with a fresh root filesystem."""
        self.launch()
        self.wait(timeout)

    def exec(self, command, timeout=60, input=None, detach=False):
        """See Agent.exec."""
        return self.agent.exec(command, timeout, input, detach)

    def run(self, command, timeout=60, input=None):
        """Like exec, for commands that must succeed; returns their output as text."""
        result = self.exec(command, timeout, input)
        if result.status:
            raise LabError(f"{self.name}: {command}: {result}")
        return result.text

    def start(self, command, **files):
        """See Agent.start."""
        return self.agent.start(command, **files)

    def talk(self, path, text=None, timeout=60):
        """See Agent.talk."""
        return self.agent.talk(path, text, timeout)

    def read(self, *paths):
        """See Agent.read."""
        return self.agent.read(*paths)

    def signal(self, group, name):
        """See Agent.signal."""
        self.agent.signal(group, name)

    def put(self, source, target):
        """Copy a file to the file target, or a directory's content into target."""
        source = Path(source)
        if source.is_dir():
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as tar:
                tar.add(source, ".")
            self.run(["mkdir", "-p", target])
            self._write(packed.getvalue(), f"{target}.put.tar")
            self.run(["tar", "-xf", f"{target}.put.tar", "--no-same-owner", "-C", target])
            self.run(["rm", f"{target}.put.tar"])
        else:
            self._write(source.read_bytes(), target)
            self.run(["chmod", f"{source.stat().st_mode & 0o777:o}", target])

    def _write(self, data, target):
        for i in range(0, max(len(data), 1), CHUNK):
            to = ">>" if i else ">"
            self.run(["sh", "-c", f'cat {to}"$0"', target], input=data[i:i + CHUNK])

    def get(self, source, target):
        """Copy a file from the VM."""
        with open(target, "wb") as file:
            while True:
                result = self.exec(["dd", f"if={source}", "status=none", "bs=64K",
                                    f"skip={file.tell()}", f"count={CHUNK}",
                                    "iflag=skip_bytes,count_bytes,fullblock"])
                if result.status:
                    raise LabError(f"{self.name}: {result.err.decode(errors='replace').strip()}")
                file.write(result.out)
                if len(result.out) < CHUNK:
                    return

    def kill(self):
        """As if the power failed."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGKILL)
            until(lambda: not self.pid, 10, f"{self.name}: qemu does not die")

    def log(self):
        """Kernel log of this boot (of the last one, if the VM is dead)."""
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return text.replace("\r", "")

    def link(self, up):
        """Plug in or unplug the network cable."""
        output("ip", "-n", self.lab.netns, "link", "set", f"tap{self.number}", "up" if up else "down")


def _note(text):
    """Say something that is no result of a test."""
    print("".join(f"    # {line}\n" for line in text.splitlines()), end="", flush=True)


def start_time(pid):
    """Tells two processes of the same id apart; None if the process is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def live_pid(pidfile):
    """Process id in pidfile, None if that process is gone."""
    try:
        pid, start = pidfile.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if start_time(pid) == start else None


def _opened(fifo):
    """Does anybody read from fifo?"""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        return True
    except OSError:
        return False


def until(condition, seconds, message):
    """message: what to raise if it does not come; may be a function, of what is the case then."""
    start, pause = time.monotonic(), 0.02
    while not condition():
        took = time.monotonic() - start
        if took > seconds:
            raise LabError(message() if callable(message) else message)
        time.sleep(pause)
        # To ask takes an emulated CPU long, which others could use.
        pause = min(1.5 * pause, max(0.3, took / 6))
