"""Ends the process where the reader of workbooks keeps Python's lock for seconds: a sheet has far too many columns.

It parses without the lock. With it, it then holds each column's name against all names before: 0.4 s for the 16,384
columns that a sheet may have, and half an hour for a million of them, in a file of 31 KB.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

# Seconds of processor time, of all threads, for which the lock may be kept, about: some 80,000 columns. While a slice
# is converted, with the lock, two others are parsed: that takes less than a second of all three together, and this
# leaves a slow machine some.
KEPT_S = 8

# Seconds after which whoever gets the lock says so.
RENEWED_S = 0.2


@contextmanager
def lease() -> Iterator[None]:
    """While the block runs, the system ends this process by SIGXCPU if no other thread has the lock for `KEPT_S`."""
    before = resource.getrlimit(resource.RLIMIT_CPU)
    over = Event()
    renewing = Thread(target=renew, args=(before[1], over))
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()
        resource.setrlimit(resource.RLIMIT_CPU, before)


def renew(hard: int, over: Event) -> None:
    """Moves the limit on, which is at most the `hard` one, until it is over."""
    while not over.is_set():
        end = int(time.process_time()) + 1 + KEPT_S
        resource.setrlimit(resource.RLIMIT_CPU, (end if hard == resource.RLIM_INFINITY else min(end, hard), hard))
        over.wait(RENEWED_S)
