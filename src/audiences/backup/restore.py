"""Restore a backup into an empty catalog and an empty file store, of whatever kind.

Everything is verified before anything is written. Then come the files, which are of no account as long as no row refers
to them, and last all rows in one transaction: before it there is nothing, and behind it everything. So a restore that
was broken off is begun again.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec
from sqlalchemy import Connection, MetaData, func, inspect, select

from audiences import parts
from audiences.backup.files import Moved, Tally, in_threads, untold
from audiences.backup.folder import Folder
from audiences.backup.lines import Manifest, Stored, read_files
from audiences.backup.proof import read_manifest, verify
from audiences.backup.rows import load_tables
from audiences.backup.target import opened_empty, refuse_others, refuse_used
from audiences.errors import CannotOpen
from audiences.settings import Settings
from audiences.store import schema, secret_keys
from audiences.store.database import upgrade_on
from audiences.store.files import FileStore

VERSIONS = "alembic_version"


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored, or would be."""

    catalog: str
    time: str
    rows: int
    files: int
    bytes: int
    missing: list[str]


def check(path: Path, name: str | None = None, moved: Moved = untold) -> Restored:
    """What a state of the backup holds, by default the newest; all of it was read and is whole. Raises CannotOpen."""
    folder = Folder(path)
    with folder.read():
        state = chosen(folder, name)
        return summary(state, verified(folder, state, moved))


def restore(settings: Settings, path: Path, name: str | None = None, moved: Moved = untold) -> Restored:
    """Restores a state of the backup, by default the newest. Raises CannotOpen, Refusal, OSError."""
    folder = Folder(path)
    with folder.read():
        state = chosen(folder, name)
        manifest = verified(folder, state, moved)
        with opened_empty(settings, state) as (database, files, ours):
            put_back(folder, state, files, moved)
            with database.write() as connection:
                load(connection, state, manifest, ours)
        return summary(state, manifest)


def chosen(folder: Folder, name: str | None) -> Path:
    """That state, or the newest."""
    states = {state.name: state for state in folder.states()}
    if name is None:
        return list(states.values())[-1]
    if name not in states:
        raise CannotOpen(f"The backup has no {name}. It has {', '.join(states)}.")
    return states[name]


def verified(folder: Folder, state: Path, moved: Moved) -> Manifest:
    """The manifest, once all that it vouches for was read. Raises BackupDamaged, CannotOpen."""
    manifest = read_manifest(state)
    verify(folder, state, manifest, moved)
    return manifest


def summary(state: Path, manifest: Manifest) -> Restored:
    """What a state holds."""
    return Restored(
        catalog=state.name,
        time=manifest.time,
        rows=sum(table.rows for table in manifest.tables.values()),
        files=manifest.files.rows,
        bytes=sum(file.bytes for file in read_files(state)),
        missing=manifest.missing,
    )


def put_back(folder: Folder, state: Path, files: FileStore, moved: Moved) -> None:
    """Stores all files of the state under their own names."""
    tally = Tally(moved, sum(file.bytes for file in read_files(state)))

    def put(file: Stored) -> None:
        files.put_back(folder.file(file.name), file.name)
        tally.add(file.bytes)

    for _ in in_threads(put, read_files(state)):
        pass


def load(connection: Connection, state: Path, manifest: Manifest, ours: Collection[int]) -> None:
    """Makes the catalog anew in the schema of the backup, fills it, and brings it up to this release's.

    The catalog keeps the name that it had, which its files know. Raises NotEmpty.
    """
    refuse_used(connection)
    identity = secret_keys.find(connection, parts.IDENTITY)
    clear(connection)
    # A server may have come since the first look, and know keys that are replaced here. One that comes from now on
    # finds no table to read before this transaction ends.
    refuse_others(connection, ours)
    upgrade_on(connection, manifest.schema)
    load_tables(connection, state, manifest)
    upgrade_on(connection, "head")
    if identity is not None:
        secret_keys.add(connection, parts.IDENTITY, identity)
    if connection.dialect.name == "postgresql":
        count_on(connection)


def clear(connection: Connection) -> None:
    """Drops the tables of the catalog, and none besides."""
    ours = {*schema.metadata.tables, VERSIONS} & set(inspect(connection).get_table_names())
    found = MetaData()
    found.reflect(connection, only=sorted(ours))
    found.drop_all(connection)


def count_on(connection: Connection) -> None:
    """Has PostgreSQL number new rows behind those that were loaded; SQLite does so by itself."""
    for table in schema.metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(select(func.setval(sequence, func.max(column))).select_from(table))
