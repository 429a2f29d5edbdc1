"""Statements on uploads that are kept as they were sent."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, or_, select
from sqlalchemy.engine import RowMapping

from audiences.store.schema import audiences, uploads


def add(connection: Connection, values: Mapping[str, object]) -> None:
    """Notes one; `values` are the columns."""
    connection.execute(insert(uploads).values(**values))


def every(connection: Connection, account: int, now: int, limit: int | None = None) -> list[RowMapping]:
    """Those of the account that are not over, oldest first; at most so many."""
    chosen = select(uploads).where(uploads.c.account_id == account, uploads.c.expires_time > now)
    return list(connection.execute(chosen.order_by(uploads.c.id).limit(limit)).mappings())


def find(connection: Connection, upload_id: int, now: int) -> RowMapping | None:
    """The one of that id, unless it is over."""
    wanted = select(uploads).where(uploads.c.id == upload_id, uploads.c.expires_time > now)
    return connection.execute(wanted).mappings().first()


def remove_over(connection: Connection, now: int, deleted_before: int) -> list[str]:
    """Removes the rows of those that are over, or whose audience was deleted by then; the names of their files."""
    gone = select(audiences.c.id).where(audiences.c.deleted_time <= deleted_before)
    over = or_(uploads.c.expires_time <= now, uploads.c.audience_id.in_(gone))
    return list(connection.execute(delete(uploads).where(over).returning(uploads.c.object)).scalars())


def remove_all(connection: Connection, account: int) -> list[str]:
    """Removes the rows of all that the account has; the names of their files."""
    gone = delete(uploads).where(uploads.c.account_id == account).returning(uploads.c.object)
    return list(connection.execute(gone).scalars())
