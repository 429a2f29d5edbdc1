"""Statements on drafts: files under check. Every one that reads takes the account and the user."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update
from sqlalchemy.engine import RowMapping

from audiences.store.schema import drafts


def add(connection: Connection, values: Mapping[str, object]) -> None:
    """Stores a draft; `values` are the columns."""
    connection.execute(insert(drafts).values(**values))


def find(connection: Connection, account: int, user: str, draft_id: str, since: int) -> RowMapping | None:
    """The user's draft, or None if there is none made after `since`."""
    wanted = and_(drafts.c.id == draft_id, of_user(account, user, since))
    return connection.execute(select(drafts).where(wanted)).mappings().first()


def listed(connection: Connection, account: int, user: str, since: int) -> list[RowMapping]:
    """The user's drafts made after `since`, newest first."""
    chosen = select(drafts).where(of_user(account, user, since)).order_by(drafts.c.created_time.desc())
    return list(connection.execute(chosen).mappings())


def every(connection: Connection, account: int, since: int) -> list[RowMapping]:
    """Those of all of the account's users that were made after `since`, oldest first."""
    chosen = select(drafts).where(drafts.c.account_id == account, drafts.c.created_time > since)
    return list(connection.execute(chosen.order_by(drafts.c.created_time)).mappings())


def count(connection: Connection, account: int, user: str, since: int) -> int:
    """How many drafts the user has that were made after `since`."""
    chosen = select(func.count()).select_from(drafts).where(of_user(account, user, since))
    return connection.execute(chosen).scalar_one()


def of_user(account: int, user: str, since: int) -> ColumnElement[bool]:
    """The condition that a draft is the user's, and was made after `since`."""
    return and_(drafts.c.account_id == account, drafts.c.user_id == user, drafts.c.created_time > since)


def change(connection: Connection, draft_id: str, fields: Mapping[str, str]) -> None:
    """Keeps what the user said of the file."""
    connection.execute(update(drafts).where(drafts.c.id == draft_id).values(fields=dict(fields)))


def remove(connection: Connection, draft_id: str) -> bool:
    """Removes that draft's row; whether it was still there. Of two at once, one is told so."""
    return connection.execute(delete(drafts).where(drafts.c.id == draft_id)).rowcount == 1


def remove_older(connection: Connection, until: int) -> list[str]:
    """Removes the rows of drafts made by then; the names of their files."""
    over = delete(drafts).where(drafts.c.created_time <= until).returning(drafts.c.object)
    return list(connection.execute(over).scalars())


def remove_all(connection: Connection, account: int) -> list[str]:
    """Removes the rows of all drafts of the account; the names of their files."""
    gone = delete(drafts).where(drafts.c.account_id == account).returning(drafts.c.object)
    return list(connection.execute(gone).scalars())
