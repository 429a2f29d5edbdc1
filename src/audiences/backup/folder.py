"""What a backup folder holds: states of the catalog, and the stored files that they refer to.

It lies so::

    catalog-…Z/                      one state of the catalog, there whole or not at all
        manifest.json                 format, release and schema, and what the other files hold, with their SHA-256
        accounts.ndjson, …            a table each, a line a row; bytes as base64
        files.ndjson                  a line a stored file: name, bytes, sha256
    files/                            the stored files, under the names that they have in the store
    incoming/                         what is being written; of no use once nobody writes
    backup.lock                       held while a backup is made

It holds all that the catalog and the file store hold, the server's own keys among it, so it is as secret as they are:
whatever is made here is for its owner alone.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from audiences.backup.files import size_of
from audiences.backup.lines import Stored, readable
from audiences.errors import CannotOpen
from audiences.store.files import sync

FILES, INCOMING, LOCK = "files", "incoming", "backup.lock"

# A state of the catalog is known by the time at which it was read, so that names sort as times do.
STATE = "catalog-%Y-%m-%dT%H%M%S.%fZ"
STATE_NAME = re.compile(r"catalog-\d{4}-\d\d-\d\dT\d{6}\.\d{6}Z")
MOMENT = timedelta(microseconds=1)


class BackupInUse(CannotOpen):
    """Another command works on the backup."""


class NoBackup(CannotOpen):
    """The folder holds something else, or nothing."""


class Folder:
    """One backup folder."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.files = self.path / FILES
        self.incoming = self.path / INCOMING

    def file(self, name: str) -> Path:
        """Where a stored file lies."""
        return self.files / name

    def states(self) -> list[Path]:
        """The states of the catalog, the oldest first."""
        return sorted(path for path in self.path.glob("catalog-*") if STATE_NAME.fullmatch(path.name))

    def known(self) -> dict[str, Stored]:
        """The stored files that are here as an earlier run left them, by name; those of another size are removed."""
        found: dict[str, Stored] = {}
        for state in self.states():
            for file in readable(state):
                if size_of(self.file(file.name)) == file.bytes:
                    found[file.name] = file
                else:
                    self.file(file.name).unlink(missing_ok=True)
        return found

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Makes the folder, or takes over what is in it, for the one backup that works on it. Raises CannotOpen."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.path / LOCK).exists() and any(self.path.iterdir()):
            raise NoBackup(f"{self.path} holds something else than a backup. Name a new folder, or an empty one.")
        with locked(self.path / LOCK, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX):
            with suppress(PermissionError):  # a disk's own folder may be somebody else's; all below is ours
                self.path.chmod(0o700)
            for number in range(256):
                (self.files / f"{number:02x}").mkdir(mode=0o700, parents=True, exist_ok=True)
            self.files.chmod(0o700)
            shutil.rmtree(self.incoming, ignore_errors=True)
            self.incoming.mkdir(mode=0o700)
            try:
                yield
            finally:
                shutil.rmtree(self.incoming, ignore_errors=True)

    @contextmanager
    def read(self) -> Iterator[None]:
        """Keeps backups from changing the folder meanwhile. Raises CannotOpen."""
        if not self.states():
            raise NoBackup(f"There is no backup in {self.path}. `audiences backup` makes one.")
        if not (self.path / LOCK).exists():  # it was copied without it; nobody makes backups in such a folder
            yield
            return
        with locked(self.path / LOCK, os.O_RDONLY, fcntl.LOCK_SH):
            yield

    def publish(self, coming: Path, now: int) -> Path:
        """Gives a state of the catalog, written in `incoming`, its name: from then on it is the newest one."""
        for folder in (*self.files.iterdir(), self.files, coming):
            sync(folder)
        target = coming.rename(self.path / self.next_name(now))
        sync(self.path)
        return target

    def next_name(self, now: int) -> str:
        """The name of a new state: later than that of any other, whatever the clock says."""
        moments = [datetime.strptime(state.name, STATE).replace(tzinfo=UTC) for state in self.states()]
        moment = max([datetime.fromtimestamp(now / 1000, UTC), *(last + MOMENT for last in moments)])
        return moment.strftime(STATE)

    def tidy(self, keep: int) -> int:
        """Removes all states but the newest `keep`, and the files that no kept one refers to; how many files."""
        states = self.states()
        for state in states[:-keep]:
            shutil.rmtree(state.rename(self.incoming / state.name))
        wanted = {file.name for state in states[-keep:] for file in readable(state)}
        removed = 0
        for path in self.files.glob("??/*"):
            if f"{path.parent.name}/{path.name}" not in wanted:
                path.unlink()
                removed += 1
        return removed


@contextmanager
def locked(path: Path, mode: int, kind: int) -> Iterator[None]:
    """Holds the lock file, which ends with the process however it ends. Raises BackupInUse."""
    descriptor = os.open(path, mode, 0o600)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupInUse(f"Another command works on the backup in {path.parent}. Wait until it is done.") from None
        yield
    finally:
        os.close(descriptor)
