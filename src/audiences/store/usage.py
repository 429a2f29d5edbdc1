"""Statements on what accounts did, day by day. Days are counted since 1970 UTC."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, text, tuple_
from sqlalchemy.engine import RowMapping

from audiences.store.schema import usage

# One statement, so that of two at once none is lost; SQLite and PostgreSQL write it alike.
ADD = text(
    """
    INSERT INTO usage (account_id, day, uploads, rows, throttled) VALUES (:account, :day, :uploads, :rows, :throttled)
    ON CONFLICT (account_id, day) DO UPDATE SET
      uploads = usage.uploads + excluded.uploads,
      rows = usage.rows + excluded.rows,
      throttled = usage.throttled + excluded.throttled
    """
)


def add(connection: Connection, account: int, day: int, *, uploads: int = 0, rows: int = 0, throttled: int = 0) -> None:
    """Adds to what is counted of the account on that day."""
    counts = {"uploads": uploads, "rows": rows, "throttled": throttled}
    connection.execute(ADD, {"account": account, "day": day, **counts})


def since(connection: Connection, account: int, day: int) -> list[RowMapping]:
    """The account's days from that one on, oldest first; a day on which nothing happened has no row."""
    chosen = select(usage).where(usage.c.account_id == account, usage.c.day >= day).order_by(usage.c.day)
    return list(connection.execute(chosen).mappings())


def remove_older(connection: Connection, until: int, limit: int) -> int:
    """Removes what is counted of that day and the days before it, at most `limit` rows of it; how many."""
    key = (usage.c.account_id, usage.c.day)
    over = select(*key).where(usage.c.day <= until).limit(limit)
    return connection.execute(delete(usage).where(tuple_(*key).in_(over))).rowcount
