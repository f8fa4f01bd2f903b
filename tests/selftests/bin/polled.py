#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Waiting for changes of failover_status, as poll(2) and epoll(7) tell of them.

polled.py DIRECTORY     a line for each change in DIRECTORY/failover_status, until SIGTERM:
                        PHASES manifest=N refused=N taken_away=N floating=N, where N is how many
                        units have one, or refused one, and whether anything was taken away
polled.py unload        unload the module while somebody waits; prints {when: errno of the unload}
"""

import json
import os
import select
import sys
import threading
import time

from kmod import NFSD, load, outcome, unload
from poslock import Stop, stop_on_signals

READABLE = select.POLLIN | select.POLLRDNORM
# The numbers are those of epoll, too.
CHANGED = select.POLLPRI | select.POLLERR


class Poller:
    """An open failover_status, and who waits for changes of it."""

    def __init__(self, directory):
        self.fd = os.open(f"{directory}/failover_status", os.O_RDONLY)
        self.poll, self.epoll = select.poll(), select.epoll()
        self.poll.register(self.fd, select.POLLPRI)
        self.epoll.register(self.fd, select.EPOLLPRI)

    def readable(self):
        """What is told of who waits for something to read."""
        poll = select.poll()
        poll.register(self.fd, READABLE)
        return poll.poll(0)

    def wait(self, what):
        return (self.poll if what == "poll" else self.epoll).poll()

    def read(self):
        return os.pread(self.fd, 1 << 20, 0).decode()


def summary(directory, text):
    units = [line for line in text.splitlines() if line.startswith("unit ")]
    with open(f"{directory}/floating_ips", encoding="ascii") as file:
        floating = len(file.readlines())
    phases = [word[6:] for line in units for word in line.split() if word.startswith("phase=")]
    return (f"{','.join(phases) or 'none'} manifest={sum(' manifest=' in line for line in units)} "
            f"refused={sum(' refused=0' not in line for line in units)} "
            f"taken_away={int(not text.endswith(' taken_away=0' + chr(10)))} floating={floating}")


def follow(directory):
    poller = Poller(directory)
    stop_on_signals()
    print("ready" if poller.readable() == [(poller.fd, READABLE)] else "not readable", flush=True)
    try:
        while True:
            # It is told until it is read, by each of them.
            told = [poller.poll.poll(), poller.poll.poll(0), poller.epoll.poll(0)]
            if told != 3 * [[(poller.fd, CHANGED)]]:
                print(f"told {told}")
            if poller.readable() != [(poller.fd, READABLE | select.POLLERR)]:
                print(f"readable {poller.readable()}")
            print(summary(directory, poller.read()), flush=True)
    except Stop:
        pass


def command(text):
    with open(f"{NFSD}/nlm_set_igrace", "w", encoding="ascii") as file:
        file.write(text)


def waits(thread):
    """Whether it is in one of the system calls by now: poll, epoll_wait or epoll_pwait."""
    with open(f"/proc/self/task/{thread.native_id}/syscall", encoding="ascii") as file:
        return file.read().split()[0] in ("7", "232", "281")


def unload_beside():
    seen, told = {}, {}
    load()
    poller = Poller(NFSD)
    threads = {what: threading.Thread(target=lambda what=what: told.update({what: poller.wait(what)}))
               for what in ("poll", "epoll")}
    for thread in threads.values():
        thread.start()
    while not all(map(waits, threads.values())):
        time.sleep(0.01)
    seen["waits"] = outcome(unload)
    # Who is in poll(2) holds it. When woken, they find what has its number then: a pipe at its end.
    gone, write = os.pipe()
    os.close(write)
    os.dup2(gone, poller.fd)
    seen["closed"] = outcome(unload)
    command("1234 600")
    command("1234 0")
    threads["poll"].join()
    # Nobody holds it any more, though somebody may still wait for a set that it was in.
    seen["told"] = outcome(unload)
    pipe, write = os.pipe()
    os.write(write, b"x")
    poller.epoll.register(pipe, select.EPOLLIN)
    threads["epoll"].join()
    load()
    seen["again"] = outcome(unload)
    poller.epoll.close()
    print(json.dumps({**seen, "poll": told["poll"] == [(poller.fd, select.POLLHUP)]}))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] == "unload":
        unload_beside()
    else:
        follow(sys.argv[1])
