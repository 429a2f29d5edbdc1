"""The catalog's database: opened, migrated, and handed out as transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, make_url, text
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from audiences.errors import CannotOpen, out_of_reach
from audiences.store.backend import Backend
from audiences.store.sqlite import Sqlite

MIGRATIONS = Path(__file__).parent / "migrations"

# The newest migration. A test holds it against the scripts; so a start need not load Alembic to find nothing to do.
HEAD = "0005"


class SchemaTooNew(CannotOpen):
    """The database was migrated by a newer release, whose rules this one does not know."""


class Database:
    """Transactions on one catalog.

    `read()` and `write()` are context managers over a connection; what `write()` did commits at its end, or not at all
    if it raises. Both raise NotReady where the database does not answer; after a write it is not known then whether it
    committed.
    """

    def __init__(self, url: str, connections: int = 10) -> None:
        self.backend = backend_of(url, connections)
        self.engine = self.backend.engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the catalog."""
        with self.in_our_words(), self.backend.reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self, account: int | None = None) -> Iterator[Connection]:
        """A transaction that may change what is of `account`, or with None anything; committed and synced at its end.

        What it looks up stays as it is until then: it waits for writes of the same account, or with None for all.
        """
        with self.in_our_words(), self.backend.writer.begin() as connection:
            self.backend.take_turn(connection, account)
            yield connection

    @contextmanager
    def in_our_words(self) -> Iterator[None]:
        """Raises a Refusal for what the database fails at without a fault of ours."""
        try:
            yield
        except NoConnection:
            raise out_of_reach("its catalog") from None
        except DBAPIError as error:
            refusal = self.backend.refusal(error)
            if refusal is None:
                raise
            raise refusal from error

    def alone(self, work: int) -> AbstractContextManager[bool]:
        """Whether no other node does `work`, a number of ours, while the block lasts."""
        return self.backend.alone(work)

    def migrate(self) -> str | None:
        """Brings the schema up to `HEAD`, and returns the version that it had.

        Raises SchemaTooNew if it is beyond, CannotOpen if it is no catalog.
        """
        with self.opening():
            version = self.schema_version()
            if version != HEAD:
                upgrade(self.backend)
            return version

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Raises CannotOpen where the database is away or no catalog."""
        try:
            yield
        except DatabaseError as error:
            where = self.engine.url.render_as_string(hide_password=True)
            reason = str(error.orig).strip().partition("\n")[0]
            raise CannotOpen(f"The catalog {where} cannot be opened: {reason}.") from None

    def schema_version(self) -> str | None:
        """The name of the newest migration that was run, or None on an empty database."""
        with self.engine.connect() as connection:
            self.backend.check(connection)
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def reachable(self) -> bool:
        """Whether a statement can be run; it raises where it cannot."""
        with self.read() as connection:
            return connection.execute(text("SELECT 1")).scalar() == 1

    def empty_log(self) -> None:
        """Leaves nothing of what was deleted in the database's own log, as far as this server can."""
        self.backend.empty_log()

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def backend_of(url: str, connections: int) -> Backend:
    """The kind of database that the address is one of."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return Sqlite(address)
    from audiences.store.postgres import Postgres

    return Postgres(address, connections)


def upgrade(backend: Backend) -> None:
    """Runs the missing migrations in order, while no other node does. Raises SchemaTooNew."""
    with backend.writer.begin() as connection:
        backend.take_turn(connection, None)
        upgrade_on(connection, "head")


def upgrade_on(connection: Connection, version: str) -> None:
    """Runs the migrations up to that version in the caller's transaction. Raises SchemaTooNew."""
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, version)
    except CommandError as error:
        raise SchemaTooNew(
            "The catalog was written by a newer release of Audiences than this one. Install that release, "
            "or restore a backup that this one made."
        ) from error
