"""What happens to an audience without a file: it gets another name, is deleted, or its last change is undone.

A deleted or replaced audience's files are kept for 7 days, so that the change can be undone; then the sweeper removes
them. A renaming is no change of the contacts, and is not undone.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from audiences.clock import Clock
from audiences.errors import NothingToRestore
from audiences.library import RESTORABLE, as_number, unknown_audience
from audiences.names import check_name
from audiences.store import audiences as stored
from audiences.store import versions
from audiences.store.database import Database

Commit = Callable[[Connection, int], None]


class Changes:
    """Changes of audiences in one catalog. `commit` is called in the transaction of the change, with the id."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def rename(self, account: int, audience_id: str, name: str, commit: Commit) -> int:
        """Gives the audience another name; its id. Raises UnknownAudience, or InvalidField for the name."""
        checked = check_name(name)
        with self.database.write(account) as connection:
            audience = stored.find(connection, account, as_number(audience_id))
            if audience is None:
                raise unknown_audience()
            stored.rename(connection, audience["id"], checked, self.clock())
            commit(connection, audience["id"])
            return int(audience["id"])

    def delete(self, account: int, audience_id: str, commit: Commit) -> int:
        """Takes the audience out of every list; its id. Raises UnknownAudience."""
        with self.database.write(account) as connection:
            audience = stored.find(connection, account, as_number(audience_id))
            if audience is None:
                raise unknown_audience()
            versions.begin(connection, audience, "delete", self.clock())
            commit(connection, audience["id"])
            return int(audience["id"])

    def restore(self, account: int, audience_id: str, commit: Commit) -> int:
        """Undoes the last PUT, append or DELETE of the last 7 days; the audience's id.

        Raises NothingToRestore, or UnknownAudience, also for one that was deleted longer ago.
        """
        now = self.clock()
        with self.database.write(account) as connection:
            audience = stored.find(connection, account, as_number(audience_id), deleted_too=True)
            if audience is None or is_gone(audience["deleted_time"], now):
                raise unknown_audience()
            change = versions.newest_change(connection, audience["id"])
            if change is None or change["created_time"] <= now - RESTORABLE:
                raise NothingToRestore("No PUT, append or DELETE of the last 7 days is left to undo on this audience.")
            versions.undo(connection, change, now)
            commit(connection, audience["id"])
            return int(audience["id"])


def is_gone(deleted_time: int | None, now: int) -> bool:
    """Whether the audience was deleted so long ago that it cannot be had back."""
    return deleted_time is not None and deleted_time <= now - RESTORABLE
