"""Files that stay: contacts and rejects as Parquet, drafts as they were sent; each under a name that is used once.

`FileStore` is the contract, `FolderStore` the embedded backend; `tests/test_store.py` has the suite for
every backend.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

# The kind of file that is no Parquet: one under check in the console, as it was sent.
DRAFT = "draft"


class FileStore(Protocol):
    """What the rest of the program may ask of any backend. All calls block; run them in a thread."""

    def put(self, source: Path, kind: str) -> str:
        """Takes the file at `source` over and returns its new name; it is on stable storage when this returns."""

    def local(self, name: str) -> Path:
        """A path under which the file can be read. Raises FileNotFoundError."""

    def remove(self, name: str) -> None:
        """Removes the file; nothing happens if there is none."""

    def names(self, older_than_s: float) -> Iterator[str]:
        """Names of the files that were put at least so many seconds ago."""

    def reachable(self) -> bool:
        """Whether files can be put and read; it raises where they cannot."""


class FolderStore:
    """Files in a folder of the local disk, spread over 256 subfolders.

    Durable in the order that the architecture gives: the file's bytes are synced, then it is renamed into place, then
    the folder that holds its name is synced. `source` has to lie on the same file system.
    """

    # What `put` hands out, and all that `local` and `remove` accept: no name can leave the folder.
    NAME = re.compile(r"[0-9a-f]{2}/(?:[a-z]+-[0-9a-f]{32}\.parquet|draft-[0-9a-f]{32}\.upload)")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for number in range(256):
            (folder / f"{number:02x}").mkdir(parents=True, exist_ok=True)
        sync(folder)
        sync(folder.parent)

    def put(self, source: Path, kind: str) -> str:
        """See FileStore. Raises OSError, and then leaves nothing under the new name."""
        token = secrets.token_hex(16)
        name = f"{token[:2]}/{kind}-{token}.{'upload' if kind == DRAFT else 'parquet'}"
        target = self.local(name)
        sync(source)
        source.rename(target)
        try:
            sync(target.parent)
        except OSError:
            target.unlink(missing_ok=True)
            raise
        return name

    def local(self, name: str) -> Path:
        """See FileStore. Raises ValueError for a name that `put` never gave."""
        if self.NAME.fullmatch(name) is None:
            raise ValueError("not a name of this store")
        return self.folder / name

    def remove(self, name: str) -> None:
        """See FileStore."""
        self.local(name).unlink(missing_ok=True)

    def names(self, older_than_s: float) -> Iterator[str]:
        """See FileStore. Foreign files are left out."""
        latest = time.time() - older_than_s
        for path in self.folder.glob("??/*-*"):
            name = f"{path.parent.name}/{path.name}"
            if self.NAME.fullmatch(name) and path.stat().st_mtime <= latest:
                yield name

    def reachable(self) -> bool:
        """See FileStore."""
        return os.access(self.folder / "00", os.R_OK | os.W_OK | os.X_OK)


def sync(path: Path) -> None:
    """Returns when the file, or the folder's list of names, is on stable storage."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
