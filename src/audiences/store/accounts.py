"""Statements on accounts."""

from __future__ import annotations

from sqlalchemy import Connection, Row, insert, select

from audiences.store.schema import accounts

Account = Row[int, str, int]


def add(connection: Connection, name: str, now: int) -> int:
    """The id of a new account. Raises sqlalchemy's IntegrityError if the name is taken."""
    made = connection.execute(insert(accounts).values(name=name, created_time=now))
    return int(made.inserted_primary_key[0])  # type: ignore[index]


def find(connection: Connection, name: str) -> int | None:
    """The id of the account named `name`, or None."""
    return connection.execute(select(accounts.c.id).where(accounts.c.name == name)).scalar()


def every(connection: Connection) -> list[Account]:
    """All accounts, oldest first, as (id, name, created_time)."""
    columns = (accounts.c.id, accounts.c.name, accounts.c.created_time)
    return list(connection.execute(select(*columns).order_by(accounts.c.id)).all())
