"""Statements on the files that an account keeps rows of people in, old and new."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, case, select, update
from sqlalchemy.engine import RowMapping

from audiences.store.audiences import counts_in
from audiences.store.schema import audience_files, audiences

CURRENT, REPLACED, DELETED = "current", "replaced", "deleted"

Objects = tuple[str | None, str | None]


def files(connection: Connection, account: int) -> Sequence[RowMapping]:
    """Every file kept for the account, newest audience first: also those of old versions and of deleted audiences.

    Beside its own columns each has its audience's `name`, and the `state` that its rows are in.
    """
    state = case(
        (audiences.c.deleted_time.is_not(None), DELETED), (counts_in(audiences.c.version), CURRENT), else_=REPLACED
    )
    chosen: Select[tuple[object, ...]] = select(audience_files, audiences.c.name, state.label("state"))
    chosen = chosen.join_from(audience_files, audiences).where(audiences.c.account_id == account)
    newest_first = (audiences.c.created_time.desc(), audiences.c.id.desc(), audience_files.c.id)
    return connection.execute(chosen.order_by(*newest_first)).mappings().all()


def objects(connection: Connection, account: int) -> dict[int, Objects]:
    """The stored contacts and rejects of each of those files, by the file's id."""
    columns = (audience_files.c.id, audience_files.c.contacts_object, audience_files.c.rejects_object)
    chosen = select(*columns).join_from(audience_files, audiences).where(audiences.c.account_id == account)
    return {row[0]: (row[1], row[2]) for row in connection.execute(chosen)}


def change_file(connection: Connection, file_id: int, values: dict[str, object]) -> None:
    """Sets columns of a file."""
    connection.execute(update(audience_files).where(audience_files.c.id == file_id).values(**values))
