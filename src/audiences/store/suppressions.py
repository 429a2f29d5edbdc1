"""Statements on the do-not-contact lists, one an account."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import RowMapping

from audiences.store.schema import suppression_lists

table = suppression_lists


def find(connection: Connection, account: int) -> RowMapping | None:
    """The account's list, or None if nothing was ever on it."""
    return connection.execute(select(table).where(table.c.account_id == account)).mappings().first()


def change(connection: Connection, account: int, seen: int, values: dict[str, object]) -> bool:
    """Makes `values` the version behind `seen` (0: there was none); False if there is a newer one already."""
    if seen == 0:
        if find(connection, account) is not None:
            return False
        connection.execute(insert(table).values(account_id=account, version=1, **values))
        return True
    same = (table.c.account_id == account) & (table.c.version == seen)
    return connection.execute(update(table).where(same).values(version=seen + 1, **values)).rowcount == 1
