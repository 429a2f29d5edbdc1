"""The catalog's database: opened, migrated, and handed out as transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from audiences.errors import CannotOpen, DiskFull, out_of_reach
from audiences.store.backend import Backend
from audiences.store.sqlite import Sqlite
from audiences.watch import log_fault

MIGRATIONS = Path(__file__).parent / "migrations"

# The newest migration. A test holds it against the scripts; so a start need not load Alembic to find nothing to do.
HEAD = "0008"


class SchemaTooNew(CannotOpen):
    """The database was migrated by a newer release, whose rules this one does not know."""


class Database:
    """Transactions on one catalog.

    `read()` and `write()` are context managers over a connection; what `write()` did commits at its end, or not at all
    if it raises. Both raise NotReady where the database does not answer; after a write it is not known then whether it
    committed.
    """

    def __init__(self, url: str, connections: int = 10) -> None:
        """Opens no connection yet. Raises CannotOpen for an address that cannot be read."""
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
        with self.in_our_words(), self.backend.turn(account) as connection:
            yield connection

    def note(self, account: int, what: Callable[[Connection], object]) -> None:
        """Carries out a write that nobody is to be kept from reading by: on a disk that is full or fails, it is not."""
        try:
            with self.write(account) as connection:
                what(connection)
        except DiskFull:
            pass
        except OperationalError as error:
            log_fault("not_noted", error)

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

    @contextmanager
    def alone(self, work: int) -> Iterator[bool]:
        """Whether no other node does `work`, a number of ours, while the block lasts. Raises NotReady."""
        with self.in_our_words(), self.backend.alone(work) as is_alone:
            yield is_alone

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
            reason = str(error.orig).strip().partition("\n")[0]
            raise CannotOpen(f"The catalog {where(self.engine.url)} cannot be opened: {reason}.") from None

    def schema_version(self) -> str | None:
        """The name of the newest migration that was run, or None on an empty database."""
        with self.engine.connect() as connection:
            self.backend.check(connection)
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    def reachable(self) -> bool:
        """Whether a statement can be run, and written after a failure; it raises where it cannot."""
        with self.in_our_words():
            self.backend.try_to_write()
        with self.read() as connection:
            return connection.execute(text("SELECT 1")).scalar() == 1

    def empty_log(self) -> None:
        """Leaves nothing of what was deleted in the database's own log, as far as this server can."""
        self.backend.empty_log()

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def backend_of(url: str, connections: int) -> Backend:
    """The kind of database that the address is one of. Raises CannotOpen for what is no address."""
    try:
        return opened_backend(read_address(url), connections)
    except (ArgumentError, ValueError):
        # What was wrong may be a piece of the password.
        raise CannotOpen(
            "AUDIENCES_DATABASE_URL is no address of a database, such as postgresql://user:password@host:5432/audiences"
            ". A password's own @, :, / and % are written %40, %3A, %2F and %25 in it."
        ) from None


def read_address(url: str) -> URL:
    """The address. Raises ArgumentError, or ValueError."""
    address = make_url(url)
    if "@" in (address.host or ""):
        raise ValueError("the password has an @, and the host is a part of it")
    return address


def opened_backend(address: URL, connections: int) -> Backend:
    """The same of an address that was read."""
    if address.get_backend_name() == "sqlite":
        return Sqlite(address)
    from audiences.store.postgres import Postgres

    return Postgres(address, connections)


def where(address: URL) -> str:
    """The file or the host and the database, for people: nothing else of an address is certain to be no password."""
    name = address.database or "without a name"
    return name if address.host is None else f"{name} on {address.host}"


def upgrade(backend: Backend) -> None:
    """Runs the missing migrations in order, while no other node does. Raises SchemaTooNew."""
    with backend.turn(None, is_patient=True) as connection:
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
