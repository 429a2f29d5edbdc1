"""The catalog on SQLite: one file in the data folder, one process, one writer at a time."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from audiences import disk
from audiences.errors import DiskFull, Refusal, out_of_reach

# Seconds that a writer waits for the one before it. Writes are short: a row or two and a sync.
BUSY_TIMEOUT_S = 30

# Bytes that are written to find out whether there is room: as many as SQLite adds to its log at the least, and more.
TRIED_BYTES = 64 * 1024


class Sqlite:
    """See `Backend`. A write takes the one write lock at its begin, so that it never fails in the middle."""

    def __init__(self, url: URL) -> None:
        self.engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})
        event.listen(self.engine, "connect", set_pragmas)
        event.listen(self.engine, "begin", begin)
        self.path = Path(str(url.database))
        self.has_failed = False
        self.reader: Engine = self.engine
        self.writer = self.engine.execution_options(writes=True)

    def turn(self, account: int | None, *, is_patient: bool = False) -> AbstractContextManager[Connection]:  # noqa: ARG002 - whoever it is
        """See Backend: BEGIN IMMEDIATE waits."""
        return self.writer.begin()

    @contextmanager
    def alone(self, work: int) -> Iterator[bool]:  # noqa: ARG002 - whatever it is
        """See Backend: whoever serves holds the lock of the data folder."""
        yield True

    def check(self, connection: Connection) -> None:
        """See Backend: every connection is checked as it is made."""

    def refusal(self, error: DBAPIError) -> Refusal | None:
        """See Backend."""
        name = getattr(error.orig, "sqlite_errorname", "")
        if name == "SQLITE_FULL" or (name == "SQLITE_IOERR_WRITE" and self.has_no_room()):
            return DiskFull("The server has no room for its catalog. Try later, or tell the operator.")
        self.has_failed |= name.startswith("SQLITE_IOERR")
        return out_of_reach("its catalog") if name == "SQLITE_BUSY" else None

    def has_no_room(self) -> bool:
        """Whether a write beside the catalog finds no room: a quota that is used up is an I/O error to SQLite."""
        try:
            with tempfile.NamedTemporaryFile(prefix=f"{self.path.name}-", dir=self.path.parent) as file:
                file.write(bytes(TRIED_BYTES))
                file.flush()
        except OSError as error:
            return disk.is_full(error)
        return False

    def try_to_write(self) -> None:
        """See Backend: the version number that nobody uses is set to what it is, in a transaction like any other."""
        if self.has_failed:
            with self.writer.begin() as connection:
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")
            self.has_failed = False

    def empty_log(self) -> None:
        """See Backend. Transactions under way are waited for; after `BUSY_TIMEOUT_S` the log stays as it is."""
        with self.engine.connect() as connection:
            # It has to be outside of a transaction; SQLAlchemy begins one with its first own statement.
            raw = connection.connection.dbapi_connection
            assert raw is not None  # noqa: S101 - a connection that is open has one
            with suppress(sqlite3.OperationalError):
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def set_pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own type
    """Makes a new connection keep its promise: a commit is on the disk when it returns (architecture, publish)."""
    connection.isolation_level = None  # BEGIN is ours, below
    # SQLite's own folds the case of ASCII alone; names are of any script.
    connection.create_function("lower", 1, lambda text: text and text.casefold(), deterministic=True)
    # What is deleted is overwritten, too: the catalog may have quoted a person who was erased.
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")
    found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    if found != ["wal", 2]:
        raise RuntimeError(f"SQLite would lose commits on power loss: journal_mode, synchronous = {found}")


def begin(connection: Connection) -> None:
    """Begins a transaction, which takes the write lock at once if it writes."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
