"""The stores as a command opens them that works beside a server: without a part in the server's copies of files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from audiences import parts
from audiences.errors import CannotOpen
from audiences.settings import Settings
from audiences.store.database import HEAD, Database
from audiences.store.files import FileStore

# A backup needs one for the state that it reads, one for the hold that is set at that moment, and one to renew it.
CONNECTIONS = 4


@contextmanager
def opened_stores(settings: Settings, scratch: Path) -> Iterator[tuple[Database, FileStore]]:
    """The catalog and the file store; where that needs copies of files, they are made in the folder `scratch`.

    Raises CannotOpen, so also where there is no catalog, or one of another schema.
    """
    if settings.database_url is None and not (settings.data / parts.CATALOG).is_file():
        raise CannotOpen(f"There is no catalog in {settings.data}. Name the data folder by --data or AUDIENCES_DATA.")
    enough = replace(settings, database_connections=max(CONNECTIONS, settings.database_connections))
    with parts.opened_database(enough) as database:
        check_schema(database)
        files = opened_files(settings, scratch)
        parts.check_owner(files, database)
        yield database, files


def opened_files(settings: Settings, scratch: Path) -> FileStore:
    """The file store. Copies in `scratch` have no bound: whoever asks for them lets them go with `trim`."""
    if settings.storage_url is None:
        return parts.opened_files(settings, settings.data.resolve())
    return parts.opened_files(replace(settings, cache_bytes=2**62), scratch)


def check_schema(database: Database) -> None:
    """Raises CannotOpen unless the catalog has the schema that this release works on."""
    with database.opening():
        version = database.schema_version()
    if version is None:
        raise CannotOpen("There is no catalog in the database yet. AUDIENCES_DATABASE_URL names it.")
    if version != HEAD:
        raise CannotOpen(
            f"The catalog has schema {version}, and this release works on {HEAD}. Use the release that the server has; "
            "`audiences migrate` brings an older catalog up to date."
        )


def check_place(settings: Settings, backup: Path) -> None:
    """Raises CannotOpen for a backup within the data folder: it would be lost with it."""
    if backup.is_relative_to(settings.data.resolve()):
        raise CannotOpen(f"{backup} lies in the data folder, and would be lost with it. Name another place.")
