"""Retention: an account's audiences are deleted so many days after their last upload, where the operator says so.

They are deleted as by a caller: listed no more, and for 7 days more they can be had back, before their files go. One
that was restored goes again with the next sweep; whoever wants to keep it lengthens the retention first, or uploads.
"""

from __future__ import annotations

from sqlalchemy import Connection

from audiences.audit import Audit
from audiences.clock import DAY, Clock
from audiences.store import accounts, versions
from audiences.store.database import Database
from audiences.user import OPERATOR

# Who deletes, in the audit log.
ACTOR = "retention"

# Audiences in one transaction: others write in between.
BATCH = 100


def set_days(connection: Connection, account: int, days: int | None, clock: Clock) -> int:
    """Sets the account's retention, None for no end; how many audiences are over by it, and go with the next sweep."""
    accounts.set_retention(connection, account, days)
    action, details = ("end_retention", {}) if days is None else ("set_retention", {"days": days})
    Audit(clock).note(connection, account, OPERATOR, action, details=details)
    return 0 if days is None else len(versions.uploaded_until(connection, account, clock() - days * DAY, None))


def delete_over(database: Database, clock: Clock) -> int:
    """Deletes the audiences of every account that are over by its retention; how many."""
    with database.read() as connection:
        limited = accounts.with_retention(connection)
    deleted = 0
    for account in limited:
        while taken := delete_some(database, account, clock):
            deleted += taken
    return deleted


def delete_some(database: Database, account: int, clock: Clock) -> int:
    """Deletes a batch of them in one transaction; how many."""
    now, audit = clock(), Audit(clock)
    with database.write(account) as connection:
        days = accounts.retention(connection, account)
        if days is None:
            return 0
        over = versions.uploaded_until(connection, account, now - days * DAY, BATCH)
        for audience in over:
            versions.begin(connection, audience, "delete", now)
            audit.note(connection, account, ACTOR, "delete", subject=str(audience["id"]))
        return len(over)
