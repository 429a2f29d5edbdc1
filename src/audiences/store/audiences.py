"""Statements on audiences and the files that they were made from.

Every one that reads takes the account: a foreign id is not found, just as an unknown one is not (invariant 5).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    and_,
    case,
    cast,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from audiences.store import reads
from audiences.store.schema import (
    LOCAL_TEXT,
    SORTED_TEXT,
    audience_files,
    audiences,
    drafts,
    suppression_lists,
    uploads,
)


@dataclass(frozen=True)
class Order:
    """By which `column` a list is sorted: name, type, contacts or created."""

    column: str = "created"
    descending: bool = True


def add(connection: Connection, values: dict[str, object]) -> None:
    """Stores an audience; `values` are the columns. Raises sqlalchemy's IntegrityError if the id was ever used."""
    connection.execute(insert(audiences).values(**values, name_folded=with_folded(str(values["name"]))))


def add_file(connection: Connection, values: dict[str, object]) -> None:
    """Stores a file of an audience; `values` are the columns of `schema.audience_files`."""
    connection.execute(insert(audience_files).values(**values))


def find(connection: Connection, account: int, audience_id: int, *, deleted_too: bool = False) -> RowMapping | None:
    """The audience, or None if it is unknown, deleted, or another account's."""
    mine = and_(audiences.c.id == audience_id, audiences.c.account_id == account)
    if not deleted_too:
        mine = and_(mine, audiences.c.deleted_time.is_(None))
    return connection.execute(select(audiences).where(mine)).mappings().first()


def rename(connection: Connection, audience_id: int, name: str, now: int) -> None:
    """Gives an audience another name."""
    values = {"name": name, "name_folded": with_folded(name), "updated_time": now}
    connection.execute(update(audiences).where(audiences.c.id == audience_id).values(**values))


def files(connection: Connection, audience_id: int, version: int) -> list[RowMapping]:
    """The files that make up one version of an audience, in upload order."""
    chosen = select(audience_files).where(audience_files.c.audience_id == audience_id, counts_in(version))
    return list(connection.execute(chosen.order_by(audience_files.c.position)).mappings())


def counts_in(version: int | Column[int]) -> ColumnElement[bool]:
    """The condition that a file belongs to `version` (a number, or the audience's column)."""
    return and_(
        audience_files.c.first_version <= version,
        or_(audience_files.c.last_version.is_(None), audience_files.c.last_version >= version),
    )


def user_count() -> ColumnElement[int]:
    """The contacts of an audience; asked of each one that is shown, so that a page costs what is on it.

    A sum of whole numbers is none to PostgreSQL unless one says so.
    """
    total = cast(func.coalesce(func.sum(audience_files.c.accepted), 0), BigInteger)
    return select(total).where(current_files()).correlate(audiences).scalar_subquery()


def page(
    connection: Connection, account: int, *, name: str | None, after: tuple[int, int] | None, limit: int | None
) -> list[RowMapping]:
    """Audiences of the account, newest first, each with its `user_count`.

    `name` must be contained in theirs, whatever the case; `after` is the (created_time, id) of the last one seen.
    """
    chosen = (
        select(audiences, user_count().label("user_count"))
        .where(named(account, name))
        .order_by(audiences.c.created_time.desc(), audiences.c.id.desc())
        .limit(limit)
    )
    if after is not None:
        chosen = chosen.where(tuple_(audiences.c.created_time, audiences.c.id) < after)
    return list(connection.execute(chosen).mappings())


def sorted_page(
    connection: Connection,
    account: int,
    *,
    name: str | None,
    order: Order,
    beyond: tuple[str | int, int] | None,
    limit: int,
) -> list[RowMapping]:
    """Audiences of the account in that order, each with its `user_count`.

    `name` must be contained in theirs, whatever the case; `beyond` is the (`sort_key`, id) that they come after.
    """
    keys = {"name": folded_name(audiences.c), "type": audiences.c.type, "contacts": user_count()}
    key = keys.get(order.column, audiences.c.created_time)
    sort_key = key.label("sort_key")
    found = select(audiences.c.id, sort_key).where(named(account, name))
    if beyond is not None:
        place = tuple_(key, audiences.c.id)
        found = found.where(place < beyond if order.descending else place > beyond)
    shown = found.order_by(*directed(order, sort_key, audiences.c.id)).limit(limit).subquery()
    chosen = (
        select(audiences, user_count().label("user_count"), shown.c.sort_key)
        .join(shown, shown.c.id == audiences.c.id)
        .order_by(*directed(order, shown.c.sort_key, shown.c.id))
    )
    return list(connection.execute(chosen).mappings())


def directed(order: Order, *by: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """What a list is sorted by, in the direction of the order."""
    return [part.desc() if order.descending else part for part in by]


def count(connection: Connection, account: int, name: str | None) -> int:
    """How many audiences of the account have `name` in theirs; all of them without one."""
    return int(connection.execute(select(func.count()).select_from(audiences).where(named(account, name))).scalar_one())


def deleted(connection: Connection, account: int, since: int, limit: int) -> list[RowMapping]:
    """Audiences of the account that were deleted after `since`, the last one first."""
    mine = and_(audiences.c.account_id == account, audiences.c.deleted_time > since)
    chosen = select(audiences).where(mine).order_by(audiences.c.deleted_time.desc(), audiences.c.id).limit(limit)
    return list(connection.execute(chosen).mappings())


def named(account: int, name: str | None) -> ColumnElement[bool]:
    """The condition that an audience is the account's, there, and has `name` in its own, whatever the case."""
    mine = and_(audiences.c.account_id == account, audiences.c.deleted_time.is_(None))
    return mine if name is None else and_(mine, has_in_name(name))


def has_in_name(part: str) -> ColumnElement[bool]:
    """The condition that `part` stands in an audience's name, whatever the case of either."""
    return folded_name(audiences.c).contains(part.casefold(), autoescape=True)


def with_folded(name: str) -> str:
    """What the column `name_folded` holds for a name: both, with a line break between them, which no name has."""
    return f"{name}\n{name.casefold()}"


def folded_name(columns: ReadOnlyColumnCollection[str, Any]) -> ColumnElement[str]:
    """An audience's name without its case.

    Where the column is not about the name that the audience has, a node of the release before wrote the row. Then the
    database folds it: SQLite as Python does; PostgreSQL the letters of ASCII, and all others by its locale's rules.
    """
    size = func.length(columns.name)
    of_this_name = func.substr(columns.name_folded, 1, size + 1) == columns.name + "\n"
    of_ascii = func.lower(cast(columns.name, SORTED_TEXT))
    folded = func.substr(columns.name_folded, size + 2)
    return cast(case((of_this_name, folded), else_=func.lower(cast(of_ascii, LOCAL_TEXT))), SORTED_TEXT)


def current_files() -> ColumnElement[bool]:
    """The condition that a file is one of the audience's current version."""
    return and_(audience_files.c.audience_id == audiences.c.id, counts_in(audiences.c.version))


def stored_bytes(connection: Connection, account: int) -> int:
    """Bytes of all files kept for the account, which its quota counts: also old versions, its list, drafts, uploads."""
    joined = audience_files.join(audiences, audience_files.c.audience_id == audiences.c.id)
    total = select(func.coalesce(func.sum(audience_files.c.stored_bytes), 0)).select_from(joined)
    lists = select(func.coalesce(func.sum(suppression_lists.c.stored_bytes), 0))
    held = select(func.coalesce(func.sum(drafts.c.stored_bytes), 0)).where(drafts.c.account_id == account)
    listed = lists.where(suppression_lists.c.account_id == account)
    raw = select(func.coalesce(func.sum(uploads.c.stored_bytes), 0)).where(uploads.c.account_id == account)
    counted = (total.where(audiences.c.account_id == account), listed, held, raw)
    return sum(int(connection.execute(part).scalar_one()) for part in counted)


def objects_in_use(connection: Connection, names: Collection[str], now: int, *, but: str = "") -> set[str]:
    """Those of `names` that some row refers to, or that are held by any hold `but` that; all others are rubbish."""
    used = reads.held(connection, names, now, but=but)
    of_files = (audience_files.c.contacts_object, audience_files.c.rejects_object)
    columns = (*of_files, suppression_lists.c.object, drafts.c.object, uploads.c.object)
    for column in columns:
        used.update(connection.execute(select(column).where(column.in_(names))).scalars())
    return used
