"""The catalog on PostgreSQL, shared by any number of nodes.

Writes take turns by advisory locks that end with their transaction: those of one account one after the other, those of
several accounts at once, and a write that is no account's with no other one beside it. So what a transaction has looked
up stays true until it commits, as on SQLite, and no code has to know on which of the two it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from audiences.errors import CannotOpen, DiskFull, Refusal, out_of_reach

# Seconds: for a connection, for a free one of the pool, and for a turn.
CONNECT_S, POOL_S, TURN_S = 5, 10, 30

# A node that stands still within a transaction must not hold up the others for longer; nor one whose machine is gone.
STILL_S = 60

# The first half of our advisory locks' names, so that they are nobody else's by chance; the second is an account's id,
# or 0 for the whole catalog.
TURNS, WORKS = 0x41554449, 0x41554457
ACCOUNTS_TURN = text("SELECT pg_advisory_xact_lock_shared(:turns, 0), pg_advisory_xact_lock(:turns, :account)")
WHOLE_TURN = text("SELECT pg_advisory_xact_lock(:turns, 0)")

DISK_FULL = "53100"
# Classes of SQLSTATE that tell of the server's state: connections, resources, the operator's doing, locks.
AWAY = ("08", "53", "57P", "55P03", "25P03", "58")


class Postgres:
    """See `Backend`."""

    SESSION: ClassVar[dict[str, str]] = {
        "lock_timeout": f"{TURN_S}s",
        "idle_in_transaction_session_timeout": f"{STILL_S}s",
        "tcp_keepalives_idle": "15",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
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
            },
        )
        event.listen(self.engine, "connect", wait_for_the_disk)
        self.reader: Engine = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self.writer: Engine = self.engine.execution_options(isolation_level="READ COMMITTED")

    def take_turn(self, connection: Connection, account: int | None) -> None:
        """See Backend. It is the transaction's first statement: later ones see all that earlier turns committed."""
        if account is None:
            connection.execute(WHOLE_TURN, {"turns": TURNS})
        else:
            connection.execute(ACCOUNTS_TURN, {"turns": TURNS, "account": account})

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
                    connection.execute(text("SELECT pg_advisory_unlock(:works, :work)"), name)

    def check(self, connection: Connection) -> None:
        """See Backend."""
        encoding, fsync = (connection.execute(text(f"SHOW {name}")).scalar() for name in ("server_encoding", "fsync"))
        if encoding != "UTF8":
            raise CannotOpen(f"The catalog's database has the encoding {encoding}. Create it with ENCODING 'UTF8'.")
        if fsync != "on":
            raise CannotOpen("PostgreSQL would lose commits on power loss: fsync is off. Turn it on.")

    def refusal(self, error: DBAPIError) -> Refusal | None:
        """See Backend."""
        state = getattr(error.orig, "sqlstate", None)
        if state == DISK_FULL:
            return DiskFull("The catalog's database has no room. Try later, or tell the operator.")
        away = error.connection_invalidated or (state or "08").startswith(AWAY)
        return out_of_reach("its catalog") if away else None

    def empty_log(self) -> None:
        """See Backend: PostgreSQL recycles its log by itself, and archives are the operator's (docs/operating.md)."""


def wait_for_the_disk(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own type
    """Makes a new connection's commits wait for the disk, whatever the server's default is (invariant 2)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('synchronous_commit')")
        if cursor.fetchone()[0] == "off":
            cursor.execute("SET synchronous_commit TO on")
    connection.commit()
