# SPDX-License-Identifier: GPL-2.0-only
"""A cluster of NFS servers in the lab, driven the way an administrator would by hand.

    cluster = Cluster(Lab("demo"), servers=["a", "b"], clients=["c1"])
    cluster.start(kernel="7.2")
    cluster.serve("a", S1)
    cluster.mount("c1", S1)
    cluster.move(S1, "a", "b")

The steps are those of Documentation/by-hand.rst.
"""

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPO / "scripts"))

import nfs4_list  # noqa: E402
from vmlab.lab import Lab, LabError  # noqa: E402,F401
from vmlab.node import BUILD, kvm, output, until, write_whole  # noqa: E402,F401

CONTROL = "/proc/fs/nfsd"
BIN = "/lab/bin"
CTL = "/lab/nfs-failoverctl"
STATES = ".nsm"


@dataclass(frozen=True)
class Filesystem:
    """A filesystem on a shared disk, and the floating addresses that go with it."""

    name: str
    fsid: str
    ips: tuple

    @property
    def path(self):
        return f"/srv/{self.name}"

    @property
    def device(self):
        return f"/dev/disk/by-id/virtio-{self.name}"

    @property
    def ip(self):
        return self.ips[0]


S1 = Filesystem("s1", "1234", ("10.77.0.100", "fd77::100"))
S2 = Filesystem("s2", "5678", ("10.77.0.101",))


S3 = Filesystem("s3", "9012", ("10.77.0.102",))
TOOL = BUILD / "tools/release/nfs-failoverctl"


def words(line):
    """A line that consists of words KEY=VALUE."""
    return dict(word.split("=", 1) for word in line.split())


def module(kernel):
    """The module built for a kernel series."""
    return BUILD / "module" / kernel / "nfs_failover.ko"


def ways_in(lab):
    """How to work by hand with a lab that is running, and how to end it, as text."""
    build = "" if BUILD == (REPO / "build").resolve() else f"BUILD={BUILD} "
    name = "" if lab.name == "lab" else f"--name {lab.name} "
    first, *_ = lab.nodes
    rows = [(f"scripts/lab shell {name}{first}", f"a shell on a node ({', '.join(lab.nodes)})"),
            (f"scripts/lab exec {name}{first} 'COMMAND'", "one command"),
            (f"scripts/lab kill {name}{first}", "power failure"),
            (f"scripts/lab log {name}{first}", f"kernel log; all: {lab.dir}/*.console"),
            (f"make reload LAB={lab.name}" if name else "make reload",
             "build the module, and have the servers use it"),
            (f"scripts/lab stop {name}".rstrip(), "end it")]
    width = max(len(command) for command, _ in rows)
    return "\n".join(f"  {build}{command.ljust(width)}  {text}" for command, text in rows)


class Cluster:
    """Servers with the module, clients, and filesystems that move."""

    def __init__(self, lab, servers=("a", "b"), clients=("c1",), filesystems=(S1, S2),
                 options="no_subtree_check"):
        """options: more of them for exports."""
        self.options = options
        self.lab, self.servers, self.clients = lab, list(servers), list(clients)
        self.filesystems = list(filesystems)

    def __getitem__(self, node):
        return self.lab[node]

    def start(self, kernel, payload=None, **options):
        # Of its own: other labs may be starting.
        stage = BUILD / "payload" / self.lab.name
        for programs in "contrib/by-hand", "tests/selftests/bin":
            shutil.copytree(REPO / programs, stage / "bin", dirs_exist_ok=True)
        # An emulated CPU takes a second to compile them, each time; /lab is read-only.
        output(REPO / "scripts/in-root", "python3", "-m", "compileall", "-q",
               "--invalidation-mode", "unchecked-hash", stage / "bin")
        shutil.copy(module(kernel), stage)
        if TOOL.exists():
            shutil.copy(TOOL, stage)
            (stage / "statd-callout").unlink(missing_ok=True)
            (stage / "statd-callout").symlink_to(TOOL.name)
        self.lab.start([*self.servers, *self.clients], kernel=kernel,
                       disks={fs.name: "64M" for fs in self.filesystems},
                       payload=[stage, *(payload or [])], **options)

    def boot(self, node):
        """After a kill: boot again."""
        self[node].boot()

    def server_up(self, node, nlm_grace=5, nfs4_grace=10, threads=4):
        """Start the NFS services; grace periods in seconds."""
        self[node].run(["sh", f"{BIN}/server-up.sh", str(nlm_grace), str(nfs4_grace),
                        str(threads)], timeout=120)

    def client_up(self, node):
        self[node].run(["sh", f"{BIN}/client-up.sh"], timeout=60)

    def up(self, **grace):
        """Start all servers and clients, and end the grace periods after boot."""
        for node in self.servers:
            self.server_up(node, **grace)
        for node in self.clients:
            self.client_up(node)
        for node in self.servers:
            self.end_grace(node)

    def end_grace(self, node):
        """End the grace periods of a node that nobody has used before."""
        self[node].run("for end in /proc/fs/lockd/nlm_end_grace /proc/fs/nfsd/v4_end_grace; do "
                       "echo Y >$end || :; done")
        self.wait_no_grace(node)

    def wait_no_grace(self, node, timeout=150):
        """Wait until neither lockd nor nfsd is in its own grace period."""
        self[node].run(["sh", f"{BIN}/wait-grace.sh", str(timeout)], timeout=timeout + 30)

    # nfs-failoverctl

    def configure(self, refuse=False):
        """Write the configuration of nfs-failoverctl; each address is a service."""
        lines = [f'on_record_failure = "{"refuse" if refuse else "grant"}"']
        for fs in self.filesystems:
            for number, ip in enumerate(fs.ips):
                lines += ["[[service]]", f'name = "{fs.name}{f"-{number}" if number else ""}"',
                          f'path = "{fs.path}"', f'fsid = "{fs.fsid}"', f'ip = "{ip}"',
                          f'device = "{fs.device}"', 'interface = "eth0"',
                          f'prefix = {64 if ":" in ip else 24}',
                          'exports = ["*:rw,no_root_squash,sync,no_subtree_check"]']
        for node in self.servers:
            self[node].run("mkdir -p " + " ".join(fs.path for fs in self.filesystems))
            self[node].run("cat > /etc/nfs-failover.toml", input="\n".join([*lines, ""]).encode())

    def ctl(self, node, *words, statuses=(0,), timeout=120):
        """Run nfs-failoverctl, which must end with one of the statuses; returns its result."""
        result = self[node].exec([CTL, *map(str, words)], timeout=timeout)
        if result.status not in statuses:
            raise LabError(f"{node}: nfs-failoverctl {' '.join(map(str, words))}: {result}")
        return result

    def load(self, node, before=":"):
        """Load the module, after another command."""
        self[node].run(f"{before} && exec insmod /lab/nfs_failover.ko")

    def unload(self, node):
        self[node].run("rmmod nfs_failover")

    # Control files

    def write(self, node, file, text):
        """Write to a control file; returns (errno name or "", what a read then gives)."""
        result = self[node].exec(["python3", f"{BIN}/control.py", f"{CONTROL}/{file}", text])
        if result.status:
            raise LabError(f"{node}: {file}: {result}")
        reply = json.loads(result.text)
        return reply["error"], reply["text"]

    def command(self, node, file, text, control=CONTROL):
        """Write to a control file what must be accepted; returns what a read then gives."""
        result = self[node].talk(f"{control}/{file}", f"{text}\n")
        if result.status:
            raise LabError(f"{node}: {file}: \"{text}\": {result.err.decode()}")
        return result.out.decode()

    def read(self, node, file, control=CONTROL):
        """What is in a control file."""
        result = self[node].talk(f"{control}/{file}")
        if result.status:
            raise LabError(f"{node}: {file}: {result.err.decode()}")
        return result.out.decode()

    def status(self, node, control=CONTROL):
        """failover_status as a list of dictionaries; the last one is the totals."""
        lines = self.read(node, "failover_status", control).splitlines()
        return [{"kind": kind, **words(rest)}
                for kind, _, rest in (line.partition(" ") for line in lines)]

    def nlm(self, client, steps, files=None, handles=None):
        """Send NLM requests, see nlm_batch.py; returns the handles and the answers."""
        given = json.dumps({"files": files or {}, "handles": handles or {}, "steps": steps})
        reply = json.loads(self[client].run(["python3", f"{BIN}/nlm_batch.py"], timeout=150,
                                            input=given.encode()))
        return reply["handles"], reply["results"]

    def locks(self, node, fs):
        """POSIX locks on a filesystem, as its node has them: [(inode number, "held" or "blocked")]."""
        device, *lines = self[node].run(f"mountpoint -d {fs.path}; cat /proc/locks").splitlines()
        major, minor = map(int, device.split(":"))
        found = []
        for line in lines:
            where, _, inode = line.split()[-3].rpartition(":")
            if " POSIX " in line and where == f"{major:02x}:{minor:02x}":
                found.append((int(inode), "blocked" if "->" in line else "held"))
        return found

    # Serving and moving

    def mount_fs(self, node, fs):
        self[node].run(f"mkdir -p {fs.path} && mount {fs.device} {fs.path}")

    def export(self, node, fs):
        self[node].run(f"exportfs -o rw,no_root_squash,sync,{self.options},fsid={fs.fsid} "
                       f"'*:{fs.path}'")

    def unexport(self, node, fs):
        self[node].run(f"exportfs -u '*:{fs.path}'")

    def umount(self, node, fs, seconds=8):
        """Unmount what is not exported any more; busy for some seconds is not for ever.

        If exportfs ran before in the same second, its flush sets a time that is still to come,
        and the kernel leaves the export, with its path, in the cache until a later flush.
        """
        flushed = "$(tail -n 1 /proc/net/rpc/nfsd.export/flush)"
        self[node].run(f"""
            end=$(($(date +%s) + {seconds}))
            until umount {fs.path}; do
                [ "$(date +%s)" -lt "$end" ] || exit 1
                [ "$(date +%s)" -le "{flushed}" ] || exportfs -f
                sleep 0.1
            done""")

    def address_up(self, node, ip):
        bits = "64 nodad" if ":" in ip else "24"
        self[node].run(f"ip addr add {ip}/{bits} dev eth0")
        self.announce(node, ip)

    def announce(self, node, ip):
        """Tell everybody on the network where an address is now."""
        self.python(node, "announce.py", "eth0", ip)

    def address_down(self, node, ip):
        """End the connections of an address, so that clients notice, and take it away."""
        source, prefix = (f"[{ip}]", 64) if ":" in ip else (ip, 24)
        self[node].run(f"ss -K -t src '{source}' && ip addr del {ip}/{prefix} dev eth0")

    def serve(self, node, fs):
        """Mount, export and give it its addresses."""
        self.mount_fs(node, fs)
        self.export(node, fs)
        for ip in fs.ips:
            self.address_up(node, ip)

    def withdraw(self, node, fs):
        for ip in fs.ips:
            self.address_down(node, ip)
        self.unexport(node, fs)
        self[node].run(f"echo {fs.path} > {CONTROL}/unlock_filesystem")
        self.umount(node, fs)

    def expire(self, node, fs):
        """Have nfsd forget the NFSv4 clients that have mounted by the addresses of a filesystem;
        returns their names, as nfs4_clients takes them."""
        names = []
        for ip in fs.ips:
            said = self[node].run(f"""for client in {CONTROL}/clients/*; do
                    name=$(sed -n 's/^name: "\\(.*@{ip}\\)"$/\\1/p' $client/info) || continue
                    [ -z "$name" ] || {{ echo expire >$client/ctl; echo "$name"; }}
                done""")
            names += [name.replace(" ", "\\040") for name in said.splitlines()]
        return names

    def release(self, node, fs, fence=60, manifest=False, nfs4=False):
        """The giving half of a planned move; returns what nlm_unlock said."""
        dropped = self.command(node, "nlm_unlock", f"{fs.fsid} fence={fence}")
        # After the fence: nobody comes to the list any more.
        self.save_clients(node, fs)
        for ip in fs.ips:
            self.address_down(node, ip)
        if manifest:
            self[node].run(f"sh {BIN}/manifest-save.sh {fs.path} {fs.fsid}")
        expired = self.expire(node, fs) if nfs4 else []
        self.expired = ""
        if expired:
            # Nothing else may be missing; until then the node grants nothing.
            said = words(self.command(node, "nfs4_clients", fs.fsid).partition(" ")[2])
            self.expired = nfs4_list.text(fs.fsid, said["taken"], said["valid"], dict.fromkeys(expired))
        self.unexport(node, fs)
        self.umount(node, fs)
        return dropped

    def takeover(self, node, fs, seconds=30, load=None, clients=""):
        """The taking half: grace before the export, the export before the address.

        load(node, fs) does something else with the manifest than load_manifest(). clients: the list of
        NFSv4 clients whose reclaims end the recovery, if that is known.
        """
        self.mount_fs(node, fs)
        self.command(node, "nlm_set_igrace", f"{fs.fsid} {seconds}")
        (load or self.load_manifest)(node, fs)
        if clients:
            self.command(node, "nfs4_clients", clients)
        self.export(node, fs)
        for ip in fs.ips:
            self.address_up(node, ip)
        self.notify(node, fs)

    def load_manifest(self, node, fs):
        """Give the kernel the manifest that came along, if there is one."""
        self[node].run(f"sh {BIN}/manifest-load.sh {fs.path}")

    def move(self, fs, source, target, seconds=30, manifest=False):
        self.release(source, fs, manifest=manifest)
        self.takeover(target, fs, seconds)

    def save_clients(self, node, fs):
        """Keep statd's list of clients on the filesystem, where it moves along."""
        self[node].run(f"sh {BIN}/nsm-save.sh {fs.path}")

    def notify(self, node, fs):
        """Tell the clients on the list, from each address, to reclaim."""
        for ip in fs.ips:
            self[node].run(f"sh {BIN}/nsm-notify.sh {fs.path} {shlex.quote(ip)}")

    def end_recovery(self, node, fs):
        self.command(node, "nlm_set_igrace", f"{fs.fsid} 0")

    def mount(self, client, fs, vers="3", ip=None, at=None, options=""):
        at = at or f"/mnt/{fs.name}"
        address = ip or fs.ip
        host = f"[{address}]" if ":" in address else address
        options = f"vers={vers}{',' + options if options else ''}"
        self[client].run(f"mkdir -p {at} && mount -t nfs -o {options} {host}:{fs.path} {at}",
                         timeout=90)
        return at

    # Programs on the nodes

    def python(self, node, program, *words, timeout=60):
        """Run a program of /lab/bin, which must succeed; returns its output as text."""
        return self[node].run(["python3", f"{BIN}/{program}", *map(str, words)], timeout=timeout)

    def spawn(self, node, *command):
        """Start a program of /lab/bin; returns a handle for wait and stop."""
        return Program(self[node], command)


class Program:
    """A program running in a VM, its output in a file."""

    count = 0

    def __init__(self, node, command):
        Program.count += 1
        self.node, self.command, self.seen = node, command, 0
        self.base = f"/run/program-{Program.count}"
        program, *words = map(str, command)
        self.group = node.start(["python3", f"{BIN}/{program}", *words], out=f"{self.base}.out",
                                err=f"{self.base}.err", rc=f"{self.base}.rc")

    def output(self):
        return (self.node.read(f"{self.base}.out")[0] or "").strip()

    def errors(self):
        return (self.node.read(f"{self.base}.err")[0] or "").strip()

    def ended(self):
        return self.node.read(f"{self.base}.rc")[0] is not None

    def expect(self, text, timeout=60):
        """Wait for the next line of output that starts with text, after those that were waited
        for before; returns it."""
        found = []

        def there():
            # In this order: what it says last counts, even if it ends meanwhile.
            rc, said = self.node.read(f"{self.base}.rc", f"{self.base}.out")
            ended = rc is not None
            found[:] = [(number, line) for number, line in enumerate((said or "").strip().splitlines())
                        if number >= self.seen and line.startswith(text)]
            return found or ended
        until(there, timeout, f"{self.node.name}: {' '.join(map(str, self.command))}: no \"{text}\" "
              f"in {timeout} s")
        if not found:
            raise LabError(f"{self.node.name}: {' '.join(map(str, self.command))} ended without "
                           f"\"{text}\": {self.output()}{self.errors()}")
        number, line = found[0]
        self.seen = number + 1
        return line

    def signal(self, name="TERM"):
        self.node.signal(self.group, name)

    def wait(self, timeout=60):
        """Wait for the end; returns the exit status."""
        until(self.ended, timeout, lambda: f"{self.node.name}: {' '.join(map(str, self.command))} "
              f"does not end in {timeout} s: {self.output()[-500:]}{self.errors()[-500:]}")
        return int(self.node.read(f"{self.base}.rc")[0])

    def stop(self, timeout=60):
        """End it and return the JSON it prints last."""
        self.signal()
        return self.summary(timeout)

    def summary(self, timeout=60):
        """Wait for the end and return the JSON it prints last."""
        status = self.wait(timeout)
        try:
            return json.loads(self.output().splitlines()[-1])
        except (IndexError, ValueError):
            raise LabError(f"{self.node.name}: {' '.join(map(str, self.command))}: no summary, "
                           f"exit status {status}: {self.output()[-500:]}"
                           f"{self.errors()[-500:]}") from None
