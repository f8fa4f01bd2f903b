#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Bring a machine back to where a test finds it: clean.py WHAT...

client
    End the test programs, unmount all of NFS.
server OWN-ADDRESS
    End the test programs and those of nfs-failoverctl, take floating addresses away, unexport and
    unmount all filesystems, and remove what nfs-failoverctl is configured with and has written here.
    statd's list of clients stays: lockd, which remembers clients, names each only once.
module
    If the module is loaded, end all units of this network namespace and unload it.

Exit status: 0; 1 if something does not work. All in one process: to start one costs an emulated CPU
as much as most of this.
"""

import contextlib
import errno
import glob
import os
import shutil
import signal
import sys
import time
import traceback

import kmod

ETAB, EXPORTS = "/var/lib/nfs/etab", "/proc/net/rpc/nfsd.export"
CLIENTS = f"{kmod.NFSD}/clients"
# Of nfs-failoverctl: a configuration that one test has left would have statd's callout record the
# clients of the next one, and links into /run would have exportfs read its exports.
CONFIG, LINKS = "/etc/nfs-failover.toml", "/etc/exports.d/nfs-failover*"
STATE = "/run/nfs-failover"


def run(*argv, text=None):
    """Run a program, which must succeed; returns what it says."""
    out = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, out[1], 1)]
    if text is not None:
        given = os.pipe()
        os.write(given[1], text.encode())
        os.close(given[1])
        actions.append((os.POSIX_SPAWN_DUP2, given[0], 0))
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
    os.close(out[1])
    with open(out[0], encoding="utf-8") as file:
        said = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(f"{' '.join(argv)}: {status}")
    return said


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, os.fsencode(text))
    finally:
        os.close(fd)


def processes(pid=1):
    """All but the kernel's, which are five times as many."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in read(f"/proc/{pid}/task/{task}/children").split():
                yield child
                yield from processes(child)


def end_programs(**signals):
    """Send a signal to all processes of a name, but not to this one; returns their ids."""
    ended = []
    for pid in list(processes()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            number = signals.get(read(f"/proc/{pid}/comm").strip())
            if number and int(pid) != os.getpid():
                os.kill(int(pid), number)
                ended.append(pid)
    return ended


def gone(pid):
    try:
        return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def mounts():
    """(mount point, type) of all."""
    for line in read("/proc/mounts").splitlines():
        _, path, kind, *_ = line.split()
        yield path.encode().decode("unicode_escape"), kind


def client():
    end_programs(python3=signal.SIGKILL)
    if any(kind in ("nfs", "nfs4") for _, kind in mounts()):
        with contextlib.suppress(OSError):
            run("umount", "-f", "-l", "-a", "-t", "nfs,nfs4")


def server(own):
    # sm-notify goes on in the background if a client does not answer; what a test that failed has
    # left may hold a control file open.
    ended = end_programs(**{"sm-notify": signal.SIGTERM, "python3": signal.SIGKILL,
                            "nfs-failoverctl": signal.SIGKILL, "statd-callout": signal.SIGKILL})
    until = time.monotonic() + 5
    while not all(map(gone, ended)) and time.monotonic() < until:
        time.sleep(0.02)
    for path in [CONFIG, *glob.glob(LINKS)]:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    shutil.rmtree(STATE, ignore_errors=True)
    ours = f"{own}/", f"fd77::{own.rpartition('.')[2]}/"
    addresses = [line.split()[3] for line in
                 run("ip", "-o", "addr", "show", "dev", "eth0", "scope", "global").splitlines()]
    lines = [f"addr del {address} dev eth0\n" for address in addresses
             if not address.startswith(ours)]
    if lines:
        run("ip", "-batch", "-", text="".join(lines))
    # While the module is loaded, nothing is revoked from them.
    for number in os.listdir(CLIENTS) if os.path.exists(CLIENTS) else ():
        with contextlib.suppress(FileNotFoundError):
            write(f"{CLIENTS}/{number}/ctl", "expire\n")
    # More than the heading: the kernel knows an export.
    if os.path.exists(ETAB) and read(ETAB) or len(read(f"{EXPORTS}/content").splitlines()) > 1:
        run("exportfs", "-ua")
        run("exportfs", "-f")
    for path in sorted((path for path, _ in mounts() if path.startswith("/srv/")), reverse=True):
        unserve(path)


def unserve(path):
    write("/proc/fs/nfsd/unlock_filesystem", f"{path}\n")
    left = [f"{path}/{name}" for name in os.listdir(path) if name[0] != "." or name == ".nsm"]
    if left:
        run("rm", "-rf", "--", *left)
    # nfsd closes the files it caches by and by. If exportfs ran before in the same second, its flush
    # sets a time that is still to come, and the path stays in the cache until a later one.
    for _ in range(150):
        try:
            return kmod.umount(path)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        if int(time.time()) > int(read(f"{EXPORTS}/flush").split()[-1]):
            run("exportfs", "-f")
        # A request under way may have come after the first time.
        write("/proc/fs/nfsd/unlock_filesystem", f"{path}\n")
        time.sleep(0.2)
    raise OSError(f"{path} is busy: {read('/proc/locks')}")


def module():
    if not kmod.loaded():
        return
    for line in read(f"{kmod.NFSD}/failover_status").splitlines():
        kind, name, *rest = line.split()
        if kind != "unit":
            continue
        words = dict(word.split("=", 1) for word in rest)
        key, value = name.split("=", 1)
        if words["phase"] == "released":
            end_unit(name, "nlm_unlock", f"{value} fence=0")
        elif key == "fsid":
            end_unit(name, "nlm_set_igrace", f"{value} 0")
        else:
            end_unit(name, "resume_ip", f"{words['ip']} {value} 0")
    # Who has found that the last unit is over may still be at it.
    for _ in range(50):
        try:
            return kmod.unload()
        except BlockingIOError:
            time.sleep(0.1)
    kmod.unload()


def end_unit(name, file, text):
    """One whose manifest was read cannot be ended before its time."""
    for _ in range(180):
        try:
            return write(f"{kmod.NFSD}/{file}", f"{text}\n")
        except OSError as error:
            problem = error
        if f" {name} " not in read(f"{kmod.NFSD}/failover_status"):
            return None
        time.sleep(0.5)
    raise problem


def main(*words):
    words, status = list(words), 0
    while words:
        what = words.pop(0)
        try:
            if what == "server":
                server(words.pop(0))
            else:
                {"client": client, "module": module}[what]()
        except (OSError, ValueError):
            # What comes after it is to be in order all the same.
            traceback.print_exc()
            status = 1
    return status


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
