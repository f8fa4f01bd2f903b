# SPDX-License-Identifier: GPL-2.0-only
"""Loading and unloading the module, and nfsd filesystems in network namespaces.

A library for loadloop.py and loadfail.py. System calls are made directly: under
emulation, starting a program costs more than what is to be tried.
"""

import contextlib
import ctypes
import errno
import os

MODULE = "nfs_failover"
FILES = {"failover_status", "floating_ips", "lock_manifest", "nfs4_clients", "nfs4_held",
         "nlm_set_igrace", "nlm_unlock", "resume_ip"}
NFSD = "/proc/fs/nfsd"
LIBC = ctypes.CDLL(None, use_errno=True)
FINIT_MODULE, DELETE_MODULE = 313, 176          # x86-64


def _check(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def load(path="/lab/nfs_failover.ko"):
    fd = os.open(path, os.O_RDONLY)
    try:
        _check(LIBC.syscall(FINIT_MODULE, fd, b"", 0))
    finally:
        os.close(fd)


def unload():
    _check(LIBC.syscall(DELETE_MODULE, MODULE.encode(), os.O_NONBLOCK))


def outcome(function, *args):
    """The name of the errno of a call, "" if it succeeds."""
    try:
        function(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""


def mount(target):
    """Mount the nfsd filesystem of the network namespace we are in."""
    os.makedirs(target, exist_ok=True)
    _check(LIBC.mount(b"nfsd", target.encode(), b"nfsd", 0, None))


def umount(target):
    _check(LIBC.umount2(target.encode(), 0))


@contextlib.contextmanager
def new_netns():
    """Be in a new network namespace; it lives on if something is mounted there."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    os.unshare(os.CLONE_NEWNET)
    try:
        yield
    finally:
        os.setns(home, os.CLONE_NEWNET)
        os.close(home)


def loaded():
    return os.path.exists(f"/sys/module/{MODULE}")


def hooked(symbols):
    """Which of the functions are hooked, by anybody."""
    with open("/sys/kernel/tracing/enabled_functions", encoding="ascii") as lines:
        return sorted({line.split()[0] for line in lines} & set(symbols))


def ours(directory):
    """Which of our files are there."""
    return FILES & set(os.listdir(directory))
