"""Which of a node's writers may take a connection: one an account, and never so many that none is left to read with.

The turns themselves are the database's to give, since other nodes want them, too. Waiting for one there costs a
connection; waiting here costs none. So however many requests of one account come, they hold up nobody else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from audiences.errors import out_of_reach


class Queue:
    """The writers of one node."""

    def __init__(self, writers: int, within_s: float) -> None:
        """`writers` may write at once; each waits `within_s` seconds at most until it is let in."""
        self.within_s = within_s
        self.places = threading.Semaphore(writers)
        self.guard = threading.Lock()
        # A lock lives as long as somebody holds it or waits for it. None is for what is no account's.
        self.first: WeakValueDictionary[int | None, threading.Lock] = WeakValueDictionary()

    @contextmanager
    def place(self, account: int | None) -> Iterator[None]:
        """Lets the caller be the account's one writer on this node, and one of all. Raises NotReady."""
        until = time.monotonic() + self.within_s
        with held(self.first_of(account), until), held(self.places, until):
            yield

    def first_of(self, account: int | None) -> threading.Lock:
        """The lock of that account."""
        with self.guard:
            return self.first.setdefault(account, threading.Lock())


@contextmanager
def held(lock: threading.Lock | threading.Semaphore, until: float) -> Iterator[None]:
    """Holds the lock, waiting for it until then on the monotonic clock. Raises NotReady."""
    if not lock.acquire(timeout=max(0.0, until - time.monotonic())):
        raise out_of_reach("its catalog")
    try:
        yield
    finally:
        lock.release()
