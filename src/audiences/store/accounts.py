"""Statements on accounts."""

from __future__ import annotations

from sqlalchemy import Connection, Row, insert, select, update

from audiences.store.schema import accounts

Account = Row[int, str, int, int | None]


def add(connection: Connection, name: str, now: int) -> int:
    """The id of a new account. Raises sqlalchemy's IntegrityError if the name is taken."""
    made = connection.execute(insert(accounts).values(name=name, created_time=now))
    return int(made.inserted_primary_key[0])  # type: ignore[index]


def find(connection: Connection, name: str) -> int | None:
    """The id of the account named `name`, or None."""
    return connection.execute(select(accounts.c.id).where(accounts.c.name == name)).scalar()


def every(connection: Connection) -> list[Account]:
    """All accounts, oldest first, as (id, name, created_time, retention_days)."""
    columns = (accounts.c.id, accounts.c.name, accounts.c.created_time, accounts.c.retention_days)
    return list(connection.execute(select(*columns).order_by(accounts.c.id)).all())


def retention(connection: Connection, account: int) -> int | None:
    """Days after its last upload that an audience of the account is kept; None is without end."""
    return connection.execute(select(accounts.c.retention_days).where(accounts.c.id == account)).scalar()


def set_retention(connection: Connection, account: int, days: int | None) -> None:
    """Sets that."""
    connection.execute(update(accounts).where(accounts.c.id == account).values(retention_days=days))


def with_retention(connection: Connection) -> list[int]:
    """The ids of accounts whose audiences are not kept without end."""
    chosen = select(accounts.c.id).where(accounts.c.retention_days.is_not(None))
    return list(connection.execute(chosen.order_by(accounts.c.id)).scalars())
