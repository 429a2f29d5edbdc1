"""Local copies of stored files: bounded, the least recently used go first, and none while somebody holds its path.

A file never changes under its name, so a copy is right as long as it is whole. And it is: its bytes are synced under
another name before it gets its own, so a crash leaves a whole copy or none, and a restart takes over what it finds.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PosixPath
from weakref import WeakValueDictionary

from audiences.errors import DiskFull, EngineFull
from audiences.store.files import NAME, sync

# The folder of copies under way; no name of a stored file can clash with it.
INCOMING = "incoming"

# Seconds by which a copy's time on the disk may lag behind its use; a restart knows by it what was used last.
TOUCH_S = 60.0

# What the system calls a full disk, a full quota, and a file beyond a limit.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LocalCopy(PosixPath):
    """The path of a copy, which stays for as long as this object is held. A class of its own can be referred to weakly.

    What is made from it (`path.parent / path.name`, `str(path)`) is another object and holds nothing.
    """


@dataclass
class Kept:
    """One copy: its bytes, and when its time on the disk was set last (seconds of the monotonic clock)."""

    size: int
    touched: float


class Cache:
    """The copies in one folder, up to `most_bytes` together. It belongs to one process; any thread may call.

    Copies that nobody holds also go where the disk would have less than `spare_bytes` left.
    """

    def __init__(self, folder: Path, most_bytes: int, spare_bytes: int = 0) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self.spare_bytes = spare_bytes
        self.lock = threading.Lock()
        # All copies, the least recently used first; the paths that somebody holds; the bytes of copies under way.
        self.kept: OrderedDict[str, Kept] = OrderedDict()
        self.held: WeakValueDictionary[str, LocalCopy] = WeakValueDictionary()
        self.coming: dict[str, int] = {}
        self.kept_bytes = 0
        self.take_over()

    def take_over(self) -> None:
        """Begins with what an earlier process left, without the copies that it did not finish."""
        shutil.rmtree(self.folder / INCOMING, ignore_errors=True)
        (self.folder / INCOMING).mkdir(mode=0o700, parents=True)
        found = []
        for path in self.folder.glob("??/*-*"):
            name, state = f"{path.parent.name}/{path.name}", path.stat()
            if NAME.fullmatch(name):
                found.append((state.st_mtime, name, state.st_size))
        for _, name, size in sorted(found):
            self.note(name, size)
        self.make_room(0)

    def names(self) -> list[str]:
        """The names of all copies."""
        with self.lock:
            return list(self.kept)

    def find(self, name: str) -> LocalCopy | None:
        """The copy, if there is one and it is whole; it counts as used now."""
        with self.lock:
            kept = self.kept.get(name)
            if kept is None:
                return None
            if not is_whole(self.folder / name, kept.size):
                self.drop(name)
                return None
            self.kept.move_to_end(name)
            if time.monotonic() - kept.touched >= TOUCH_S:
                os.utime(self.folder / name)
                kept.touched = time.monotonic()
            return self.hold(name)

    def fill(self, name: str, size: int, write: Callable[[Path], object]) -> LocalCopy:
        """A new copy of so many bytes, which `write` puts into the file at the path that it is given.

        Raises EngineFull where the copies in use leave no room, DiskFull where the disk has none, and what `write`
        raises; nothing is left then.
        """
        ticket = secrets.token_hex(16)
        path = self.folder / INCOMING / ticket
        with self.lock:
            if not self.make_room(size):
                raise EngineFull(
                    "The files that are being read leave no room for another one. Try again in a few seconds.",
                    headers={"Retry-After": "5"},
                )
            self.coming[ticket] = size
        try:
            with telling_of_a_full_disk():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self.allocate(path, size)
                write(path)
                sync(path)
                return self.place(name, path, ticket)
        finally:
            path.unlink(missing_ok=True)
            with self.lock:
                self.coming.pop(ticket, None)

    def take(self, name: str, source: Path) -> None:
        """Makes the file at `source` the copy, by renaming it; where it cannot be one, it is removed."""
        with suppress(OSError):
            sync(source)
            size = source.stat().st_size
            with self.lock:
                room = self.make_room(size)
                if room:
                    self.coming[name] = size
            if room:
                self.place(name, source, name)
        with self.lock:
            self.coming.pop(name, None)
        source.unlink(missing_ok=True)

    def discard(self, name: str) -> None:
        """Removes the copy, whoever holds it; nothing happens if there is none."""
        with self.lock:
            if name in self.kept:
                self.drop(name)

    def discard_idle(self, name: str) -> bool:
        """Removes the copy unless somebody holds it; whether it did."""
        with self.lock:
            idle = name in self.kept and name not in self.held
            if idle:
                self.drop(name)
            return idle

    def allocate(self, path: Path, size: int) -> None:
        """Makes the file with room for so many bytes, for which copies that nobody holds go if need be."""
        try:
            allocate(path, size)
        except OSError as error:
            if error.errno not in FULL:
                raise
            with self.lock:
                goal = self.kept_bytes - size
                self.drop_idle(lambda: self.kept_bytes <= goal)
            allocate(path, size)

    def place(self, name: str, source: Path, ticket: str) -> LocalCopy:
        """Renames a whole file to a copy's name; what was reserved for it by `ticket` is its own from now on."""
        with self.lock:
            target = self.folder / name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            source.rename(target)
            self.note(name, self.coming.pop(ticket))
            return self.hold(name)

    # From here on the caller has the lock.

    def note(self, name: str, size: int) -> None:
        """Counts a copy as the one used last."""
        self.kept[name] = Kept(size, time.monotonic())
        self.kept_bytes += size

    def hold(self, name: str) -> LocalCopy:
        """The path that all who hold the copy share."""
        path = self.held.get(name)
        if path is None:
            path = self.held[name] = LocalCopy(self.folder / name)
        return path

    def make_room(self, size: int) -> bool:
        """Drops what nobody holds until so many bytes more fit; whether they do.

        A single file larger than the bound fits where nothing else is in use: it could never be read otherwise.
        """
        coming = sum(self.coming.values())
        in_use = coming + sum(self.kept[name].size for name in list(self.held) if name in self.kept)
        if in_use and in_use + size > self.most_bytes:
            return False
        self.drop_idle(lambda: self.kept_bytes + coming + size <= self.most_bytes)
        self.drop_idle(lambda: shutil.disk_usage(self.folder).free - size >= self.spare_bytes)
        return True

    def drop_idle(self, enough: Callable[[], bool]) -> None:
        """Drops copies that nobody holds, the least recently used first, until it is enough."""
        for name in list(self.kept):
            if enough():
                return
            if name not in self.held:
                self.drop(name)

    def drop(self, name: str) -> None:
        """Removes a copy."""
        self.kept_bytes -= self.kept.pop(name).size
        (self.folder / name).unlink(missing_ok=True)


def is_whole(path: Path, size: int) -> bool:
    """Whether the file is there and has so many bytes."""
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def allocate(path: Path, size: int) -> None:
    """Makes a file with room for so many bytes, so that a full disk is found before a byte is fetched."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)


@contextmanager
def telling_of_a_full_disk() -> Iterator[None]:
    """Turns what the system says of a full disk into DiskFull."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull("The server has no room for a copy of the file. Try later, or tell the operator.") from error
        raise
