#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Reads and writes what is kept in .nsm of an exported filesystem.

    nsm-files.py copy PATH DIR SOURCE     copy the files in SOURCE to PATH/.nsm/DIR
    nsm-files.py get PATH TARGET NAME...  copy files, or the files in directories, to TARGET
    nsm-files.py put PATH NAME            write a file; its content is read from standard input
    nsm-files.py take PATH NAME           remove a file, then print what it had

Clients can write there, too, and may be root there. Whoever goes there by cp or cat follows
their links, into /etc if they like, and waits for their pipes. So no link is followed here,
nothing but files and directories of root's is opened, and nothing is read without a limit.
"""

import os
import stat
import sys
from itertools import islice

# A client on statd's list, and the state number, are much shorter. The kernel lists 262144 locks.
LIMIT, LIMITS = 4096, {"manifest": 256 << 20}
# As many names are looked at.
MOST = 65536
FOLDER = os.O_RDONLY | os.O_DIRECTORY
STATES = ".nsm"


def say(text):
    """Tell what is wrong."""
    print(f"nsm-files: {text}", file=sys.stderr)


def ours(status):
    """Fail if somebody else than root can change it."""
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise OSError("others than root can change it")


def directory(parent, name):
    """Open a directory of ours."""
    found = os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    ours(os.fstat(found))
    return found


def made(parent, name):
    """Open a directory of ours, which is made if it is not there."""
    try:
        return directory(parent, name)
    except FileNotFoundError:
        pass
    except OSError as error:
        say(f"{name} is moved aside: {error}")
        aside(parent, name)
    os.mkdir(name, 0o755, dir_fd=parent)
    os.fsync(parent)
    return directory(parent, name)


def unused(what):
    """A name that nobody can guess. Those with a dot in front are passed over."""
    return f".{os.urandom(8).hex()}.{what}"


def aside(parent, name):
    """Give it another name, which works with everything."""
    os.rename(name, unused("away"), src_dir_fd=parent, dst_dir_fd=parent)


def read(parent, name, check=ours):
    """The content of a file, and of nothing else: what a pipe or a device does, it does when it
    is opened."""
    handle = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=parent)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no file")
        check(status)
        limit = LIMITS.get(name, LIMIT)
        with open(f"/proc/self/fd/{handle}", "rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise OSError(f"it has more than {limit} bytes")
        return content
    finally:
        os.close(handle)


def files(parent, check=ours):
    """The names and contents of the files in a directory. What is none is said."""
    with os.scandir(parent) as entries:
        names = [entry.name for entry in islice(entries, MOST)]
    for name in names:
        if not name.startswith("."):
            try:
                yield name, read(parent, name, check)
            except OSError as error:
                say(f"{name} is passed over: {error}")


def write(parent, name, content):
    """Write or replace a file. After a crash it is as before, or complete."""
    new = unused("new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with os.fdopen(os.open(new, flags, 0o600, dir_fd=parent), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
        except IsADirectoryError:
            aside(parent, name)
            os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError:
        remove(parent, new)
        raise


def remove(parent, name):
    """Remove whatever is there, if there is something."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        aside(parent, name)


def copy(path, name, source):
    """Copy statd's files to a directory of the filesystem."""
    states = made(path, STATES)
    target = made(states, name)
    for client, content in files(os.open(source, FOLDER), lambda status: None):
        write(target, client, content)
    os.fsync(target)


def get(path, target, *names):
    """Copy what there is to a directory of this node."""
    states = directory(path, STATES)
    target = os.open(target, FOLDER)
    for name in names:
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=states, follow_symlinks=False).st_mode):
                below = made(target, name)
                for client, content in files(directory(states, name)):
                    write(below, client, content)
            else:
                write(target, name, read(states, name))
        except FileNotFoundError:
            pass
        except OSError as error:
            say(f"{name} is passed over: {error}")


def put(path, name):
    """Write a file. If that fails, an old manifest must not be there."""
    states = made(path, STATES)
    if name == "manifest":
        remove(states, name)
        os.fsync(states)
    with open(0, "rb") as file:
        write(states, name, file.read())
    os.fsync(states)


def take(path, name):
    """Print a file that is durably gone by then, whatever it was."""
    states = directory(path, STATES)
    try:
        content = read(states, name)
    finally:
        remove(states, name)
        os.fsync(states)
    with open(1, "wb") as file:
        file.write(content)


def main(verb, path, *names):
    """Returns the exit status."""
    try:
        verbs = {"copy": copy, "get": get, "put": put, "take": take}
        verbs[verb](os.open(path, FOLDER), *names)
    except FileNotFoundError as error:
        if verb in ("get", "take"):
            return 0
        say(f"{path}: {verb} {' '.join(names)}: {error}")
        return 1
    except OSError as error:
        say(f"{path}: {verb} {' '.join(names)}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
