"""Statements on the records of idempotency keys: running under a lease, or answered."""

from __future__ import annotations

from sqlalchemy import Connection, and_, delete, insert, select, tuple_, update
from sqlalchemy.engine import RowMapping

from audiences.store.schema import idempotency

table = idempotency


def find(connection: Connection, account: int, key: str) -> RowMapping | None:
    """The record of the account's key, or None."""
    found = select(table).where(and_(table.c.account_id == account, table.c.key == key))
    return connection.execute(found).mappings().first()


def add(connection: Connection, values: dict[str, object]) -> None:
    """Stores a record; `values` are the columns of `schema.idempotency`."""
    connection.execute(insert(table).values(**values))


def remove(connection: Connection, account: int, key: str, owner: str | None = None) -> None:
    """Removes the record; with `owner`, only if it is still that request's and has no answer."""
    condition = and_(table.c.account_id == account, table.c.key == key)
    if owner is not None:
        condition = and_(condition, table.c.owner == owner, table.c.answer.is_(None))
    connection.execute(delete(table).where(condition))


def change(connection: Connection, account: int, key: str, owner: str, **values: object) -> bool:
    """Sets columns of the record if it is still `owner`'s; whether it was."""
    mine = and_(table.c.account_id == account, table.c.key == key, table.c.owner == owner)
    return connection.execute(update(table).where(mine).values(**values)).rowcount == 1


def mark_running(connection: Connection, account: int) -> None:
    """Marks what the account has running: its answer will be made of rows of before, and is not to quote them."""
    running = and_(table.c.account_id == account, table.c.answer.is_(None))
    connection.execute(update(table).where(running).values(quotes_rows=True))


def quoting(connection: Connection, account: int, after: str = "", limit: int | None = None) -> list[tuple[str, str]]:
    """Key and owner of the account's answers that quote rows: by key, those behind `after`, at most `limit`."""
    mine = and_(table.c.account_id == account, table.c.key > after)
    found = select(table.c.key, table.c.owner).where(mine, table.c.answer.is_not(None), table.c.quotes_rows)
    return [(key, owner) for key, owner in connection.execute(found.order_by(table.c.key).limit(limit))]


def remove_older(connection: Connection, created_before: int, limit: int) -> int:
    """Removes records made before that time, at most `limit`; how many."""
    key = (table.c.account_id, table.c.key)
    over = select(*key).where(table.c.created_time < created_before).limit(limit)
    return connection.execute(delete(table).where(tuple_(*key).in_(over))).rowcount
