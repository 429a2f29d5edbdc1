"""The catalog's database: opened, migrated, and handed out as transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from audiences.errors import CannotOpen, DiskFull

MIGRATIONS = Path(__file__).parent / "migrations"

# The newest migration. A test holds it against the scripts; so a start need not load Alembic to find nothing to do.
HEAD = "0003"

# Seconds that a writer waits for the one before it. Writes are short: a row or two and a sync.
BUSY_TIMEOUT_S = 30


class SchemaTooNew(CannotOpen):
    """The database was migrated by a newer release, whose rules this one does not know."""


class Database:
    """Transactions on one catalog.

    `read()` and `write()` are context managers over a connection; what `write()` did commits at its end, or not at all
    if it raises. A write on SQLite takes the one write lock at its begin, so that it never fails in the middle.
    """

    def __init__(self, url: str) -> None:
        self.engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False})
        configure_sqlite(self.engine)
        self.writer = self.engine.execution_options(writes=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the catalog."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may change the catalog; committed and synced at the end of the block."""
        try:
            with self.writer.begin() as connection:
                yield connection
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_FULL":
                raise DiskFull("The server has no room for its catalog. Try later, or tell the operator.") from error
            raise

    def migrate(self) -> None:
        """Brings the schema up to `HEAD`. Raises SchemaTooNew if it is beyond, CannotOpen if it is no catalog."""
        try:
            version = self.schema_version()
        except DatabaseError as error:
            raise CannotOpen(f"The catalog {self.engine.url.database} cannot be opened: {error.orig}.") from None
        if version != HEAD:
            upgrade(self.engine)

    def schema_version(self) -> str | None:
        """The name of the newest migration that was run, or None on an empty database."""
        with self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def reachable(self) -> bool:
        """Whether a statement can be run; it raises where it cannot."""
        with self.read() as connection:
            return connection.execute(text("SELECT 1")).scalar() == 1

    def empty_log(self) -> None:
        """Moves SQLite's write-ahead log into the database and empties it, so that nothing deleted is left in it.

        Transactions under way are waited for, up to `BUSY_TIMEOUT_S`; then the log keeps it until the next time.
        """
        if self.engine.dialect.name == "sqlite":
            with self.engine.connect() as connection:
                # It has to be outside of a transaction; SQLAlchemy begins one with its first own statement.
                raw = connection.connection.dbapi_connection
                assert raw is not None  # noqa: S101 - a connection that is open has one
                with suppress(sqlite3.OperationalError):
                    raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def upgrade(engine: Engine) -> None:
    """Runs the missing migrations in order. Raises SchemaTooNew."""
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SchemaTooNew(
                "The catalog was written by a newer release of Audiences than this one. Install that release, "
                "or restore a backup that this one made."
            ) from error


def configure_sqlite(engine: Engine) -> None:
    """Makes every connection keep its promise: a commit is on the disk when it returns (architecture, publish)."""

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own type
        connection.isolation_level = None  # BEGIN is ours, below
        # SQLite's own folds the case of ASCII alone; names are of any script.
        connection.create_function("lower", 1, lambda text: text and text.casefold(), deterministic=True)
        # What is deleted is overwritten, too: the catalog may have quoted a person who was erased.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        if found != ["wal", 2]:
            raise RuntimeError(f"SQLite would lose commits on power loss: journal_mode, synchronous = {found}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
