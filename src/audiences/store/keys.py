"""Statements on API keys. A key's text is never here, only its SHA-256."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import RowMapping

from audiences.store.schema import accounts, keys


def add(connection: Connection, values: dict[str, object]) -> None:
    """Stores one key; `values` are the columns of `schema.keys`."""
    connection.execute(insert(keys).values(**values))


def find_by_hash(connection: Connection, digest: bytes) -> RowMapping | None:
    """The key whose text hashes to `digest`, or None."""
    return connection.execute(select(keys).where(keys.c.hash == digest)).mappings().first()


def find(connection: Connection, key_id: str) -> RowMapping | None:
    """The key of that id, or None."""
    return connection.execute(select(keys).where(keys.c.id == key_id)).mappings().first()


def change(connection: Connection, key_id: str, **values: object) -> None:
    """Sets columns of one key."""
    connection.execute(update(keys).where(keys.c.id == key_id).values(**values))


def of_account(connection: Connection, account: int) -> list[RowMapping]:
    """The account's keys without their hashes, newest first."""
    chosen = select(*[column for column in keys.c if column.name != "hash"]).where(keys.c.account_id == account)
    return list(connection.execute(chosen.order_by(keys.c.created_time.desc(), keys.c.id)).mappings())


def every(connection: Connection) -> list[RowMapping]:
    """All keys, oldest first, each with its account's name as `account`."""
    joined = keys.join(accounts, keys.c.account_id == accounts.c.id)
    chosen = select(*[column for column in keys.c if column.name != "hash"], accounts.c.name.label("account"))
    return list(connection.execute(chosen.select_from(joined).order_by(keys.c.created_time)).mappings())
