"""Make a backup: one state of the catalog as lines of JSON, and every stored file that it refers to.

The state is that of one moment, and its files are held from that same moment on, so that they stay until they are
copied, whatever the server does meanwhile. A file never changes under its name, so what an earlier run copied need not
be copied again. The new state gets its name once all of it is on stable storage; what only older ones need goes then.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from audiences import __version__, beside, clock
from audiences.backup import rows
from audiences.backup.files import Moved, Tally, copy, hash_of, in_threads, size_of, untold
from audiences.backup.folder import Folder
from audiences.backup.hold import Hold
from audiences.backup.lines import FORMAT, Manifest, Stored, write_list, write_manifest
from audiences.clock import Clock
from audiences.settings import Settings
from audiences.store.database import HEAD, Database
from audiences.store.files import FileStore


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds, and what it took. `missing` are files of the catalog that the store did not have."""

    catalog: str
    rows: int
    files: int
    bytes: int
    copied_files: int
    copied_bytes: int
    removed_files: int
    missing: list[str]


@dataclass(frozen=True)
class Copied:
    """What became of one file: it is in the backup now, and was copied unless an earlier run had done it; or lost."""

    name: str
    stored: Stored | None
    is_new: bool = False


def make(settings: Settings, path: Path, keep: int = 1, moved: Moved = untold, now: Clock = clock.now) -> Made:
    """Makes a backup in the folder, beside a server or without one, and keeps the newest `keep` states of it.

    Raises CannotOpen, Refusal, OSError; the backup that was there stays whole then.
    """
    folder = Folder(path)
    beside.check_place(settings, folder.path)
    with folder.owned(), beside.opened_stores(settings, folder.incoming) as (database, files):
        return Backup(folder, database, files, now, moved).make(keep)


@dataclass(frozen=True)
class Backup:
    """One run."""

    folder: Folder
    database: Database
    files: FileStore
    now: Clock
    moved: Moved

    def make(self, keep: int) -> Made:
        """Makes it; see `make`."""
        known = self.folder.known()
        begun = self.now()
        coming = self.folder.incoming / "state"
        coming.mkdir(mode=0o700)
        with Hold(self.database, self.files, self.now) as hold:
            with self.state(hold, known) as (connection, names):
                tables = rows.write_tables(connection, coming)
                total = rows.expected_bytes(connection, names - known.keys())
            copied = self.copy_all(names - known.keys(), total)
        there = {name: known[name] for name in names & known.keys()}
        there |= {file.name: file.stored for file in copied if file.stored is not None}
        missing = sorted(names - there.keys())
        manifest = Manifest(
            format=FORMAT,
            release=__version__,
            schema=HEAD,
            time=clock.in_milliseconds(begun),
            tables=tables,
            files=write_list(coming, there),
            missing=missing,
        )
        write_manifest(coming, manifest)
        state = self.folder.publish(coming, begun)
        new = [file.stored.bytes for file in copied if file.stored is not None and file.is_new]
        return Made(
            catalog=state.name,
            rows=sum(table.rows for table in tables.values()),
            files=len(there),
            bytes=sum(file.bytes for file in there.values()),
            copied_files=len(new),
            copied_bytes=sum(new),
            removed_files=self.folder.tidy(keep),
            missing=missing,
        )

    @contextmanager
    def state(self, hold: Hold, known: Collection[str]) -> Iterator[tuple[Connection, set[str]]]:
        """One state of the catalog, and the names of the files it refers to; those that are not known are held."""
        with ExitStack() as stack:
            with self.database.write() as writing:
                # While this one writes nobody else can: the state that the other one sees is the one that is held.
                reading = stack.enter_context(self.database.read())
                names = rows.object_names(reading)
                hold.begin(writing, names - set(known))
            yield reading, names

    def copy_all(self, names: Collection[str], total: int) -> list[Copied]:
        """Copies the files."""
        tally = Tally(self.moved, total)
        return list(in_threads(partial(self.copy, tally), sorted(names)))

    def copy(self, tally: Tally, name: str) -> Copied:
        """Copies one file, unless a run that was broken off has done so: what has its name is whole."""
        target = self.folder.file(name)
        size = size_of(target)
        if size is not None:
            return Copied(name, Stored(name, size, hash_of(target, tally)))
        try:
            source = self.files.local(name)
        except FileNotFoundError:
            return Copied(name, None)
        coming = self.folder.incoming / secrets.token_hex(16)
        size, digest = copy(source, coming, tally)
        coming.rename(target)
        del source  # the store's own copy of it may go
        self.files.trim(lambda _: ())
        return Copied(name, Stored(name, size, digest), is_new=True)
