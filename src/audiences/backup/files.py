"""Stored files on their way into a backup and out of it: several at once, hashed as they pass, counted for a person."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from audiences.backup.lines import new_file

# Files that are read or written at a time, and the bytes of each in memory.
AT_ONCE, PIECE_BYTES = 4, 1024**2

# How many of them are planned ahead.
BATCH = 500

Item = TypeVar("Item")
Result = TypeVar("Result")

# What is told how many bytes have passed, and of how many.
Moved = Callable[[int, int | None], object]


@dataclass
class Tally:
    """Counts the bytes that pass, in several threads, and tells them."""

    moved: Moved
    total: int
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, count: int) -> None:
        """So many more; the total was an estimate if they are more than that."""
        with self.lock:
            self.done += count
            self.moved(self.done, max(self.total, self.done))


def untold(_count: int, _total: int | None) -> None:
    """Tells nobody."""


def in_threads(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """What `work` makes of each of the items, in their order; the first failure is raised, and ends it."""
    left = iter(items)
    with ThreadPoolExecutor(AT_ONCE, "backup") as threads:
        while batch := list(islice(left, BATCH)):
            yield from threads.map(work, batch)


def hash_of(source: Path, tally: Tally) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    for piece in pieces(source):
        digest.update(piece)
        tally.add(len(piece))
    return digest.hexdigest()


def copy(source: Path, target: Path, tally: Tally) -> tuple[int, str]:
    """Copies a file to a new one, which is on stable storage then; its bytes and their SHA-256."""
    digest, size = hashlib.sha256(), 0
    with new_file(target) as file:
        for piece in pieces(source):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
            tally.add(len(piece))
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()


def pieces(source: Path) -> Iterator[bytes]:
    """A file's bytes, some at a time."""
    with source.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def size_of(path: Path) -> int | None:
    """A file's bytes, or None if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
