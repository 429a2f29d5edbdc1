"""The catalog on PostgreSQL, shared by any number of nodes.

Writes take turns by advisory locks that end with their transaction: those of one account one after the other, those of
several accounts at once, and a write that is no account's with no other one beside it. So what a transaction has looked
up stays true until it commits, as on SQLite, and no code has to know on which of the two it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from audiences.errors import CannotOpen, DiskFull, Refusal, out_of_reach
from audiences.store.queue import Queue

# Seconds: for a connection, for a free one of the pool, and for a turn.
CONNECT_S, POOL_S, TURN_S = 5, 10, 30

# Seconds for a turn at the whole catalog: it waits for the slowest account, and every other one waits behind it.
WHOLE_S = 3

# Connections that are left to reads, however many write.
TO_READ = 2

# A node that stands still within a transaction must not hold up the others for longer; nor one whose machine is gone.
STILL_S = 60

# The first half of our advisory locks' names, so that they are nobody else's by chance; the second is an account's id,
# or 0 for the whole catalog.
TURNS, WORKS = 0x41554449, 0x41554457
ACCOUNTS_TURN = text("SELECT pg_advisory_xact_lock_shared(:turns, 0), pg_advisory_xact_lock(:turns, :account)")
WHOLE_TURN = text(
    "SELECT set_config('lock_timeout', :within, true), pg_advisory_xact_lock(:turns, 0), "
    "set_config('lock_timeout', :afterwards, true)"
)

DISK_FULL, READ_ONLY = "53100", "25006"
# SQLSTATE, or classes of it, that tell of the server's state and not of a statement's fault: connections, resources,
# the operator's doing (57014: a statement was ended), locks (40P01: a deadlock, 40001: a conflict).
AWAY = ("08", "53", "57P", "57014", "55P03", "25P03", "40P01", "40001", "58")


class Postgres:
    """See `Backend`."""

    SESSION: ClassVar[dict[str, str]] = {
        "lock_timeout": f"{TURN_S}s",
        "idle_in_transaction_session_timeout": f"{STILL_S}s",
        "tcp_keepalives_idle": "15",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }

    # Where the server's machine is gone nobody says so. A node notices after half a minute, idle or not.
    SOCKET: ClassVar[dict[str, int]] = {
        "keepalives": 1,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }

    def __init__(self, url: URL, connections: int) -> None:
        options = " ".join(f"-c {name}={value}" for name, value in self.SESSION.items())
        self.engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=POOL_S,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "options": options,
                "connect_timeout": CONNECT_S,
                "application_name": "audiences",
                "client_encoding": "utf8",
                **self.SOCKET,
            },
        )
        event.listen(self.engine, "connect", wait_for_the_disk)
        self.reader: Engine = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self.writer = self.engine.execution_options(isolation_level="READ COMMITTED")
        self.queue = Queue(max(1, connections - TO_READ), TURN_S)

    @contextmanager
    def turn(self, account: int | None, *, is_patient: bool = False) -> Iterator[Connection]:
        """See Backend."""
        with self.queue.place(account), self.writer.begin() as connection:
            try:
                take_turn(connection, account, TURN_S if is_patient else WHOLE_S)
                yield connection
            except DBAPIError as error:
                if sqlstate(error) != READ_ONLY:
                    raise
                # It became another server's replica. The address leads to the new primary, this connection never will.
                connection.invalidate()
                raise out_of_reach("its catalog") from error

    @contextmanager
    def alone(self, work: int) -> Iterator[bool]:
        """See Backend. The lock is its connection's, so that it ends with a node that dies."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            name = {"works": WORKS, "work": work}
            taken = bool(connection.execute(text("SELECT pg_try_advisory_lock(:works, :work)"), name).scalar())
            try:
                yield taken
            finally:
                if taken:
                    give_back(connection, name)

    def check(self, connection: Connection) -> None:
        """See Backend."""
        encoding, fsync = (connection.execute(text(f"SHOW {name}")).scalar() for name in ("server_encoding", "fsync"))
        if encoding != "UTF8":
            raise CannotOpen(f"The catalog's database has the encoding {encoding}. Create it with ENCODING 'UTF8'.")
        if fsync != "on":
            raise CannotOpen("PostgreSQL would lose commits on power loss: fsync is off. Turn it on.")

    def refusal(self, error: DBAPIError) -> Refusal | None:
        """See Backend."""
        state = sqlstate(error)
        if state == DISK_FULL:
            return DiskFull("The catalog's database has no room. Try later, or tell the operator.")
        # What the driver says by itself has no state: that it cannot connect, or that it was given what it cannot send.
        away = isinstance(error, (OperationalError, InterfaceError)) if state is None else state.startswith(AWAY)
        return out_of_reach("its catalog") if away or error.connection_invalidated else None

    def try_to_write(self) -> None:
        """See Backend: its disk is the database server's affair."""

    def empty_log(self) -> None:
        """See Backend: PostgreSQL recycles its log by itself, and archives are the operator's (docs/operating.md)."""


def take_turn(connection: Connection, account: int | None, whole_s: int) -> None:
    """Waits for the turn. It is the transaction's first statement: later ones see all that earlier turns committed."""
    if account is None:
        within = {"within": f"{whole_s}s", "afterwards": f"{TURN_S}s"}
        connection.execute(WHOLE_TURN, {"turns": TURNS, **within})
    else:
        connection.execute(ACCOUNTS_TURN, {"turns": TURNS, "account": account})


def give_back(connection: Connection, name: Mapping[str, int]) -> None:
    """Gives the lock of a work back; where that cannot be said, the connection ends, and the lock with it."""
    try:
        connection.execute(text("SELECT pg_advisory_unlock(:works, :work)"), name)
    except DBAPIError:
        connection.invalidate()


def sqlstate(error: DBAPIError) -> str | None:
    """What the server calls the error, or None for one of the driver's own."""
    state = getattr(error.orig, "sqlstate", None)
    return None if state is None else str(state)


def wait_for_the_disk(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own type
    """Makes a new connection's commits wait for the disk, whatever the server's default is (invariant 2)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('synchronous_commit')")
        if cursor.fetchone()[0] == "off":
            cursor.execute("SET synchronous_commit TO on")
    connection.commit()
