"""What of an account lies as it was sent, in any encoding, or packed: nobody looks through it, so answers name it."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from audiences import clock
from audiences.drafts import LIFE
from audiences.models import HeldAsSent
from audiences.store import drafts, uploads


def every(connection: Connection, account: int, now: int, limit: int) -> list[HeldAsSent]:
    """All of it that is not over, at `now` in milliseconds; at most so many files, those under check first."""
    checked = [
        of(row, "check", None, row["created_time"] + LIFE) for row in drafts.every(connection, account, now - LIFE)
    ]
    kept = uploads.every(connection, account, now, max(0, limit - len(checked)))
    return checked[:limit] + [of(row, "upload", str(row["audience_id"]), row["expires_time"]) for row in kept]


def of(row: RowMapping, kind: Literal["upload", "check"], audience: str | None, until: int) -> HeldAsSent:
    """One, as answers tell of it."""
    return HeldAsSent(
        kind=kind,
        audience=audience,
        sha256=row["sha256"].hex(),
        bytes=row["stored_bytes"],
        sent_time=clock.in_seconds(row["created_time"]),
        kept_until=clock.in_seconds(until),
    )
