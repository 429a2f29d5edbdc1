"""Files that stay: contacts and rejects as Parquet, drafts as they were sent; each under a name that is used once.

`FileStore` is the contract, `FolderStore` the embedded backend, `objects` the one that nodes can share;
`tests/file_store_contract.py` has the suite for every backend.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from audiences import disk
from audiences.errors import NotReady, Refusal

# Kinds of files that are no Parquet, but lie as they were sent: under check in the console, and kept of an upload.
DRAFT, RAW = "draft", "raw"

# What `put` hands out, and all that the other calls accept: no name can leave the store.
NAME = re.compile(r"[0-9a-f]{2}/(?:[a-z]+-[0-9a-f]{32}\.parquet|(?:draft|raw)-[0-9a-f]{32}\.upload)")

# Where it is noted whose files these are.
OWNER = "owner"

# Seconds within which the row follows that makes stored files count; the sweeper spares what is younger than two hours.
COMMIT_S = 3600.0

# Asks the catalog: those of the names that it refers to.
InUse = Callable[[Collection[str]], Collection[str]]


class FileStore(Protocol):
    """What the rest of the program may ask of any backend. All calls block; run them in a thread."""

    def put(self, source: Path, kind: str) -> str:
        """Takes the file at `source` over and returns its new name; it is on stable storage when this returns.

        `source` has to lie on the data folder's file system; it is left if this raises. What may have been stored by
        then, though nobody could be told so, is removed by the sweeper.
        """

    def put_back(self, source: Path, name: str) -> None:
        """Stores a copy of `source` under a name that it once had; it is on stable storage when this returns.

        A file of the same size that is there by that name is the same one, and stays. Raises what `put` raises.
        """

    def local(self, name: str) -> Path:
        """A path under which the file can be read.

        It can be read, unless it is removed, for as long as the returned object itself is held by somebody: a path made
        from it, or its text, holds nothing. Raises FileNotFoundError; NotReady, EngineFull or DiskFull where it would
        have to be fetched and cannot be.
        """

    def exists(self, name: str) -> bool:
        """Whether the file is in the store itself, whatever copies there are of it."""

    def remove(self, name: str) -> None:
        """Removes the file; nothing happens if there is none."""

    def names(self, older_than_s: float) -> Iterator[str]:
        """Names of the files that were put at least so many seconds ago."""

    def claim(self, owner: str) -> str:
        """Whose files these are: `owner`'s, which is noted, unless somebody else's was noted before."""

    def reachable(self) -> bool:
        """Whether files can be put and read; it raises where they cannot."""

    def trim(self, in_use: InUse) -> int:
        """Removes copies of this node's own that are not in use; how many.

        So a file that another node removed goes from here as well. The copies are listed first, and `in_use` is asked
        second, some hundreds of names at a time.
        """


class Put(dict[str, str]):
    """The names of files that were just stored, by kind; it knows when that began."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = moment()

    def check_age(self) -> None:
        """Raises NotReady where the files may be taken for stray ones: the process, or its machine, was suspended.

        To be called at the end of the transaction that makes them count.
        """
        if max(now - begun for now, begun in zip(moment(), self.begun, strict=True)) > COMMIT_S:
            raise NotReady(
                "The server was held up for too long while it stored the file. Nothing was stored. "
                "Send the same request again.",
                headers={"Retry-After": "1"},
            )


def moment() -> tuple[float, float]:
    """Seconds by two clocks: the one stands while a machine sleeps, and the other may be set back."""
    return time.monotonic(), time.time()


class Overtaken(Exception):
    """Raised in a transaction that stores files: what they were made from has changed meanwhile."""


def left_to_the_sweeper() -> suppress:
    """What a removal is wrapped in whose reason has been decided: it must not look as if that had failed."""
    return suppress(OSError, NotReady)


@contextmanager
def stored_together(files: FileStore, sources: Mapping[str, Path]) -> Iterator[Put]:
    """Puts the files, each by its kind, and yields their names; the block commits the row that makes them count.

    Its transaction ends with a call of `check_age`.

    If it certainly did not, they are removed again. Where nobody knows, since the catalog was lost on the way or the
    process is ending, they stay: the sweeper asks the catalog once it is back.
    """
    names = Put()
    try:
        for kind, source in sources.items():
            names[kind] = files.put(source, kind)
        yield names
    except NotReady:
        raise
    except (Refusal, Overtaken, OSError):
        for name in names.values():
            with left_to_the_sweeper():
                files.remove(name)
        raise


class FolderStore:
    """Files in a folder of the local disk, spread over 256 subfolders.

    Durable in the order that the architecture gives: the file's bytes are synced, then it is renamed into place, then
    the folder that holds its name is synced. `source` has to lie on the same file system.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.probe = disk.Probe(folder)
        for number in range(256):
            (folder / f"{number:02x}").mkdir(parents=True, exist_ok=True)
        sync(folder)
        sync(folder.parent)

    def put(self, source: Path, kind: str) -> str:
        """See FileStore. Raises OSError, and then leaves nothing under the new name."""
        name = new_name(kind)
        target = self.folder / name
        sync(source)
        source.rename(target)
        try:
            sync(target.parent)
        except OSError:
            target.unlink(missing_ok=True)
            raise
        return name

    def put_back(self, source: Path, name: str) -> None:
        """See FileStore. What is there under the name is whole, since it was renamed; its name may not be synced."""
        target = self.folder / checked(name)
        if not (target.exists() and target.stat().st_size == source.stat().st_size):
            coming = target.with_name(f"{target.name}.coming")
            try:
                shutil.copyfile(source, coming)
                sync(coming)
                coming.rename(target)
            finally:
                coming.unlink(missing_ok=True)
        sync(target.parent)

    def local(self, name: str) -> Path:
        """See FileStore. A file stays where it is until it is removed. Raises ValueError for what is no name."""
        path = self.folder / checked(name)
        path.stat()
        return path

    def exists(self, name: str) -> bool:
        """See FileStore."""
        return (self.folder / checked(name)).exists()

    def remove(self, name: str) -> None:
        """See FileStore."""
        (self.folder / checked(name)).unlink(missing_ok=True)

    def names(self, older_than_s: float) -> Iterator[str]:
        """See FileStore. Foreign files are left out."""
        latest = time.time() - older_than_s
        for path in self.folder.glob("??/*-*"):
            name = f"{path.parent.name}/{path.name}"
            if NAME.fullmatch(name) and path.stat().st_mtime <= latest:
                yield name

    def claim(self, owner: str) -> str:
        """See FileStore."""
        noted = self.folder / OWNER
        if not noted.exists():
            coming = noted.with_suffix(".coming")
            coming.write_text(owner)
            sync(coming)
            coming.rename(noted)
            sync(self.folder)
        return noted.read_text()

    def reachable(self) -> bool:
        """See FileStore."""
        self.probe.run()
        return os.access(self.folder / "00", os.R_OK | os.W_OK | os.X_OK)

    def trim(self, in_use: InUse) -> int:  # noqa: ARG002 - the contract's
        """See FileStore. There are no copies here."""
        return 0


def new_name(kind: str) -> str:
    """A name that no file has had or will have."""
    token = secrets.token_hex(16)
    return f"{token[:2]}/{kind}-{token}.{'upload' if kind in {DRAFT, RAW} else 'parquet'}"


def checked(name: str) -> str:
    """The name. Raises ValueError for one that `put` never gave."""
    if NAME.fullmatch(name) is None:
        raise ValueError("not a name of this store")
    return name


def sync(path: Path) -> None:
    """Returns when the file, or the folder's list of names, is on stable storage."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
