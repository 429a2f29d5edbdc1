"""Statements on the audit log."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.engine import RowMapping

from audiences.store.schema import audit


def add(connection: Connection, values: Mapping[str, object]) -> None:
    """Stores a record; `values` are the columns of `schema.audit`."""
    connection.execute(insert(audit).values(**values))


def page(connection: Connection, account: int, before: int | None, limit: int) -> list[RowMapping]:
    """The newest `limit` records of the account, newest first; of those older than the one of the id `before`."""
    chosen = select(audit).where(audit.c.account_id == account)
    if before is not None:
        chosen = chosen.where(audit.c.id < before)
    return list(connection.execute(chosen.order_by(audit.c.id.desc()).limit(limit)).mappings())


def every(connection: Connection, account: int) -> list[RowMapping]:
    """All records of the account, oldest first."""
    chosen = select(audit).where(audit.c.account_id == account).order_by(audit.c.id)
    return list(connection.execute(chosen).mappings())


def remove_older(connection: Connection, until: int, limit: int) -> int:
    """Removes those of the `limit` oldest records that were made by then; how many.

    Ids go up with time, so the oldest records are found without a look at all the others.
    """
    oldest = select(audit.c.id, audit.c.created_time).order_by(audit.c.id).limit(limit).subquery()
    over = select(oldest.c.id).where(oldest.c.created_time <= until)
    return connection.execute(delete(audit).where(audit.c.id.in_(over))).rowcount
