"""What a backup is restored into: an empty catalog and an empty file store, which nobody else works on meanwhile."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, inspect, select, text

from audiences import parts, sweep
from audiences.backup.lines import read_files
from audiences.errors import CannotOpen
from audiences.links import FIRST_ACCOUNT
from audiences.settings import Settings
from audiences.store import schema
from audiences.store.database import Database
from audiences.store.files import FileStore

# A catalog with a row in any of them is in use.
OF_USE = (schema.audiences, schema.keys, schema.users, schema.suppression_lists)


# Connections to the same database that servers and commands of ours have, as `store.postgres` names them.
OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'audiences' "
    "AND pid <> pg_backend_pid() AND pid <> ALL(CAST(:ours AS integer[]))"
)
OUR_OWN = text("SELECT pg_backend_pid()")
PATIENCE_S = 1.5


class NotEmpty(CannotOpen):
    """There is something where a backup should be restored."""


@contextmanager
def opened_empty(settings: Settings, state: Path) -> Iterator[tuple[Database, FileStore, Collection[int]]]:
    """The catalog and the file store, which are empty, and our own connections, for `refuse_others`.

    Raises CannotOpen.
    """
    place = parts.prepared_folder(settings.data)
    with parts.locked(place), parts.opened_database(settings) as database:
        check_catalog(database)
        ours = check_alone(database)
        database.migrate()
        files = parts.opened_files(settings, place)
        parts.check_owner(files, database)
        check_files(files, state)
        # A node that starts meanwhile must not sweep: to its sweeper all is rubbish that no row refers to yet.
        with database.alone(sweep.WORK) as alone:
            if not alone:
                raise NotEmpty("A server sweeps the catalog. Stop all of them, and start them afterwards.")
            yield database, files, ours


def check_catalog(database: Database) -> None:
    """Raises NotEmpty unless the catalog is empty, or as a first start leaves it."""
    with database.opening(), database.read() as connection:
        refuse_used(connection)


def check_alone(database: Database) -> Collection[int]:
    """Our own connections, those to come among them. Raises NotEmpty while others of a server or a command are there.

    A server would go on with the keys of the catalog that it began on. Whoever serves an embedded catalog holds the
    lock of its folder. A connection that was closed takes a moment to go.
    """
    ours: set[int] = set()
    if database.engine.dialect.name != "postgresql":
        return ours
    event.listen(database.engine, "connect", partial(note, ours))
    end = time.monotonic() + PATIENCE_S
    while True:
        with database.read() as connection:
            if not others(connection, ours):
                ours.add(connection.execute(OUR_OWN).scalar_one())
                return ours
            if time.monotonic() > end:
                refuse_others(connection, ours)
        time.sleep(PATIENCE_S / 20)


def note(ours: set[int], connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own type
    """Adds a new connection to ours."""
    with connection.cursor() as cursor:
        cursor.execute(OUR_OWN.text)
        ours.add(cursor.fetchone()[0])
    connection.commit()


def others(connection: Connection, ours: Collection[int]) -> bool:
    """Whether other processes of ours are connected to the database."""
    return connection.dialect.name == "postgresql" and bool(connection.execute(OTHERS, {"ours": [*ours]}).scalar())


def refuse_others(connection: Connection, ours: Collection[int]) -> None:
    """Raises NotEmpty if others are connected to the database."""
    if others(connection, ours):
        raise NotEmpty("A server works on the catalog's database. Stop all of them, and start them afterwards.")


def refuse_used(connection: Connection) -> None:
    """Raises NotEmpty for a catalog that has anything in it."""
    there = set(inspect(connection).get_table_names())
    used = [
        table.name
        for table in OF_USE
        if table.name in there and connection.execute(select(text("1")).select_from(table).limit(1)).first()
    ]
    accounts = schema.accounts
    if accounts.name in there:
        further = select(accounts.c.id).where(accounts.c.name != FIRST_ACCOUNT).limit(1)
        used += [accounts.name] if connection.execute(further).first() else []
    if used:
        raise NotEmpty(
            f"The catalog is in use (it has {', '.join(used).replace('_', ' ')}), and a restore writes over nothing. "
            "Name an empty data folder by --data, or an empty database by AUDIENCES_DATABASE_URL."
        )


def check_files(files: FileStore, state: Path) -> None:
    """Raises NotEmpty for a store with other files than an earlier attempt may have left."""
    wanted = {file.name for file in read_files(state)}
    if any(name not in wanted for name in files.names(0)):
        raise NotEmpty(
            "The file store holds other files than this backup. Name an empty data folder by --data, or an empty place "
            "by AUDIENCES_STORAGE_URL."
        )
