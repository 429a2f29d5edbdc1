"""Statements on the versions of audiences: each change makes a new one; undoing it goes back to the one before.

A file counts in the versions from its first to its last. Undoing a change reopens the files that it closed and closes
those that it brought. A version that was undone is never current again, and its number is never given out again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from sqlalchemy import Connection, and_, delete, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from audiences.store.schema import audience_changes, audience_files, audiences, reads

Kind = Literal["replace", "append", "delete"]

changes = audience_changes
files = audience_files


def begin(connection: Connection, audience: RowMapping, kind: Kind, now: int) -> int:
    """Makes a new version current, and returns its number. A replaced or deleted audience's files are closed."""
    version = int(audience["newest_version"]) + 1
    values = {"version": version, "newest_version": version, "updated_time": now}
    if kind == "delete":
        values["deleted_time"] = now
    connection.execute(update(audiences).where(audiences.c.id == audience["id"]).values(**values))
    row = {"audience_id": audience["id"], "version": version, "kind": kind}
    connection.execute(insert(changes).values(**row, version_before=audience["version"], created_time=now))
    if kind != "append":
        close = and_(files.c.audience_id == audience["id"], files.c.last_version.is_(None))
        connection.execute(update(files).where(close).values(last_version=audience["version"], retired_time=now))
    return version


def newest_change(connection: Connection, audience_id: int) -> RowMapping | None:
    """The last change that was not undone, or None."""
    mine = and_(changes.c.audience_id == audience_id, changes.c.undone_time.is_(None))
    return connection.execute(select(changes).where(mine).order_by(changes.c.version.desc())).mappings().first()


def undo(connection: Connection, change: RowMapping, now: int) -> None:
    """Goes back to the version before `change`, which must be the newest."""
    audience_id, before = change["audience_id"], change["version_before"]
    values = {"version": before, "updated_time": now, "deleted_time": None}
    connection.execute(update(audiences).where(audiences.c.id == audience_id).values(**values))
    this = and_(changes.c.audience_id == audience_id, changes.c.version == change["version"])
    connection.execute(update(changes).where(this).values(undone_time=now))
    mine = files.c.audience_id == audience_id
    brought = and_(mine, files.c.first_version == change["version"])
    connection.execute(update(files).where(brought).values(last_version=change["version"], retired_time=now))
    if change["kind"] != "append":
        closed = and_(mine, files.c.first_version <= before, files.c.last_version == before)
        connection.execute(update(files).where(closed).values(last_version=None, retired_time=None))


def uploaded_until(connection: Connection, account: int, until: int, limit: int | None) -> list[RowMapping]:
    """Audiences of the account to which no file that counts came after `until`; at most `limit`, oldest first."""
    later = and_(changes.c.audience_id == audiences.c.id, changes.c.kind != "delete", changes.c.undone_time.is_(None))
    uploaded = select(changes.c.version).where(later, changes.c.created_time > until).exists()
    mine = and_(
        audiences.c.account_id == account, audiences.c.deleted_time.is_(None), audiences.c.created_time <= until
    )
    chosen = select(audiences).where(mine, ~uploaded).order_by(audiences.c.created_time, audiences.c.id).limit(limit)
    return list(connection.execute(chosen).mappings())


def is_kept(connection: Connection, audience_id: int, version: int, since: int) -> bool:
    """Whether a version that is not current can still be read as it was: not undone, and left after `since`."""
    live = and_(changes.c.audience_id == audience_id, changes.c.undone_time.is_(None))
    made = connection.execute(select(changes.c.version).where(live, changes.c.version == version)).first()
    left = select(changes.c.version).where(live, changes.c.version_before == version, changes.c.created_time > since)
    return (version == 1 or made is not None) and connection.execute(left).first() is not None


def retired(connection: Connection, before: int, now: int, limit: int) -> list[RowMapping]:
    """Files that ceased to count at `before` or earlier, and that no read holds; at most `limit`."""
    held = select(reads.c.object).where(reads.c.lease_until > now)
    free = [column.is_(None) | column.not_in(held) for column in (files.c.contacts_object, files.c.rejects_object)]
    columns = (files.c.id, files.c.contacts_object, files.c.rejects_object)
    chosen = select(*columns).where(files.c.retired_time <= before, *free).limit(limit)
    return list(connection.execute(chosen).mappings())


def remove_files(connection: Connection, ids: Collection[int]) -> None:
    """Removes rows of files."""
    connection.execute(delete(files).where(files.c.id.in_(ids)))


def forget_deleted(connection: Connection, before: int) -> int:
    """Leaves nothing but the id of audiences deleted at `before` or earlier, and no other gets that; how many."""
    # A node of the release before empties the name alone.
    named = or_(audiences.c.name != "", audiences.c.name_folded != "")
    gone = and_(audiences.c.deleted_time <= before, named)
    connection.execute(delete(changes).where(changes.c.audience_id.in_(select(audiences.c.id).where(gone))))
    return connection.execute(update(audiences).where(gone).values(name="", name_folded="")).rowcount
