# SPDX-License-Identifier: GPL-2.0-only
"""Whether each read found the last write, from what delegated.py wrote down.

A file has one writer, which writes ever larger numbers. A read must find what was last written, closed
and acknowledged before it opened the file, or something that was written meanwhile. Times of several
machines are compared, so nothing is wrong that their clocks may explain.
"""

from bisect import bisect_left
from collections import defaultdict


def value(record):
    return int(record.token) if record.token.isdigit() else 0


def wrong_reads(records, bound):
    """(record of the read, the least and the most that it might have found) of each that is wrong."""
    writes, found = defaultdict(list), []
    for record in sorted(records, key=lambda record: record.began):
        if record.operation == "write":
            writes[record.file].append(record)
    # Of one that failed nobody knows whether it is there.
    sure = {file: [record for record in those if record.result == "done"]
            for file, those in writes.items()}
    began = {file: [record.began for record in those] for file, those in writes.items()}
    ended = {file: [record.ended for record in those] for file, those in sure.items()}
    for record in records:
        if (record.operation, record.result) != ("read", "done"):
            continue
        before = bisect_left(ended.get(record.file, ()), record.began - bound)
        until = bisect_left(began.get(record.file, ()), record.ended + bound)
        least = value(sure[record.file][before - 1]) if before else 0
        most = value(writes[record.file][until - 1]) if until else 0
        if not least <= value(record) <= most:
            found.append((record, least, most))
    return found
