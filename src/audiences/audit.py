"""The audit log: who changed what, and when. It holds ids and counts, never a number, a name or a cell.

Its records stay for two years: a look back over the year before this one, as auditors ask for, is whole on any day.
"""

from __future__ import annotations

from sqlalchemy import Connection

from audiences.clock import DAY, Clock
from audiences.store import audit

# How long a record is kept, in milliseconds.
KEPT = 2 * 365 * DAY


class Audit:
    """The log of one catalog."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def note(
        self,
        connection: Connection,
        account: int,
        actor: str,
        action: str,
        *,
        subject: str | None = None,
        details: dict[str, int] | None = None,
    ) -> None:
        """Adds a record to the caller's transaction: there is never a change without it."""
        row = {"account_id": account, "created_time": self.clock(), "actor": actor, "action": action}
        audit.add(connection, row | {"subject": subject, "details": details or {}})
